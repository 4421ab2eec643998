"""What was concluded from a counter that did not simply count on, with the evidence. Pure."""

from enum import StrEnum

import msgspec

from firmware_bridge.reading import UtcUs

_WH_PER_KWH = 1000.0
# A serial number comes from a device: the longest of ours has 32 characters.
_IDENTITY_CHARACTERS_MAX = 40


class CounterEventKind(StrEnum):
    """The explanations of a contradiction."""

    # other values for a read or a few, then it counted on as if nothing had been
    GLITCH = "glitch"
    # it began again at 0 because its digits or bits were full
    ROLLED_OVER = "rolled_over"
    # it began again at 0 because somebody reset it
    RESET = "reset"
    # another meter answers, by its serial number
    SWAPPED = "swapped"
    # it fell to a value from where it counts on; nothing known explains it
    WENT_BACK = "went_back"
    # it rose faster than the rated power allows, and counts on from there
    JUMPED = "jumped"


class CounterEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement; values in the unit of the series.

    `before` was the last believed value, `shown` the one that contradicted it from `since_us` on, and
    `after` the one that settled it at `at_us`. `booked` is what was counted between `before` and `after`.
    """

    kind: CounterEventKind
    since_us: UtcUs
    at_us: UtcUs
    before: float
    shown: float
    after: float
    booked: float
    # where it rolled over
    limit: float | None = None
    identity_before: str | None = None
    identity_after: str | None = None
    # one sentence for the installer
    sentence: str = ""


def explain(event: CounterEvent, subject: str, unit: str) -> str:
    """The sentence for the installer: what happened, what it was taken for, what to do."""
    before, shown = (quantity(value, unit) for value in (event.before, event.shown))
    booked = quantity(event.booked, unit)
    match event.kind:
        case CounterEventKind.GLITCH:
            return (
                f"{subject} showed {shown} after {before} and came back: that was not believed; "
                "if it comes often, check terminals and shielding of the line."
            )
        case CounterEventKind.ROLLED_OVER:
            limit = quantity(event.limit or 0.0, unit)
            return f"{subject} went from {before} through its end at {limit} to {shown}: {booked} were booked."
        case CounterEventKind.RESET:
            return f"{subject} fell from {before} to {shown} and counts on: it was reset; {booked} were booked."
        case CounterEventKind.SWAPPED:
            old, new = (_identity(one) for one in (event.identity_before, event.identity_after))
            return (
                f"{subject} comes from the meter {new} instead of {old}: it was replaced; "
                f"the step from {before} to {shown} is no consumption."
            )
        case CounterEventKind.WENT_BACK:
            return (
                f"{subject} fell from {before} to {shown} and counts on from there: it was set back, or the meter "
                "was replaced; the fall was not booked."
            )
        case CounterEventKind.JUMPED:
            return (
                f"{subject} rose from {before} to {shown}, faster than the rated power allows: the rise was not "
                "booked; correct rated_power_w, or tell whether the meter was replaced."
            )


def quantity(value: float, unit: str) -> str:
    """A value as an installer reads it on the display."""
    return f"{value / _WH_PER_KWH:,.3f} kWh" if unit == "Wh" else f"{value:,.3f} {unit}"


def _identity(text: str | None) -> str:
    return repr((text or "?")[:_IDENTITY_CHARACTERS_MAX])
