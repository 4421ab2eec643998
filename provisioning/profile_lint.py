"""What is wrong with a meter profile, and what works but should be known before it is used. Pure."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from firmware_bridge.catalog import ENDING
from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import MapFile, RegisterEntry, RegisterType, WordOrder, read_map_tree
from firmware_bridge.map_parser import check_profile
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile
from firmware_bridge.settings import convert

# As firmware_bridge.config.ProfileName: what a configuration can name.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SERIAL = {"rtu", "rtu_over_tcp", "serial"}
# Keys that only a device that is asked for registers has a use for, and those that only one that sends by itself has.
_ASKED_KEYS = ("word_order", "max_read", "even", "forbidden", "never_across", "pause_s", "connect_pause_s", "sunspec")
_SENDING_KEYS = ("stale_s",)


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said of one file: `mistakes` keep it from being used, `mind` does not."""

    file: str
    profile: Profile | None
    mistakes: tuple[SettingError, ...]
    mind: tuple[str, ...]


def lint(text: str, file_name: str) -> Findings:
    """Everything there is to say of the map `text`, which stands in the file `file_name`."""
    name = file_name.removesuffix(ENDING)
    profile, mistakes = check_profile(text, name)
    if not (_NAME.fullmatch(name) and file_name.endswith(ENDING)):
        mistakes.insert(0, _wrong_name(file_name))
    mind = () if profile is None else tuple(_mind(profile, read_map_tree(text, file_name)))
    return Findings(file=file_name, profile=profile, mistakes=tuple(mistakes), mind=mind)


def _wrong_name(file_name: str) -> SettingError:
    return SettingError(
        "file",
        repr(file_name),
        "cannot be named by a configuration",
        'use small letters, digits, "-", "_", and .toml',
    )


def _mind(profile: Profile, tree: dict[str, Any]) -> Iterator[str]:
    yield from _unsure(profile.file)
    if profile.file.protocol == "modbus":
        yield from _unrecognisable(profile)
    yield from _homeless(profile.file)
    yield from _unused(profile, tree)


def _unsure(file: MapFile) -> Iterator[str]:
    if file.confidence == "low":
        yield "confidence = low: compare its values with the meter's display before it is relied on"
    for section in ("registers", "fields"):
        for name, entry in getattr(file, section).items():
            if entry.get("confidence") == "low":
                yield f"{section}.{name}: confidence = low: compare it with the meter's display"


def _unrecognisable(profile: Profile) -> Iterator[str]:
    file, there = profile.file, {register.measurand for register in profile.registers}
    if file.sunspec is None and not any(
        one.values or one.ranges or one.contains or one.is_unit for one in file.identify
    ):
        yield "identify: no entry tells the model, so that the probe can go by plausible values alone"
    if not any(one.name == "serial_number" for one in file.identify):
        yield "identify: no entry named serial_number, so that a meter put in its place is not noticed"
    if file.kind == "sensor":
        return
    if Measurand.FREQUENCY_HZ not in there:
        yield "registers: no frequency_hz, which tells the probe the word order"
    if not there & {Measurand.VOLTAGE_V, Measurand.VOLTAGE_L1_V}:
        yield "registers: no voltage_v or voltage_l1_v, by which a failed grid is noticed"


def _homeless(file: MapFile) -> Iterator[str]:
    transports = set(file.transport)
    if not transports:
        yield "transport: not given, so that the probe does not look for it"
    elif not (transports & _SERIAL and file.serial_defaults) and not ("tcp" in transports and file.tcp_defaults):
        yield "transport: neither serial_defaults nor tcp_defaults says how it leaves the factory"


def _unused(profile: Profile, tree: dict[str, Any]) -> Iterator[str]:
    file = profile.file
    if file.serial_defaults and not _SERIAL & set(file.transport):
        yield "serial_defaults: not used, transport names no serial line"
    if file.tcp_defaults and "tcp" not in file.transport:
        yield "tcp_defaults: not used, transport does not name tcp"
    for key in _SENDING_KEYS if file.protocol == "modbus" else _ASKED_KEYS:
        if key in tree:
            yield f"{key}: not used with protocol {file.protocol!r}"
    if file.protocol == "modbus":
        yield from _unused_forms(profile)


def _unused_forms(profile: Profile) -> Iterator[str]:
    file = profile.file
    types = {register.type for register in profile.registers}
    for kind in map(RegisterType, file.invalid):
        if kind not in types:
            yield f"invalid.{kind}: not used, no register is of this type"
    texts = [one for one in file.identify if one.type == "str"]
    if file.byte_swapped_text and not texts:
        yield "byte_swapped_text: not used, no [[identify]] is a text"
    long_codes = [one for one in file.identify if one.type == "u32"]
    if file.word_order is WordOrder.LOW_FIRST and not long_codes and all(kind.words == 1 for kind in types):
        yield "word_order: not used, every value has one register"
    for name, raw_entry in file.registers.items():
        entry = convert(raw_entry, RegisterEntry)
        if entry.values and (entry.scale is not None or entry.unit):
            yield f"registers.{name}: unit and scale are not used beside values"
