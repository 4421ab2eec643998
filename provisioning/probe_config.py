"""What a probe found, as sections of a gateway's configuration. Pure.

A file that is there keeps every line of it: sections are added at its end. A section that says otherwise
is changed only when the installer insists, and then only the settings that differ.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.probe.conclusion import Conclusion, Sureness
from gateway.config import Config, load

_NAME_CHARACTERS_MAX = 32
_HEADER = re.compile(r"^\s*\[")
_SERIAL_SETTINGS = ("baud", "parity", "data_bits", "stop_bits")
_FIRST_LINES = """\
# Written by smartwatts-provision probe; smartwatts-provision config example shows all settings.

{profiles}[site]
# the name of this gateway, unique among yours
gateway_id = {gateway_id}
"""
_ROLE_REMARK = '# where it sits: "grid", "solar", "load" or "other"'


class Change(msgspec.Struct, frozen=True):
    """A setting of the file that says otherwise than what was found."""

    section: str
    name: str
    key: str
    old: str
    new: str

    @property
    def field(self) -> str:
        """As errors name it."""
        return f"{self.section}.{self.name}.{self.key}"


class Doubtful(msgspec.Struct, frozen=True):
    """A meter that should not be read before somebody has looked at it."""

    meter: MeterConfig
    why: str


class Suggestion(msgspec.Struct, frozen=True):
    """What to add to a configuration, and what to change in it."""

    buses: tuple[BusConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()
    doubtful: tuple[Doubtful, ...] = ()
    changes: tuple[Change, ...] = ()
    # meter name -> what it is, for whoever reads the file
    remarks: dict[str, str] = {}
    # folder with the profiles of some of these meters, which the file does not name yet
    profiles: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the file says it all already."""
        return not (self.buses or self.meters or self.changes)


def suggest(bus: BusConfig, conclusions: Sequence[Conclusion], config: Config | None = None) -> Suggestion:
    """What `config` lacks of the devices that were found on the line `bus`; its name is ours to choose."""
    known = _bus_of(bus, config)
    names = {one.name for one in config.buses} if config else set()
    bus = msgspec.structs.replace(bus, name=known.name if known else _free(_bus_name(bus), names))
    taken = {one.name for one in config.meters} if config else set()
    there = {one.unit: one for one in config.meters if one.bus == bus.name} if config else {}
    meters: list[MeterConfig] = []
    doubtful: list[Doubtful] = []
    changes = _bus_changes(known, bus) if known else []
    remarks = {}
    for conclusion in conclusions:
        if conclusion.profile is None:
            continue
        old = there.get(conclusion.unit)
        why = _doubt(conclusion, bus)
        if old is not None:
            if why is None and old.profile != conclusion.profile:
                changes.append(
                    Change("meter", old.name, "profile", json.dumps(old.profile), json.dumps(conclusion.profile))
                )
            continue
        name = _free(_meter_name(conclusion), taken)
        taken.add(name)
        meter = MeterConfig(name=name, bus=bus.name, unit=conclusion.unit, profile=conclusion.profile)
        remarks[name] = _remark(conclusion)
        if why is None:
            meters.append(meter)
        else:
            doubtful.append(Doubtful(meter, why))
    buses = (bus,) if known is None and (meters or doubtful) else ()
    return Suggestion(buses, tuple(meters), tuple(doubtful), tuple(changes), remarks)


def sections(suggestion: Suggestion) -> str:
    """The suggestion as lines of TOML; what is doubtful, as comments."""
    blocks = [_bus_lines(bus) for bus in suggestion.buses]
    blocks += [_meter_lines(meter, suggestion.remarks[meter.name]) for meter in suggestion.meters]
    for one in suggestion.doubtful:
        lines = _meter_lines(one.meter, suggestion.remarks[one.meter.name])
        blocks.append([f"# NOT READ YET: {one.why}", *(f"# {line}".replace("# # ", "# ") for line in lines)])
    return "\n".join("\n".join([*block, ""]) for block in blocks)


def top_line(suggestion: Suggestion) -> str:
    """What stands before all sections."""
    return "" if suggestion.profiles is None else f"profiles = {json.dumps(suggestion.profiles)}\n\n"


def first_file(suggestion: Suggestion, gateway_id: str) -> str:
    """A whole configuration with the suggestion in it.

    Raises:
        SettingError: there is nothing in it that a gateway could read.
    """
    if not suggestion.meters:
        raise SettingError(
            "--write", "(nothing)", "has no meter that is sure enough", "look at what was found, above"
        )
    first = _FIRST_LINES.format(profiles=top_line(suggestion), gateway_id=json.dumps(gateway_id))
    text = f"{first}\n{sections(suggestion)}"
    load(text)
    return text


def extended(text: str, suggestion: Suggestion, file: str, *, is_forced: bool) -> str:
    """The configuration `text`, which stands in `file`, with the suggestion added.

    Raises:
        ConflictError: it says otherwise somewhere, and is not to be changed.
        SettingError: it is written in a way that cannot be changed line by line.
    """
    if suggestion.changes and not is_forced:
        one = suggestion.changes[0]
        problem = f"is not what was found, which is {one.new}"
        raise ConflictError(
            f"{file}: {one.field}", one.old, problem, "correct it, or give --force to have it changed"
        )
    before = load(text, file)
    if suggestion.profiles is not None and before.profiles is not None:
        problem = f"lacks profiles of what was found, which are in {suggestion.profiles}"
        raise ConflictError(f"{file}: profiles", before.profiles, problem, "put them into one folder")
    lines = text.splitlines()
    for change in suggestion.changes:
        _apply(change, lines)
    more = sections(suggestion)
    new = top_line(suggestion) + "\n".join([*lines, *(["", more] if more else [""])])
    try:
        is_right = load(new, file) == _expected(before, suggestion)
    except SettingError:
        is_right = False
    if not is_right:
        raise SettingError(
            "--write", file, "is written in a way that cannot be extended line by line", "add the sections by hand"
        )
    return new


def _bus_of(bus: BusConfig, config: Config | None) -> BusConfig | None:
    """The line of the configuration that is at the same place, however it is spoken to."""
    place = bus.url.partition("://")[2]
    buses = config.buses if config else []
    return next((one for one in buses if one.url.partition("://")[2] == place), None)


def _bus_changes(known: BusConfig, bus: BusConfig) -> list[Change]:
    keys = ["url", "protocol", *(_SERIAL_SETTINGS if bus.url.startswith("serial:") else ())]
    return [
        Change("bus", known.name, key, json.dumps(old), json.dumps(new))
        for key in keys
        if (old := getattr(known, key)) != (new := getattr(bus, key))
    ]


def _doubt(conclusion: Conclusion, bus: BusConfig) -> str | None:
    """Why this meter should not be read as it is; None when it may."""
    wire = conclusion.wire
    if conclusion.protocol != bus.protocol or (
        wire.kind == "serial" and any(getattr(wire, key) != getattr(bus, key) for key in _SERIAL_SETTINGS)
    ):
        return f"it speaks {wire.told}, and one line has one setting: change that of the meter"
    if conclusion.is_swapped:
        return "its words come in the other order than its profile says: set them back in the meter"
    if conclusion.sureness not in (Sureness.CERTAIN, Sureness.LIKELY):
        either = " or ".join([str(conclusion.profile), *conclusion.rivals])
        return f"it may be {either}: compare the readings with its display"
    return None


def _remark(conclusion: Conclusion) -> str:
    model = conclusion.model or "model not told"
    serial = f", serial number {conclusion.serial_number}" if conclusion.serial_number else ""
    return f"{conclusion.sureness}: {model}{serial}"


def _bus_name(bus: BusConfig) -> str:
    return "rs485" if bus.url.startswith("serial:") else "network"


def _meter_name(conclusion: Conclusion) -> str:
    """The profile without its maker, and the unit: "sdm630-7"."""
    words = str(conclusion.profile).split("_")
    model = next((place for place, word in enumerate(words) if re.search("[0-9]", word)), min(1, len(words) - 1))
    ending = f"-{conclusion.unit}"
    return "-".join(words[model:])[: _NAME_CHARACTERS_MAX - len(ending)] + ending


def _free(name: str, taken: set[str]) -> str:
    """`name`, or the first of name-2, name-3 ... that nobody has."""
    number, free = 2, name
    while free in taken:
        ending = f"-{number}"
        free, number = name[: _NAME_CHARACTERS_MAX - len(ending)] + ending, number + 1
    return free


def _bus_lines(bus: BusConfig) -> list[str]:
    keys = ["name", "url", *(_SERIAL_SETTINGS if bus.url.startswith("serial:") else ())]
    if bus.protocol != "modbus":
        keys.append("protocol")
    return ["[[bus]]", *(f"{key} = {json.dumps(getattr(bus, key))}" for key in keys)]


def _meter_lines(meter: MeterConfig, remark: str) -> list[str]:
    settings = [f"{key} = {json.dumps(getattr(meter, key))}" for key in ("name", "bus", "unit", "profile")]
    return [f"# {remark}", "[[meter]]", *settings, _ROLE_REMARK, f"role = {json.dumps(meter.role)}"]


def _apply(change: Change, lines: list[str]) -> None:
    """Write one setting into the section it belongs to, where it stands or as its first line."""
    start, end = next(_sections_named(change, lines), (None, None))
    if start is None or end is None:
        return  # written otherwise than we look for; noticed when the result is read again
    new = f"{change.key} = {change.new}"
    for place in range(start + 1, end):
        if re.match(rf"\s*{change.key}\s*=", lines[place]):
            lines[place] = new
            return
    lines.insert(start + 1, new)


def _sections_named(change: Change, lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First line and the line after the last of the sections of that kind and name."""
    starts = [place for place, line in enumerate(lines) if _HEADER.match(line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        is_kind = re.match(rf"\s*\[\[\s*{change.section}\s*\]\]", lines[start])
        name = rf"\s*name\s*=\s*[\"']{re.escape(change.name)}[\"']"
        if is_kind and any(re.match(name, line) for line in lines[start:end]):
            yield start, end


def _expected(config: Config, suggestion: Suggestion) -> Config:
    """What the changed file must say."""
    new = {(one.section, one.name, one.key): json.loads(one.new) for one in suggestion.changes}
    buses = [_changed(one, "bus", new) for one in config.buses]
    meters = [_changed(one, "meter", new) for one in config.meters]
    return msgspec.structs.replace(
        config,
        buses=[*buses, *suggestion.buses],
        meters=[*meters, *suggestion.meters],
        profiles=suggestion.profiles or config.profiles,
    )


_Section = TypeVar("_Section", BusConfig, MeterConfig)


def _changed(section: _Section, kind: str, new: Mapping[tuple[str, str, str], object]) -> _Section:
    values = {key: value for (of, name, key), value in new.items() if (of, name) == (kind, section.name)}
    return msgspec.structs.replace(section, **values)
