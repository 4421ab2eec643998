"""One value's registers: from a physical value to raw values at addresses. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.faults import Values
from firmware_bridge.simulator.raw_type import RawType

# Powers of ten that an inverter uses for its scale: hundredths for a small value, tens of kilo for a
# big one.
_FINEST, _COARSEST = -2, 4


class Raws(NamedTuple):
    """What a value looks like in its registers."""

    # by address
    parts: dict[int, float]
    # SI value that they stand for
    shown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where a value lies, and in which form; raw values times `scale` are SI."""

    measurand: Measurand
    function: int
    address: int
    type: RawType
    # negative where the maker counts the other direction as positive
    scale: float
    is_low_first: bool
    # further registers that a reader adds up, or takes off
    plus: tuple[int, ...] = ()
    minus: tuple[int, ...] = ()
    # register with the power of ten, as a signed number
    scale_address: int | None = None
    # place of a choice -> its raw value, for enumerations
    choices: tuple[tuple[int, int], ...] = ()
    # raw value at which a counter begins again at 0
    wrap: float | None = None
    # raw values that mean "no value", and the bits of the first of them
    sentinels: frozenset[float] = frozenset()
    blank_bits: int | None = None

    @property
    def is_sum(self) -> bool:
        """Whether a reader has to add up."""
        return bool(self.plus or self.minus)

    @property
    def is_plain(self) -> bool:
        """Whether it is one register, times a constant."""
        return not (self.is_sum or self.choices or self.scale_address is not None)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Address and count of everything that the value takes."""
        places = [(address, self.type.words) for address in (self.address, *self.plus, *self.minus)]
        return places if self.scale_address is None else [*places, (self.scale_address, 1)]

    @property
    def wraps_at(self) -> float | None:
        """SI value at which the counter begins again."""
        return None if self.wrap is None else self.wrap * abs(self.scale)

    def encode(self, value: float, exponent: int = 0, borrowed: Mapping[int, float] | None = None) -> Raws:
        """The raw values for an SI value.

        Args:
            value: SI.
            exponent: of the scale register.
            borrowed: raw values at addresses that other values own; they are added up like the rest.
        """
        if self.choices:
            return self._choice(value)
        if not self.is_sum:
            raw = self.raw(value, exponent)
            return Raws({self.address: raw}, raw * self._factor(exponent))
        return self._sum(value, exponent, borrowed or {})

    def raw(self, value: float, exponent: int = 0) -> float:
        """The raw value of a plain register."""
        return self._fit(self._total(value, exponent))

    def _sum(self, value: float, exponent: int, others: Mapping[int, float]) -> Raws:
        rest = self._total(value, exponent)
        rest -= sum(others.get(address, 0) for address in (self.address, *self.plus))
        rest += sum(others.get(address, 0) for address in self.minus)
        gives = [address for address in (self.address, *self.plus) if address not in others]
        takes = [address for address in self.minus if address not in others]
        is_taken = rest < 0 and bool(takes)
        parts = self._spread(0 if is_taken else rest, gives)
        parts |= self._spread(-rest if is_taken else 0, takes)
        raws = {**others, **parts}
        total = sum(raws[address] for address in (self.address, *self.plus))
        total -= sum(raws[address] for address in self.minus)
        return Raws(parts, total * self._factor(exponent))

    def is_beyond(self, value: float, exponent: int) -> bool:
        """Whether an SI value does not fit at that exponent."""
        return not self.type.is_float and abs(self._total(value, exponent)) > self.type.highest

    def _factor(self, exponent: int) -> float:
        # 2301 / 10 is 230.1 and 2301 * 0.1 is not.
        if not exponent:
            return self.scale
        return self.scale / 10.0**-exponent if exponent < 0 else self.scale * 10.0**exponent

    def _total(self, value: float, exponent: int) -> float:
        raw = value / self._factor(exponent)
        if self.wrap is not None:
            raw %= self.wrap
        return raw if self.type.is_float else round(raw)

    def _spread(self, total: float, addresses: Sequence[int]) -> dict[int, float]:
        """`total` in equal parts; what whole numbers leave over goes to the first."""
        if not addresses:
            return {}
        share = total / len(addresses) if self.type.is_float else total // len(addresses)
        parts = dict.fromkeys(addresses, self._fit(share))
        parts[addresses[0]] = self._fit(total - share * (len(addresses) - 1))
        return parts

    def _fit(self, raw: float) -> float:
        """The nearest raw value that is one: no sentinel."""
        fitting = self.type.fit(raw)
        while fitting in self.sentinels:
            fitting += 1 if fitting <= 0 else -1
        return fitting

    def _choice(self, value: float) -> Raws:
        """The raw value of a choice; the first one where this meter does not know it."""
        place = round(value)
        known = dict(self.choices)
        place = place if place in known else self.choices[0][0]
        return Raws({self.address: known[place]}, float(place))


def exponent_for(registers: Iterable[Register], values: Values) -> int:
    """The power of ten for values that share a scale register: the finest at which all of them fit."""
    mine = list(registers)
    # What counts must not lose its last digits when it grows.
    finest = 0 if any(one.measurand.facts.is_counter for one in mine) else _FINEST
    for exponent in range(finest, _COARSEST):
        if not any(one.is_beyond(values[one.measurand], exponent) for one in mine):
            return exponent
    return _COARSEST
