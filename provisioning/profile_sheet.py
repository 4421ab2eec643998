"""A meter profile as a sheet of paper, or as one JSON object: what is read, how, and how well it is known. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from firmware_bridge.map_file import FieldEntry, MapFile, RegisterEntry
from firmware_bridge.poll_plan import TCP, Block, WireCost, plan
from firmware_bridge.profile import Profile
from firmware_bridge.settings import convert

_SECTIONS = {"registers": RegisterEntry, "fields": FieldEntry}


def sheet(profile: Profile) -> str:
    """The profile for a person."""
    return "\n".join([*_head(profile.file), "", *_values(profile), *_requests(profile), *_about(profile.file)])


def facts(profile: Profile) -> dict[str, Any]:
    """The profile for a program: the file's own keys, and the requests of one sweep."""
    written = msgspec.to_builtins(profile.file)
    requests = [
        {
            "function": block.function,
            "address": block.address,
            "count": block.count,
            "period_s": block.period_s,
            "measurands": [str(one.measurand) for one in block.registers],
        }
        for block in _blocks(profile)
    ]
    return {"name": profile.name, **written, "requests": requests}


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text side by side, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _head(file: MapFile) -> Iterator[str]:
    yield f"{file.key}: {file.vendor} {', '.join(file.models)}"
    phases = f", {file.phases} phase{'s' * (file.phases > 1)}" if file.phases else ""
    yield f"{file.kind}{phases}; {file.confidence} confidence; {' or '.join(file.transport) or file.protocol}"
    if defaults := file.serial_defaults:
        form = f"{defaults.data_bits}{defaults.parity}{defaults.stop_bits}"
        yield f"serial: {defaults.baud} {form}, unit {defaults.unit}"
    if file.serial_notes:
        yield f"  {file.serial_notes}"
    if file.tcp_defaults:
        yield f"tcp: port {file.tcp_defaults.port}, unit {file.tcp_defaults.unit}"
    if file.sunspec:
        models = ", ".join(map(str, file.sunspec.models))
        yield f"SunSpec: addresses are offsets from the id of model {models}"
    if file.protocol == "modbus":
        yield f"words: {file.word_order}; at most {file.max_read} registers in a request{_limits(file)}"


def _limits(file: MapFile) -> str:
    parts = [
        "even addresses and counts" if file.even else "",
        *(f"never {first:#06x} to {last:#06x}" for first, last in file.forbidden),
        f"never across {', '.join(map(str, file.never_across))}" if file.never_across else "",
        f"{file.pause_s:g} s between requests" if file.pause_s else "",
        f"{file.connect_pause_s:g} s after connecting" if file.connect_pause_s else "",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _values(profile: Profile) -> Iterator[str]:
    yield from columns(list(_register_rows(profile) if profile.registers else _field_rows(profile)))
    for section, kind in _SECTIONS.items():
        for name, entry in _entries(profile.file, section, kind):
            choices = "; ".join(f"{raw} = {choice}" for raw, choice in entry.values.items())
            yield from (f"  {name}: {text}" for text in (choices, entry.note) if text)


def _register_rows(profile: Profile) -> Iterator[tuple[str, ...]]:
    yield "measurand", "address", "", "function", "type", "scale", "unit", "every", "confidence"
    entries = dict(_entries(profile.file, "registers", RegisterEntry))
    for register in profile.registers:
        entry = entries[register.measurand]
        scale, unit = _unit(entry)
        power = "" if entry.scale_address is None else f" x 10^[{entry.scale_address}]"
        yield (
            register.measurand,
            _sum(f"{entry.address:#06x}", map(hex, entry.plus), map(hex, entry.minus)),
            str(entry.address),
            str(entry.function),
            entry.type,
            f"{'-' if register.numerator < 0 else ''}{scale}{power}",
            unit,
            f"{register.period_s:g} s" if register.period_s else "sweep",
            entry.confidence or profile.file.confidence,
        )


def _field_rows(profile: Profile) -> Iterator[tuple[str, ...]]:
    yield "measurand", "code", "scale", "unit", "confidence"
    for name, entry in _entries(profile.file, "fields", FieldEntry):
        confidence = entry.confidence or profile.file.confidence
        yield name, _sum(entry.code, entry.plus, entry.minus), *_unit(entry), confidence


def _unit(entry: RegisterEntry | FieldEntry) -> tuple[str, str]:
    return ("", "choice") if entry.values else (f"{entry.scale:g}", entry.unit)


def _sum(first: str, plus: Iterable[str], minus: Iterable[str]) -> str:
    return "".join([first, *(f" + {one}" for one in plus), *(f" - {one}" for one in minus)])


def _entries(file: MapFile, section: str, kind: type[Any]) -> list[tuple[str, Any]]:
    return [(name, convert(raw, kind)) for name, raw in getattr(file, section).items()]


def _blocks(profile: Profile) -> list[Block]:
    defaults = profile.file.serial_defaults
    if defaults is None:
        return plan(profile, TCP)
    bits = 1 + defaults.data_bits + (defaults.parity != "N") + defaults.stop_bits
    return plan(profile, WireCost.of_serial(bits / defaults.baud))


def _requests(profile: Profile) -> Iterator[str]:
    if not profile.registers:
        return
    blocks = _blocks(profile)
    each = sum(not block.period_s for block in blocks)
    yield ""
    yield f"requests: {each} for each sweep" + (f", {len(blocks) - each} now and then" if len(blocks) > each else "")
    rows = [
        (
            f"  function {block.function}",
            f"{block.address:#06x} ({block.address})",
            f"{block.count} registers",
            f"every {block.period_s:g} s" if block.period_s else "each sweep",
            f"{len(block.registers)} values",
        )
        for block in blocks
    ]
    yield from columns(rows)


def _about(file: MapFile) -> Iterator[str]:
    told = [
        f"{one.name}: {_tables(one.values, one.contains, [family.model for family in one.ranges])}"
        for one in file.identify
    ]
    for title, lines in (("told from others by", told), ("mind", file.quirks), ("sources", file.sources)):
        if lines:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for line in lines)


def _tables(values: dict[str, str], contains: dict[str, str], families: list[str]) -> str:
    models = dict.fromkeys([*values.values(), *contains.values(), *families])
    return ", ".join(models) or "(as it reads)"
