"""Golden frames of meters: what goes over the wire for plausible values, and the values that are meant.

Written apart from the gateway's decoder and from the simulator: it reads the TOML of a map for itself,
so that no two of the three can share a bug. Exact in fractions; only the last step makes a float.
"""

import struct
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
MAPS = ROOT / "firmware_bridge" / "maps"
FRAMES = ROOT / "tests" / "golden" / "frames"
# Worked out by hand from the maker's document.
BY_HAND = {"carlo_gavazzi_em340", "eastron_sdm630"}
# Short enough to be read by a person.
REGISTERS_MAX = 60
HOLE_MAX = 12
# What stands between the values, to be skipped by whoever decodes.
NOISE = 0xA5A5
# Where the model of a SunSpec device lies behind SunS and a common model of 66 registers.
SUNSPEC_BASE = 40_070

# The beginning of a measurand's name: plausible value, SI; each further one is a little more.
TYPICAL = {
    "active_power_l2": Fraction(-15005, 10),
    "active_power": Fraction(12344, 10),
    "reactive_power": Fraction(-321),
    "apparent_power": Fraction(1280),
    "power_factor": Fraction(-987, 1000),
    "voltage": Fraction(2301, 10),
    "current": Fraction(525, 100),
    "frequency": Fraction(4998, 100),
    "energy": Fraction(123456700),
    "battery_discharge": Fraction(7654300),
    "battery_power": Fraction(-1500),
    "battery_voltage": Fraction(512, 10),
    "battery_current": Fraction(-293, 10),
    "state_of_charge": Fraction(87, 100),
    "pv_energy": Fraction(98765400),
    "pv": Fraction(3200),
    "load": Fraction(450),
    "dc_power": Fraction(3300),
    "temperature": Fraction(-205, 10),
    "relative_humidity": Fraction(546, 1000),
}
PREFIXES = {"k": 1000, "M": 1_000_000, "m": Fraction(1, 1000), "": 1}
UNITS = ("Wh", "W", "var", "VA", "V", "A", "Hz", "°C")
BITS = {"u16": 16, "s16": 16, "u32": 32, "s32": 32, "u64": 64, "s64": 64, "f32": 32, "acc32": 32}
# Powers of ten in scale registers, by unit.
EXPONENTS = {"A": -2, "V": -1, "W": 1, "VA": 1, "var": 1, "Hz": -2, "%": -1, "Wh": 2, "°C": -1}


class Value(NamedTuple):
    """One measurand of a map: what is needed to write it down and to say what it means."""

    name: str
    entry: dict[str, Any]
    # SI per raw
    factor: Fraction

    @property
    def words(self) -> int:
        return BITS[self.entry["type"]] // 16

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Address and sign of each register that is added up."""
        more = [(address, 1) for address in self.entry.get("plus", [])]
        less = [(address, -1) for address in self.entry.get("minus", [])]
        return [(self.entry["address"], 1), *more, *less]

    @property
    def exponent(self) -> int:
        return EXPONENTS[self.entry["unit"]] if "scale_address" in self.entry else 0

    @property
    def start(self) -> int:
        return min(address for address, _ in [*self.parts, (self.entry.get("scale_address", 1 << 16), 0)])

    @property
    def end(self) -> int:
        ends = [address + self.words for address, _ in self.parts]
        return max([*ends, self.entry.get("scale_address", -1) + 1])


class Frame(NamedTuple):
    """One exchange."""

    function: int
    address: int
    words: list[int]
    values: dict[str, float]
    missing: list[str]


def modbus_maps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and tree of every map whose device is asked for registers."""
    for path in sorted(MAPS.glob("*.toml")):
        tree = tomllib.loads(path.read_text())
        if tree.get("protocol", "modbus") == "modbus":
            yield path.stem, tree


def frames_of(tree: dict[str, Any]) -> list[Frame]:
    """Plausible values in as few frames as are short, then the first frame again without any value."""
    groups = list(_groups(tree))
    frames = [_frame(tree, group) for group in groups]
    blank = [group for group in groups if all(_blank(tree, value) is not None for value in group)]
    return frames + [_frame(tree, group, is_blank=True) for group in blank[:1]]


def golden_frames(tree: dict[str, Any]) -> str:
    """The file of one map."""
    is_tcp = "serial_defaults" not in tree
    base = SUNSPEC_BASE if "sunspec" in tree else 0
    lines = [
        "# Made by `make golden`: tests/golden/meter_frames.py reads the map and knows nothing of the decoder.",
        f"source = {_text(tree['sources'][0])}",
        *([f"base = {base}"] if base else []),
    ]
    for frame in frames_of(tree):
        request, reply = exchange(frame, unit_of(tree), base=base, is_tcp=is_tcp)
        words = ", ".join(f"0x{word:04X}" for word in frame.words)
        values = ", ".join(f"{name} = {value!r}" for name, value in frame.values.items())
        lines += [
            "",
            "[[frame]]",
            f'request = "{request.hex(" ")}"',
            f'reply = "{reply.hex(" ")}"',
            f"function = {frame.function}",
            f"address = {frame.address:#06x}",
            f"words = [{words}]",
            f"values = {{ {values} }}" if values else "values = {}",
            *([f"missing = [{', '.join(map(_text, frame.missing))}]"] if frame.missing else []),
        ]
    return "\n".join(lines) + "\n"


def write_golden_frames() -> None:
    """All files but those that were worked out by hand."""
    for name, tree in modbus_maps():
        if name not in BY_HAND:
            (FRAMES / f"{name}.toml").write_text(golden_frames(tree), encoding="utf-8")


def exchange(frame: Frame, unit: int, *, base: int = 0, is_tcp: bool) -> tuple[bytes, bytes]:
    """Request and reply as bytes on the wire."""
    request = struct.pack(">BHH", frame.function, frame.address + base, len(frame.words))
    data = b"".join(word.to_bytes(2, "big") for word in frame.words)
    reply = bytes([frame.function, len(data)]) + data
    if is_tcp:
        return tuple(struct.pack(">HHHB", 1, 0, len(pdu) + 1, unit) + pdu for pdu in (request, reply))
    return tuple(bytes([unit]) + pdu + crc(bytes([unit]) + pdu) for pdu in (request, reply))


def crc(data: bytes) -> bytes:
    """Modbus over Serial Line V1.02, appendix B; low byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


def unit_of(tree: dict[str, Any]) -> int:
    """The unit that the device has when it leaves the factory."""
    return tree.get("serial_defaults", tree.get("tcp_defaults"))["unit"]


def _groups(tree: dict[str, Any]) -> Iterator[list[Value]]:
    """Values that go into one request each."""
    values = [Value(name, entry, _factor(tree, name, entry)) for name, entry in tree["registers"].items()]
    values.sort(key=lambda value: (value.entry["function"], value.start, value.end))
    group: list[Value] = []
    for value in values:
        if group and not _fits(tree, group, value):
            yield group
            group = []
        group.append(value)
    yield group


def _fits(tree: dict[str, Any], group: list[Value], value: Value) -> bool:
    start, end = group[0].start, max(one.end for one in group)
    whole = range(start, max(end, value.end))
    return (
        group[0].entry["function"] == value.entry["function"]
        and value.start - end <= HOLE_MAX
        and len(whole) <= min(tree.get("max_read", 125), REGISTERS_MAX)
        and not any(border in whole[1:] for border in tree.get("never_across", []))
        and not any(first in whole for first, _ in tree.get("forbidden", []))
    )


def _factor(tree: dict[str, Any], name: str, entry: dict[str, Any]) -> Fraction:
    if "values" in entry:
        return Fraction(1)
    unit = entry["unit"]
    known = next((one for one in UNITS if unit.endswith(one)), unit)
    prefix = {"%": Fraction(1, 100), "1": 1}.get(unit) or PREFIXES[unit.removesuffix(known)]
    sign = entry.get("sign", tree.get("sign") if name.startswith("active_power") else None)
    turn = -1 if sign in ("generation_positive", "discharge_positive") else 1
    return turn * Fraction(str(entry["scale"])) * prefix


def _frame(tree: dict[str, Any], group: list[Value], *, is_blank: bool = False) -> Frame:
    start, end = group[0].start, max(value.end for value in group)
    raws: dict[int, tuple[str, float | int]] = {}
    for place, value in enumerate(sorted(group, key=lambda value: len(value.parts))):
        for address, raw in _blanks(tree, value) if is_blank else _raws(value, place, raws):
            raws.setdefault(address, (value.entry["type"], raw))
        if "scale_address" in value.entry:
            raws[value.entry["scale_address"]] = "s16", -0x8000 if is_blank else value.exponent
    words = [NOISE] * (end - start)
    for address, (kind, raw) in raws.items():
        parts = _words(kind, raw)
        is_low_first = tree.get("word_order") == "low_first"
        words[address - start : address - start + len(parts)] = parts[::-1] if is_low_first else parts
    if is_blank:
        return Frame(group[0].entry["function"], start, words, {}, [value.name for value in group])
    meanings = {value.name: _meaning(value, raws) for value in group}
    return Frame(group[0].entry["function"], start, words, meanings, [])


def _raws(value: Value, place: int, known: dict[int, tuple[str, float | int]]) -> Iterator[tuple[int, float | int]]:
    """A raw value for each part that has none: the whole for the first, a small rest for the others."""
    if "values" in value.entry:
        codes = [int(code, 0) for code in value.entry["values"]]
        yield value.entry["address"], codes[-1]
        return
    _, typical = max((one for one in TYPICAL.items() if value.name.startswith(one[0])), key=lambda one: len(one[0]))
    raw = typical / value.factor / Fraction(10) ** value.exponent
    if value.entry["type"][0] in "ua" or value.factor < 0:
        raw = abs(raw)
    for number, (address, _) in enumerate(value.parts):
        part = raw / (3 * number) if number else raw
        if address not in known:
            yield address, float(part) if value.entry["type"] == "f32" else round(part) + place


def _meaning(value: Value, raws: dict[int, tuple[str, float | int]]) -> float:
    if "values" in value.entry:
        raw = raws[value.entry["address"]][1]
        word = next(word for code, word in value.entry["values"].items() if int(code, 0) == raw)
        return CHOICES[value.name].index(word)
    total = sum(sign * _shown(*raws[address]) for address, sign in value.parts)
    return float(total * value.factor * Fraction(10) ** value.exponent)


# Which number an enumerated value has among those of the same measurand.
CHOICES = {
    "phase_sequence": ("reversed", "right"),
    "operating_state": ("off", "sleeping", "starting", "running", "throttled", "stopping", "fault", "standby"),
}


def _shown(kind: str, raw: float) -> Fraction:
    """What the register really holds: a float is rounded to 24 bits."""
    return Fraction(struct.unpack(">f", struct.pack(">f", raw))[0]) if kind == "f32" else Fraction(raw)


def _blank(tree: dict[str, Any], value: Value) -> int | None:
    """The bits that mean "no value"; None where this map has none for that type."""
    kind = value.entry["type"]
    if kind == "f32":
        return 0x7FC00000
    known = tree.get("invalid", {}).get(kind)
    return None if known is None else int(str(known[0]), 0)


def _blanks(tree: dict[str, Any], value: Value) -> Iterator[tuple[int, int]]:
    for address, _ in value.parts:
        bits = _blank(tree, value)
        assert bits is not None
        yield address, bits if value.entry["type"] != "f32" else bits | FLOAT_BITS


# Marks bits that stand for themselves, where a number would be packed as a float.
FLOAT_BITS = 1 << 40


def _words(kind: str, raw: float) -> list[int]:
    """High word first."""
    if kind == "f32":
        bits = raw & ~FLOAT_BITS if isinstance(raw, int) and raw & FLOAT_BITS else None
        data = struct.pack(">f", raw) if bits is None else bits.to_bytes(4, "big")
    else:
        data = (int(raw) % (1 << BITS[kind])).to_bytes(BITS[kind] // 8, "big")
    return [data[place] << 8 | data[place + 1] for place in range(0, len(data), 2)]


def _text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
