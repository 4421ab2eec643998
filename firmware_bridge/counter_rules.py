"""What is known of a counter before it is read: how fast it can rise, how finely it counts, where it ends. Pure."""

from collections.abc import Iterator
from math import frexp, ldexp

import msgspec

from firmware_bridge.map_file import RegisterType
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Register
from firmware_bridge.reading import Series

# A breaker carries a fifth more than its rating for a while; what is beyond cannot be true.
RATED_POWER_FACTOR = 1.2

_S_PER_H = 3600.0
# m³/h of the largest gas meter with a low-pressure diaphragm, G100 (EN 1359).
_GAS_M3_PER_H_MAX = 160.0
# A microcontroller that counts edges in an interrupt follows them to about 1 kHz; pulse outputs of
# meters stay below 17 Hz (IEC 62053-31).
_PULSES_PER_S_MAX = 1000.0
# How long a register may stand still although it is counted: some inverters refresh their totals every
# five minutes, the gas meter behind a DSMR 4 port reports once an hour.
_REFRESH_S = 300.0
_GAS_REFRESH_S = 3600.0
# Makers of float registers count in hundredths of the unit they print.
_FLOAT_STEPS = 100
_FLOAT32_BITS = 24
# Relative error of a sum of a few decimals in floats of 53 bits.
_SUM_ERROR = 1e-12
# Displays end at 10^5 counts (99999) and beyond; fewer digits are on no meter.
_DECIMAL_EXPONENTS = range(5, 16)
# A factor register may move the raw unit of a counter by so many decimals.
_SCALE_EXPONENTS = range(-2, 4)


class CounterRules(msgspec.Struct, frozen=True, kw_only=True):
    """How one counting series behaves; everything in the unit of its measurand."""

    # how sentences call the series
    subject: str
    unit: str
    # the fastest rise, tolerance included
    rate_max_per_s: float
    # the smallest step between two values
    resolution: float
    # what one raw count is worth; a counter is a whole number of these, unless it is a float
    raw_unit: float
    is_float: bool = False
    # the raw unit is times a power of ten that is only known when it is read
    is_scaled: bool = False
    # where the counter begins again at 0, when the profile says so
    wraps_at: float | None = None
    # seconds that the register may stand still although the quantity is counted
    refresh_s: float = 0.0

    def resolution_at(self, value: float) -> float:
        """The smallest step at `value`: a float loses resolution as it grows (above 16 MWh, 2 Wh)."""
        return max(self.resolution, self._float_step(value)) if self.is_float else self.resolution

    def rounding_at(self, value: float) -> float:
        """How far `value` may seem to fall although nothing happened."""
        if self.is_float:
            return self._float_step(value)
        # A factor register that moves by one takes a digit from the total; sums of decimals differ in the last bits.
        return self.resolution * 10 if self.is_scaled else value * _SUM_ERROR

    def _float_step(self, value: float) -> float:
        """Each of two values is rounded to a mantissa of 24 bits, the upper one perhaps to the next power of two."""
        return ldexp(self.raw_unit, frexp(value / self.raw_unit)[1] - _FLOAT32_BITS + 1)

    def limits(self) -> Iterator[float]:
        """Where the counter may begin again at 0: as the profile says, at 2^32 raw, or at the end of its display."""
        if self.wraps_at is not None:
            yield self.wraps_at
        exponents = _SCALE_EXPONENTS if self.is_scaled else (0,)
        for unit in (self.raw_unit * 10.0**exponent for exponent in exponents):
            yield unit * 2**32
            yield from (unit * 10.0**exponent for exponent in _DECIMAL_EXPONENTS)


def counter_rules(series: Series, rated_power_w: float, register: Register | None = None) -> CounterRules:
    """The rules for a counting series behind a main breaker of `rated_power_w`, read from `register`.

    Without a register (the value came in a frame) it counts whole steps of the stored resolution.
    """
    facts = series.measurand.facts
    assert facts.is_counter, f"{series} is no counter"
    raw_unit = facts.resolution if register is None else register.numerator / register.denominator
    is_float = register is not None and register.type is RegisterType.F32
    return CounterRules(
        subject=str(series),
        unit=facts.unit,
        rate_max_per_s=_rate_max_per_s(series.measurand, rated_power_w),
        resolution=raw_unit / _FLOAT_STEPS if is_float else raw_unit,
        raw_unit=raw_unit,
        is_float=is_float,
        is_scaled=register is not None and register.scale_address is not None,
        wraps_at=None if register is None else register.wraps_at,
        refresh_s=_GAS_REFRESH_S if series.measurand is Measurand.GAS_VOLUME_M3 else _REFRESH_S,
    )


def _rate_max_per_s(measurand: Measurand, rated_power_w: float) -> float:
    match measurand.facts.unit:
        case "Wh":
            return rated_power_w * RATED_POWER_FACTOR / _S_PER_H
        case "m³":
            return _GAS_M3_PER_H_MAX / _S_PER_H
        case _:
            return _PULSES_PER_S_MAX
