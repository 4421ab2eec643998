"""A meter's registers, from physical values to words: the simulator's own reading of a profile.

Reads the same TOML facts as the gateway, with code of its own. Only the keys needed here are looked
at; whether a profile is a good one is the gateway's to check.
"""

import struct
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.frames import REGISTERS_MAX, Read

MAPS = Path(__file__).parents[1] / "maps"

# type: (struct letter, bytes, lowest, highest). The highest of a signed type is a sentinel for "no
# value" in several makers' maps, and so is all ones of an unsigned one: never given out.
_INTEGERS = {
    "u16": ("H", 2, 0, 2**16 - 2),
    "s16": ("h", 2, 1 - 2**15, 2**15 - 2),
    "u32": ("I", 4, 0, 2**32 - 2),
    "s32": ("i", 4, 1 - 2**31, 2**31 - 2),
    "u64": ("Q", 8, 0, 2**64 - 2),
    "s64": ("q", 8, 1 - 2**63, 2**63 - 2),
}
_F32_MAX = 3.4028234e38
# What one of a unit is in the measurand's SI unit.
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "m": 1e-3}


@dataclass(frozen=True, slots=True)
class Register:
    """One value's place and form."""

    measurand: Measurand
    address: int
    function: int
    type: str
    scale: float  # raw value times this is the SI value
    is_low_first: bool
    packer: struct.Struct

    @property
    def end(self) -> int:
        """The address after its last word."""
        return self.address + self.packer.size // 2

    @property
    def resolution(self) -> float | None:
        """The smallest difference an integer register shows, in the SI unit; None for floats."""
        return None if self.type == "f32" else self.scale

    def encode(self, value: float) -> tuple[bytes, float]:
        """The words for an SI value, and the value they stand for."""
        if self.type == "f32":
            words = self.packer.pack(min(max(value / self.scale, -_F32_MAX), _F32_MAX))
            shown = self.packer.unpack(words)[0] * self.scale
        else:
            _, _, lowest, highest = _INTEGERS[self.type]
            raw = min(max(round(value / self.scale), lowest), highest)
            words, shown = self.packer.pack(raw), raw * self.scale
        return (_swap_words(words) if self.is_low_first else words), shown


@dataclass(frozen=True)
class RegisterMap:
    """All registers of one kind of meter that carry a measurand."""

    profile: str
    registers: tuple[Register, ...]
    read_max: int

    @cached_property
    def spans(self) -> dict[int, range]:
        """By function, the addresses that answer."""
        functions = {register.function for register in self.registers}
        return {function: self._span(function) for function in functions}

    @cached_property
    def is_all_floats(self) -> bool:
        """Such meters refuse to show half a float."""
        return all(register.type == "f32" for register in self.registers)

    def inside(self, read: Read) -> tuple[Register, ...]:
        """The registers that lie wholly within what is read."""
        first, end = read.address, read.address + read.count
        return tuple(
            register
            for register in self.registers
            if register.function == read.function and first <= register.address and register.end <= end
        )

    def _span(self, function: int) -> range:
        mine = [register for register in self.registers if register.function == function]
        return range(min(register.address for register in mine), max(register.end for register in mine))


def load_register_map(profile: str, folders: Iterable[Path] = (MAPS,)) -> RegisterMap:
    """The registers of the profile of that name, looked for in `folders`.

    Raises:
        SettingError: there is none, or it lacks what a simulated meter needs.
    """
    for folder in folders:
        path = folder / f"{profile}.toml"
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError("meter.profile", str(path), f"cannot be read ({error})", "check the file") from error
        return parse_register_map(profile, text)
    known = ", ".join(sorted(path.stem for folder in folders for path in folder.glob("*.toml")))
    raise SettingError("meter.profile", repr(profile), "is not a known profile", f"use one of: {known}")


def parse_register_map(profile: str, text: str) -> RegisterMap:
    """The registers in a profile's text.

    Raises:
        SettingError: it lacks what a simulated meter needs.
    """
    try:
        tree = tomllib.loads(text)
        is_low_first = {"high_first": False, "low_first": True}[tree["word_order"]]
        registers = [_register(name, facts, is_low_first=is_low_first) for name, facts in tree["registers"].items()]
        read_max = int(tree.get("max_read", REGISTERS_MAX))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingError(
            "meter.profile", profile, f"cannot be simulated: {error!r}", "correct the profile's file"
        ) from error
    if not registers:
        raise SettingError("meter.profile", profile, "has no registers", "add some to the profile's file")
    return RegisterMap(profile, tuple(registers), read_max)


def _register(name: str, facts: dict[str, Any], *, is_low_first: bool) -> Register:
    measurand = Measurand(name)
    letter = "f" if facts["type"] == "f32" else _INTEGERS[facts["type"]][0]
    unit, si_unit = facts["unit"], measurand.facts.unit
    prefix = _PREFIXES[unit.removesuffix(si_unit)] if unit.endswith(si_unit) else _PREFIXES[unit]
    scale = float(facts["scale"]) * prefix
    if not scale > 0:
        raise ValueError(f"scale of {name}")
    return Register(
        measurand,
        int(facts["address"]),
        int(facts["function"]),
        facts["type"],
        scale,
        is_low_first,
        struct.Struct(f">{letter}"),
    )


def _swap_words(words: bytes) -> bytes:
    """The same 16-bit words, last one first."""
    return b"".join(words[place : place + 2] for place in range(len(words) - 2, -2, -2))
