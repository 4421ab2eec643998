"""Which way a meter counts, told by a load that is switched on. Pure.

The sign of a meter cannot be seen from its registers: a current transformer that is turned round makes a
consumer a generator. A kettle tells: two kilowatts more, drawn from the grid, must show as more.
"""

from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from firmware_bridge.measurand import Measurand

# A kettle draws 1000 to 3000 W, a hair dryer 800: less is what else goes on in a home.
STEP_MIN_W = 500.0
# The step must stand out of what the power did before: that many times its usual deviation.
NOISE_FACTOR = 4.0
# Fewer values than these make no median worth its name.
SAMPLES_MIN = 3
# A phase that takes at least this share of the step is the one that the load is on.
PHASE_SHARE_MIN = 0.7

PHASES = {
    Measurand.ACTIVE_POWER_L1_W: "L1",
    Measurand.ACTIVE_POWER_L2_W: "L2",
    Measurand.ACTIVE_POWER_L3_W: "L3",
}
POWERS = (Measurand.ACTIVE_POWER_W, *PHASES)

# Watts by measurand, one mapping a second; what did not come is left out.
Samples = Sequence[Mapping[Measurand, float]]


class LoadStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a load that was switched on did to the power of one meter."""

    # positive where consumption shows as more; None where no step was seen
    step_w: float | None
    # "L1", "L2", "L3"; None where it cannot be told
    phase: str | None
    sentence: str


def load_step(before: Samples, during: Samples) -> LoadStep:
    """What happened between the two; power in watts, positive when drawn from the grid."""
    steps = {one: step for one in POWERS if (step := _step_w(before, during, one)) is not None}
    total_w = steps.get(Measurand.ACTIVE_POWER_W)
    phases = {one: steps[one] for one in PHASES if one in steps}
    if total_w is None and phases:
        total_w = sum(phases.values())
    if total_w is None:
        return _unseen("the meter gave too few values of its power")
    noise_w = max((_noise_w(before, one) for one in steps), default=0.0)
    largest_w = max([total_w, *phases.values()], key=abs)
    if abs(largest_w) < max(STEP_MIN_W, NOISE_FACTOR * noise_w):
        return _unseen(
            f"the power moved by {total_w:+.0f} W, and by {noise_w:.0f} W by itself before: "
            "the load is not behind this meter, or it was not switched on"
        )
    phase = next((PHASES[one] for one, step in phases.items() if abs(step) >= PHASE_SHARE_MIN * abs(largest_w)), None)
    where = f" on {phase}" if phase else ""
    if largest_w > 0:
        return LoadStep(
            step_w=largest_w, phase=phase, sentence=f"consumption shows positive{where}: {largest_w:+.0f} W"
        )
    return LoadStep(
        step_w=largest_w,
        phase=phase,
        sentence=f"consumption shows NEGATIVE{where}: {largest_w:+.0f} W; the current transformer{where} is turned "
        "round, or the meter is wired against its arrow: turn it round, or it will be counted as production",
    )


def _unseen(sentence: str) -> LoadStep:
    return LoadStep(step_w=None, phase=None, sentence=f"no step was seen: {sentence}")


def _step_w(before: Samples, during: Samples, measurand: Measurand) -> float | None:
    first = [one[measurand] for one in before if measurand in one]
    second = [one[measurand] for one in during if measurand in one]
    if min(len(first), len(second)) < SAMPLES_MIN:
        return None
    return median(second) - median(first)


def _noise_w(samples: Samples, measurand: Measurand) -> float:
    """The median of how far the power was from its own median."""
    values = [one[measurand] for one in samples if measurand in one]
    middle_w = median(values)
    return median(abs(value - middle_w) for value in values)
