"""Profiles as the simulator reads them: the TOML file of a meter -> its registers, with code of its own."""

import math
import struct
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.frames import REGISTERS_MAX
from firmware_bridge.simulator.nameplate import Nameplate
from firmware_bridge.simulator.printed_units import si_per_unit
from firmware_bridge.simulator.raw_type import RAW_TYPES, RawType
from firmware_bridge.simulator.register import Register
from firmware_bridge.simulator.register_map import Limits, RegisterMap
from firmware_bridge.simulator.sunspec_chain import ModelChain, model_chain

MAPS = Path(__file__).parents[1] / "maps"

# Makers to whom the other direction is positive.
_TURNED = ("generation_positive", "discharge_positive")


def load_profile_tree(profile: str, folders: Iterable[Path] = (MAPS,)) -> dict[str, Any]:
    """The TOML tree of the profile of that name, looked for in `folders`.

    Raises:
        SettingError: there is none, or it cannot be read.
    """
    for folder in folders:
        path = folder / f"{profile}.toml"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError("meter.profile", str(path), f"cannot be read ({error})", "check the file") from error
        return _tree(profile, text)
    known = ", ".join(sorted(path.stem for folder in folders for path in folder.glob("*.toml")))
    raise SettingError("meter.profile", repr(profile), "is not a known profile", f"use one of: {known}")


def load_register_map(profile: str, folders: Iterable[Path] = (MAPS,)) -> RegisterMap:
    """The registers of the profile of that name, looked for in `folders`.

    Raises:
        SettingError: there is none, or it lacks what a simulated meter needs.
    """
    return register_map_of(profile, load_profile_tree(profile, folders))


def parse_register_map(profile: str, text: str) -> RegisterMap:
    """The registers in a profile's text.

    Raises:
        SettingError: it lacks what a simulated meter needs.
    """
    return register_map_of(profile, _tree(profile, text))


def register_map_of(profile: str, tree: Mapping[str, Any]) -> RegisterMap:
    """The registers in a profile's tree.

    Raises:
        SettingError: it lacks what a simulated meter needs.
    """
    try:
        registers, chain = _registers(tree)
        limits = Limits(
            read_max=int(tree.get("max_read", REGISTERS_MAX)),
            is_even=bool(tree.get("even", False)),
            forbidden=tuple((int(first), int(last)) for first, last in tree.get("forbidden", [])),
            never_across=tuple(int(border) for border in tree.get("never_across", [])),
        )
        found = RegisterMap(profile, registers, limits, Nameplate(tree), chain)
        found.still(0, 0)  # finds out whether what it says of itself can be shown
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise _not_simulated(profile, _told(error)) from error
    if not registers:
        raise SettingError("meter.profile", profile, "has no registers", "add some to the profile's file")
    return found


def _tree(profile: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_simulated(profile, str(error)) from error


def _not_simulated(profile: str, why: str) -> SettingError:
    next_step = "correct it; smartwatts-provision profile lint says what is wrong with a profile"
    return SettingError("meter.profile", profile, f"cannot be simulated: {why}", next_step)


def _told(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _registers(tree: Mapping[str, Any]) -> tuple[tuple[Register, ...], ModelChain | None]:
    entries = tree["registers"]
    if "sunspec" not in tree:
        return tuple(_register(name, facts, tree, 0) for name, facts in entries.items()), None
    offsets = [end for name, facts in entries.items() for end in _ends(_register(name, facts, tree, 0))]
    chain = model_chain(tree["sunspec"], max(offsets, default=0), int(tree.get("phases", 0)))
    return tuple(_register(name, facts, tree, chain.model_address) for name, facts in entries.items()), chain


def _ends(register: Register) -> list[int]:
    return [address + count for address, count in register.places]


def _register(name: str, facts: Mapping[str, Any], tree: Mapping[str, Any], base: int) -> Register:
    measurand, kind = Measurand(name), RAW_TYPES[facts["type"]]
    sentinels = [_bits(kind, raw) for raw in tree.get("invalid", {}).get(facts["type"], [])]
    scale_address = facts.get("scale_address")
    return Register(
        measurand=measurand,
        function=int(facts["function"]),
        address=int(facts["address"]) + base,
        type=kind,
        scale=_scale(measurand, facts, tree),
        is_low_first={"high_first": False, "low_first": True}[tree.get("word_order", "high_first")],
        plus=tuple(int(address) + base for address in facts.get("plus", [])),
        minus=tuple(int(address) + base for address in facts.get("minus", [])),
        scale_address=None if scale_address is None else int(scale_address) + base,
        choices=_choices(measurand, kind, facts),
        wrap=(facts.get("wraps_at") or kind.wrap) if measurand.facts.is_counter else None,
        sentinels=frozenset(_value(kind, bits) for bits in sentinels),
        blank_bits=sentinels[0] if sentinels else None,
    )


def _scale(measurand: Measurand, facts: Mapping[str, Any], tree: Mapping[str, Any]) -> float:
    if facts.get("values"):
        return 1.0
    scale = float(facts["scale"]) * si_per_unit(measurand, facts["unit"])
    if not 0 < scale < math.inf:
        raise ValueError(f"scale of {measurand}")
    sign = facts.get("sign") or (tree.get("sign") if measurand.startswith("active_power") else None)
    return -scale if sign in _TURNED else scale


def _choices(measurand: Measurand, kind: RawType, facts: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """The first raw value of each choice."""
    places: dict[int, int] = {}
    for raw, choice in facts.get("values", {}).items():
        places.setdefault(measurand.facts.choices.index(choice), int(_value(kind, _bits(kind, raw))))
    return tuple(places.items())


def _bits(kind: RawType, raw: int | str) -> int:
    """The bits of a raw value as a map writes it: in hex, in decimals, or for floats as a number."""
    is_number = kind.is_float and isinstance(raw, str) and not raw.lower().startswith("0x")
    if is_number:
        return int.from_bytes(struct.pack(">f", float(raw)))
    bits = int(raw, 0) if isinstance(raw, str) else int(raw)
    if not 0 <= bits < 256**kind.packer.size:
        raise ValueError(f"{raw} does not fit")
    return bits


def _value(kind: RawType, bits: int) -> float:
    value: float = kind.packer.unpack(bits.to_bytes(kind.packer.size, "big"))[0]
    return value
