"""The values of a frame as the measurands of a profile. Pure."""

import re
from collections.abc import Sequence
from math import isfinite

from firmware_bridge.frames.frame import Frame
from firmware_bridge.profile import Field

# What P1 meters write, and how we spell it.
_SPELLINGS = {"m3": "m³"}
# A number that a P1 meter sends without a unit, such as a count of power failures.
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")


class FieldDecoder:
    """Finds the fields of a profile in frames."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = tuple(fields)

    def decode(self, frame: Frame) -> list[float | None]:
        """The value of each field in the unit of its measurand, in their order; None for what the frame lacks."""
        return [_choice(field, frame) if field.choices else _sum(field, frame) for field in self._fields]


def _choice(field: Field, frame: Frame) -> float | None:
    """The place of the choice that the frame names: by its text, or by a whole number."""
    value, _ = frame.values.get(field.code, ("", ""))
    raw = f"{value:.15g}" if isinstance(value, float) else value
    return next((float(place) for name, place in field.choices if name == raw), None)


def _sum(field: Field, frame: Frame) -> float | None:
    """All parts or nothing: half a sum is a wrong value."""
    total = 0.0
    for codes, sign in (((field.code, *field.plus), 1), (field.minus, -1)):
        for code in codes:
            part = _number(frame, code, field.unit)
            if part is None:
                return None
            total += sign * part
    value = total * field.numerator / field.denominator
    return value if isfinite(value) else None


def _number(frame: Frame, code: str, wanted_unit: str) -> float | None:
    """A frame that names another unit than the profile means something else; one that names none leaves it to it."""
    value, unit = frame.values.get(code, ("", ""))
    if unit and _SPELLINGS.get(unit, unit) != wanted_unit:
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return value
