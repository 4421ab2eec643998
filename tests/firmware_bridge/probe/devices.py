"""Devices that answer asks, for tests of the probe: registers made from a map's facts, without our decoder."""

import struct
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import firmware_bridge
from firmware_bridge.probe.asks import (
    FUNCTIONS,
    Ask,
    Garbled,
    Hail,
    Heard,
    Identify,
    Listen,
    Overheard,
    Read,
    Refused,
    Silence,
    Spoken,
    Texts,
    Wire,
    Words,
)
from firmware_bridge.probe.search import Search

MAPS = Path(firmware_bridge.__file__).parent / "maps"
_LETTERS = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "acc32": "I"}
_PREFIXES = {"kW": 1e3, "kWh": 1e3, "kvar": 1e3, "kVA": 1e3, "mA": 1e-3, "mV": 1e-3, "%": 0.01}
# A three-phase home on a quiet evening.
EVENING = {
    "frequency_hz": 50.02,
    "voltage_v": 231.4,
    "voltage_l1_v": 231.4,
    "voltage_l2_v": 229.8,
    "voltage_l3_v": 232.6,
    "current_l1_a": 3.2,
    "current_l2_a": 1.1,
    "current_l3_a": 0.4,
    "active_power_w": 1060.0,
    "active_power_l1_w": 720.0,
    "active_power_l2_w": 250.0,
    "active_power_l3_w": 90.0,
    "pv_power_w": 2210.0,
    "pv1_power_w": 1210.0,
    "pv2_power_w": 1000.0,
    "dc_power_w": 2250.0,
    "battery_voltage_v": 51.6,
    "battery_current_a": 4.0,
    "battery_power_w": 206.0,
    "state_of_charge": 0.83,
    "temperature_c": 21.3,
    "relative_humidity": 0.48,
}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, BUSY = 1, 2, 6


@dataclass
class Device:
    """A Modbus device: its registers, and how it treats what it does not have."""

    words: dict[tuple[int, int], int]
    texts: dict[int, str] = field(default_factory=dict)
    # silent where others refuse
    is_quiet: bool = False

    def hear(self, ask: Read | Identify) -> Heard:
        """Its answer."""
        if isinstance(ask, Identify):
            return Texts(self.texts) if self.texts else self._no(ILLEGAL_FUNCTION)
        places = [(ask.function, address) for address in range(ask.address, ask.address + ask.count)]
        if all(place in self.words for place in places):
            return Words(tuple(self.words[place] for place in places))
        known = {function for function, _ in self.words}
        return self._no(ILLEGAL_ADDRESS if ask.function in known else ILLEGAL_FUNCTION)

    def _no(self, code: int) -> Heard:
        return Silence() if self.is_quiet else Refused(code)


def meter(
    name_or_map: str | Mapping[str, Any],
    values: Mapping[str, float] = EVENING,
    says: Mapping[str, int | str] | None = None,
    *,
    is_swapped: bool = False,
    **options: Any,
) -> Device:
    """A device of this profile; `says` are raw codes and texts of its identity entries by name."""
    facts = tomllib.loads((MAPS / f"{name_or_map}.toml").read_text()) if isinstance(name_or_map, str) else name_or_map
    is_low_first = (facts.get("word_order") == "low_first") != is_swapped
    device = Device({}, **options)
    # values of registers of their own go before what is added up from them
    for measurand, register in sorted(facts["registers"].items(), key=lambda item: "plus" in item[1]):
        raw = values.get(measurand, 0.0) / _PREFIXES.get(register.get("unit", ""), 1.0) / register.get("scale", 1)
        packed = struct.pack(">" + _LETTERS[register["type"]], raw if register["type"] == "f32" else round(raw))
        _put(device, register["function"], register["address"], packed, is_low_first=is_low_first)
        parts = [register["address"], *register.get("plus", ()), *register.get("minus", ())]
        for place in range(min(parts), max(parts)):
            device.words.setdefault((register["function"], place), 0)
    for entry in facts.get("identify", ()):
        if (said := (says or {}).get(entry["name"])) is None:
            continue
        if isinstance(said, str):
            packed = said.encode().ljust(2 * entry["registers"], b"\0")
            _put(device, entry["function"], entry["address"], packed, is_low_first=False)
        else:
            packed = struct.pack(">" + _LETTERS[entry["type"]], said)
            _put(device, entry["function"], entry["address"], packed, is_low_first=is_low_first)
    return device


@dataclass
class Rig:
    """A line with devices: they hear what is asked at their setting, and what they hear is noted."""

    devices: dict[tuple[Wire, int], Device] = field(default_factory=dict)
    senders: dict[Wire, Overheard] = field(default_factory=dict)
    dialect: str | None = None
    asked: list[Ask] = field(default_factory=list)
    # what becomes of an answer on its way
    fate: Callable[[Ask, Heard], Heard] = lambda _, heard: heard

    def hear(self, ask: Ask) -> Heard:
        """What comes back."""
        self.asked.append(ask)
        match ask:
            case Listen():
                return self.senders.get(ask.wire, Overheard(()))
            case Hail():
                is_there = any(unit == ask.unit for _, unit in self.devices)
                return Spoken(self.dialect, "01 83 02") if is_there else Silence()  # type: ignore[arg-type]
            case Read():
                assert ask.function in FUNCTIONS
        device = self.devices.get((ask.wire, ask.unit))
        return self.fate(ask, device.hear(ask) if device else Silence())


def run(search: Search, rig: Rig, asks_max: int = 100_000) -> Search:
    """The search, to its end or for so many asks."""
    for _ in range(asks_max):
        if search.ask is None:
            break
        search.take(rig.hear(search.ask))
    return search


def once_garbled(ask: Ask, heard: Heard, seen: set[Ask]) -> Heard:
    """A line on which every answer is disturbed the first time."""
    if isinstance(heard, Words | Refused) and ask not in seen:
        seen.add(ask)
        return Garbled("checksum wrong")
    return heard


def _put(device: Device, function: int, address: int, packed: bytes, *, is_low_first: bool) -> None:
    words = struct.unpack(f">{len(packed) // 2}H", packed)
    for place, word in enumerate(reversed(words) if is_low_first else words):
        device.words.setdefault((function, address + place), word)
