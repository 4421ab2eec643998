"""Every parser of the project, by name."""

from tests.fuzz import line_targets, program_targets, settings_targets
from tests.fuzz.campaign import Campaign, Report
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*line_targets.TARGETS, *settings_targets.TARGETS, *program_targets.TARGETS)
}


def campaign(name: str, seed: int, seconds: float) -> Report:
    """The parser of that name under inputs for so long; what a process of its own does."""
    return Campaign(TARGETS[name], seed).run_for(seconds)
