"""What a meter's map means in register words, written apart from the gateway and from its simulator.

It reads the TOML for itself and packs with `struct` alone, so that no misreading of ours can stand on both
sides of a wire. Exact in fractions; only the last step makes a float.
"""

import struct
import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

FORMATS = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "acc32": "I"}
UNSIGNED = ("u16", "u32", "u64", "acc32")
# How many SI units are in one.
UNITS = {
    **dict.fromkeys(("W", "VA", "var", "V", "A", "Hz", "Wh", "°C", "1"), Fraction(1)),
    **dict.fromkeys(("lx", "W/m²", "Pa", "m/s", "m³", "pulses"), Fraction(1)),
    **dict.fromkeys(("kW", "kVA", "kvar", "kWh", "kV", "klx", "kPa"), Fraction(1000)),
    **dict.fromkeys(("MW", "MWh"), Fraction(1_000_000)),
    **dict.fromkeys(("mV", "mA", "mHz", "mm/s", "l"), Fraction(1, 1000)),
    "%": Fraction(1, 100),
    "ppm": Fraction(1, 1_000_000),
    "hPa": Fraction(100),
    "bar": Fraction(100_000),
}
TURNED = ("generation_positive", "discharge_positive")
# Places of the words in an enumeration.
CHOICES = {
    "contact": ["open", "closed"],
    "phase_sequence": ["reversed", "right"],
    "operating_state": ["off", "sleeping", "starting", "running", "throttled", "stopping", "fault", "standby"],
}
# The beginning of a measurand's name: a value that a meter may show, SI. The longest one counts.
KNOWN = {
    "active_power": Fraction(-12340),
    "active_power_l": Fraction(4110),
    "reactive_power": Fraction(-3210),
    "apparent_power": Fraction(12870),
    "power_factor": Fraction(-7, 10),
    "voltage": Fraction(2301, 10),
    "current": Fraction(1725, 100),
    "frequency": Fraction(4998, 100),
    "energy": Fraction(123_456_700),
    "battery_power": Fraction(-1500),
    "battery_voltage": Fraction(512, 10),
    "battery_current": Fraction(-293, 10),
    "battery_discharge": Fraction(7_654_300),
    "state_of_charge": Fraction(60, 100),
    "pv": Fraction(3200),
    "pv_energy": Fraction(98_765_400),
    "load": Fraction(450),
    "dc_power": Fraction(3300),
    "temperature": Fraction(-205, 10),
    "relative_humidity": Fraction(546, 1000),
    "illuminance": Fraction(23_400),
    "irradiance": Fraction(870),
    "pressure": Fraction(101_300),
    "vibration": Fraction(12, 1000),
    "gas_volume": Fraction(4567),
    "gas_concentration": Fraction(412, 1_000_000),
    "pulse_count": Fraction(123_456),
}
# The power of ten that a scale register gets, by unit: below, at and above zero. Others get -1.
EXPONENTS = {"A": -2, "W": 1, "VA": 1, "var": 1, "Hz": -2, "Wh": 2, "°C": 0}

# By function and address.
Words = dict[tuple[int, int], int]


class Decoded(NamedTuple):
    """A value, SI, and the step in which its register counts."""

    value: float
    step: float


class Point(NamedTuple):
    """One measurand of a map."""

    name: str
    function: int
    type: str
    # address and sign of what is added up
    parts: list[tuple[int, int]]
    scale_address: int | None
    # SI per raw, before the scale register
    factor: Fraction
    # raw value -> place
    choices: dict[int, int]
    # the power of ten that image() writes into the scale register
    exponent: int

    @property
    def words(self) -> int:
        return struct.calcsize(">" + FORMATS[self.type]) // 2


class Image(NamedTuple):
    """Words to fill a device with, and the values that they mean, SI."""

    words: Words
    values: dict[str, float]


class MeterMap:
    """One map, as whoever reads it for the first time understands it."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        self.points = [_point(name, entry, self.tree) for name, entry in self.tree["registers"].items()]
        self._is_low_first = self.tree.get("word_order") == "low_first"
        # Sums come last: what they add up may be values by themselves.
        self.points.sort(key=lambda point: len(point.parts))
        self._alone = {(one.function, one.parts[0][0]) for one in self.points if len(one.parts) == 1}

    @property
    def end(self) -> int:
        """The address after the last register."""
        places = [address + point.words for point in self.points for address, _ in point.parts]
        return max([*places, *(point.scale_address + 1 for point in self.points if point.scale_address is not None)])

    @property
    def known(self) -> dict[str, float]:
        """A value that each measurand can be made to show, but those that only add up others."""
        return {
            point.name: float(_known_si(point, place))
            for place, point in enumerate(self.points)
            if not self._adds_others(point)
        }

    def image(self, base: int = 0) -> Image:
        """Known values in words; `base` is added to all addresses."""
        raws: dict[tuple[int, int], float] = {}
        exponents: dict[tuple[int, int], int] = {}
        for place, point in enumerate(self.points):
            if point.scale_address is not None:
                exponents[point.function, point.scale_address] = point.exponent
            if not self._adds_others(point):
                raws |= {(point.function, at): raw for at, raw in _raws(point, _known_si(point, place))}
        types = {(point.function, address): point.type for point in self.points for address, _ in point.parts}
        words: Words = {(function, at + base): raw & 0xFFFF for (function, at), raw in exponents.items()}
        for (function, address), raw in raws.items():
            packed = self._packed(types[function, address], raw)
            words |= {(function, address + base + offset): word for offset, word in enumerate(packed)}
        return Image(words, {name: one.value for name, one in self.values(words, base).items()})

    def values(self, words: Mapping[tuple[int, int], int], base: int = 0) -> dict[str, Decoded]:
        """What the words mean."""
        return {point.name: self._value(point, words, base) for point in self.points}

    def _value(self, point: Point, words: Mapping[tuple[int, int], int], base: int) -> Decoded:
        def raw(kind: str, address: int, count: int) -> float:
            piece = [words[point.function, base + address + offset] for offset in range(count)]
            return _unpacked(kind, piece[::-1] if self._is_low_first else piece)

        total = sum((sign * Fraction(raw(point.type, at, point.words)) for at, sign in point.parts), Fraction(0))
        if point.choices:
            return Decoded(float(point.choices[int(total)]), 0.0)
        exponent = 0 if point.scale_address is None else int(raw("s16", point.scale_address, 1))
        factor = point.factor * Fraction(10) ** exponent
        step = abs(total) * Fraction(1, 2**23) if point.type == "f32" else Fraction(1)
        return Decoded(float(total * factor), float(step * abs(factor)))

    def _packed(self, kind: str, raw: float) -> list[int]:
        data = struct.pack(">" + FORMATS[kind], raw)
        words = [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]
        return words[::-1] if self._is_low_first else words

    def _adds_others(self, point: Point) -> bool:
        """Whether a sum is of values that are there by themselves, and has nothing of its own."""
        own = [(point.function, address) in self._alone for address, _ in point.parts]
        assert all(own) or not any(own) or len(own) == 1, f"{point.name}: some of its parts are values by themselves"
        return len(own) > 1 and all(own)


def modbus_maps(*folders: Path) -> list[MeterMap]:
    """Every map there whose device is asked for registers."""
    maps = [path for folder in folders for path in sorted(folder.glob("*.toml"))]
    return [MeterMap(path) for path in maps if "\n[registers]\n" in path.read_text(encoding="utf-8")]


def _point(name: str, entry: Mapping[str, Any], tree: Mapping[str, Any]) -> Point:
    sign = entry.get("sign", tree.get("sign") if name.startswith("active_power") else None)
    unit = entry.get("unit", "1")
    scale = Fraction(str(entry.get("scale", 1)))
    parts = [(address, 1) for address in (entry["address"], *entry.get("plus", []))]
    return Point(
        name=name,
        function=entry["function"],
        type=entry["type"],
        parts=parts + [(address, -1) for address in entry.get("minus", [])],
        scale_address=entry.get("scale_address"),
        factor=scale * UNITS[unit] * (-1 if sign in TURNED else 1),
        choices={int(raw, 0): CHOICES[name].index(word) for raw, word in entry.get("values", {}).items()},
        exponent=EXPONENTS.get(unit, -1) if "scale_address" in entry else 0,
    )


def _known_si(point: Point, place: int) -> Fraction:
    """A value of its own for each measurand of a map, so that a mix-up shows."""
    if point.choices:
        return Fraction(list(point.choices.values())[-1])
    start = max((one for one in KNOWN if point.name.startswith(one)), key=len)
    value = KNOWN[start] * (1 + Fraction(place, 100))
    if point.type in UNSIGNED and all(sign > 0 for _, sign in point.parts):
        return abs(value) if point.factor > 0 else -abs(value)
    return value


def _unpacked(kind: str, words: list[int]) -> float:
    raw: float = struct.unpack(">" + FORMATS[kind], b"".join(word.to_bytes(2) for word in words))[0]
    return raw


def _raws(point: Point, value: Fraction) -> Iterator[tuple[int, float]]:
    """A raw value for each part: the first takes what the others leave."""
    if point.choices:
        yield point.parts[0][0], next(raw for raw, place in point.choices.items() if place == value)
        return
    total = value / point.factor / Fraction(10) ** point.exponent
    (first, _), *others = point.parts
    raws = {at: 11 * number for number, (at, _) in enumerate(others, 1)}
    rest = total - sum(sign * raws[at] for at, sign in others)
    if rest < 0 and point.type in UNSIGNED:
        last = next(at for at, sign in reversed(others) if sign < 0)
        raws[last] += round(-rest) + 1000
        rest = total - sum(sign * raws[at] for at, sign in others)
    yield first, float(rest) if point.type == "f32" else round(rest)
    yield from raws.items()
