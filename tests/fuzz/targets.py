"""Every parser of the project, by name."""

from tests.fuzz import (
    cloud_targets,
    forecast_targets,
    ingest_targets,
    line_targets,
    program_targets,
    settings_targets,
    store_targets,
    trainer_targets,
)
from tests.fuzz.campaign import Campaign, Report
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (
        line_targets,
        settings_targets,
        program_targets,
        store_targets,
        cloud_targets,
        ingest_targets,
        forecast_targets,
        trainer_targets,
    )
    for target in module.TARGETS
}


def campaign(name: str, seed: int, seconds: float) -> Report:
    """The parser of that name under inputs for so long; what a process of its own does."""
    return Campaign(TARGETS[name], seed).run_for(seconds)
