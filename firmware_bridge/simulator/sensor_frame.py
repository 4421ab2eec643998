"""Frames of a microcontroller with sensors: a map of values and its CRC-32 in COBS. Pure.

firmware_bridge/frames/README.md says what they look like; this is written from it alone.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.printed_units import si_per_unit
from firmware_bridge.simulator.reflected_crc import crc32
from firmware_bridge.simulator.register_map import Shown
from firmware_bridge.simulator.telegram import Moment, Telegram

Body = Literal["json", "cbor"]

# README, Limits: the body of one frame.
_BODY_BYTES_MAX = 240
_DELIMITER = b"\0"
_SEQUENCES = 0x10000
# What such sensors print: hundredths, and of large numbers no fraction.
_DECIMALS, _LARGE = 2, 10_000
# RFC 8949, 3.1 and 3.3: kinds in the upper three bits, and the simple values.
_CBOR_NUMBER, _CBOR_TEXT, _CBOR_MAP = 0, 3, 5
_CBOR_SIMPLE = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_CBOR_F32 = 0xFA
# Numbers below stand in the first byte; others follow in 1, 2, 4 or 8 bytes.
_CBOR_SMALL = 24


@dataclass(frozen=True, slots=True)
class _Field:
    """One value of the sensor."""

    measurand: Measurand
    key: str
    scale: float  # what is sent times this is SI


class SensorForm:
    """The frames of one sensor."""

    has_clock = False
    period_s = 1.0

    def __init__(self, profile: str, tree: Mapping[str, Any], unit: int, body: Body = "json") -> None:
        """Send the fields of a profile's TOML tree, as sensor number `unit`.

        Raises:
            SettingError: the profile has none that can be sent, or too many.
        """
        try:
            self._fields = [_field(Measurand(name), facts) for name, facts in tree["fields"].items()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"cannot be simulated: {error!r}"
            raise SettingError("meter.profile", profile, problem, "correct the profile's file") from error
        self._unit, self._body = unit, body
        longest = self._bytes({field.key: _LARGE - 0.01 for field in self._fields}, _SEQUENCES - 1)
        if len(longest) > _BODY_BYTES_MAX:
            raise SettingError("meter.profile", profile, "has more fields than a frame", "remove some in a copy")

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it tells."""
        return frozenset(field.measurand for field in self._fields)

    @property
    def blanks(self) -> frozenset[Measurand]:
        """It can say of anything that nothing was measured."""
        return self.measurands

    def telegram(self, moment: Moment) -> Telegram:
        """The frame of one second; its number counts the seconds."""
        values = moment.values(moment.at_s)
        shown: Shown = {}
        told: dict[str, float | bool | None] = {}
        for field in self._fields:
            if moment.hides(field.measurand):
                told[field.key] = shown[field.measurand] = None
            else:
                told[field.key], shown[field.measurand] = self._told(field, values[field.measurand])
        return Telegram(frame(self._bytes(told, moment.at_s % _SEQUENCES)), shown)

    def _told(self, field: _Field, value: float) -> tuple[float | bool, float]:
        """What is sent for a value, and what it stands for."""
        facts = field.measurand.facts
        if facts.choices:
            return bool(value), float(bool(value))
        if facts.is_counter:
            whole = int(value / field.scale)
            return whole, whole * field.scale
        printed = value / field.scale
        sent = round(printed, _DECIMALS if abs(printed) < _LARGE else 0)
        if self._body == "cbor":
            sent = struct.unpack(">f", struct.pack(">f", sent))[0]
        return sent, sent * field.scale

    def _bytes(self, told: Mapping[str, Any], sequence: int) -> bytes:
        values = {"id": self._unit, "seq": sequence, **told}
        return _cbor(values) if self._body == "cbor" else json.dumps(values, separators=(",", ":")).encode("ascii")


def frame(body: bytes) -> bytes:
    """What is sent for a body: its CRC behind it, zeros taken out, and one at the end."""
    data = body + crc32(body).to_bytes(4, "little")
    blocks = data.split(b"\0")
    # Each piece is shorter than the longest block of COBS: bodies are.
    return b"".join(bytes((len(block) + 1,)) + block for block in blocks) + _DELIMITER


def _field(measurand: Measurand, facts: Mapping[str, Any]) -> _Field:
    scale = 1.0 if facts.get("values") else float(facts["scale"]) * si_per_unit(measurand, facts["unit"])
    return _Field(measurand, str(facts["code"]), scale)


def _cbor(value: object) -> bytes:
    """Maps, texts, counts, yes and no, and everything else as a float of 32 bits."""
    if isinstance(value, Mapping):
        items = b"".join(_cbor(key) + _cbor(item) for key, item in value.items())
        return _cbor_head(_CBOR_MAP, len(value)) + items
    if isinstance(value, str):
        return _cbor_head(_CBOR_TEXT, len(value)) + value.encode("ascii")
    if value is None or isinstance(value, bool):
        return _CBOR_SIMPLE[value]
    if isinstance(value, int):
        return _cbor_head(_CBOR_NUMBER, value)
    assert isinstance(value, float)
    return struct.pack(">Bf", _CBOR_F32, value)


def _cbor_head(kind: int, number: int) -> bytes:
    if number < _CBOR_SMALL:
        return bytes((kind << 5 | number,))
    place = next(place for place in range(4) if number < 256 ** (1 << place))
    return bytes((kind << 5 | _CBOR_SMALL + place,)) + number.to_bytes(1 << place, "big")
