"""Misbehaviour on demand: what is wrong with which meter, from when until when. Pure.

A new kind of fault is a class here with the hooks it needs, and a line in `KINDS`: its own fields are
the settings that `[[fault]]` takes for it, and those without a default are needed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Protocol

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs

Values = dict[Measurand, float]

_DEVICE_FAILURE = 4


class Device(Protocol):
    """What a fault may know of the meter that it befalls."""

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it shows."""
        ...

    @property
    def wraps(self) -> Mapping[Measurand, float]:
        """SI values at which its counters begin again at 0."""
        ...

    @property
    def blanks(self) -> frozenset[Measurand]:
        """For which it has a way to show that there is no value."""
        ...

    @property
    def is_asked(self) -> bool:
        """Whether it answers requests for registers; the others send by themselves."""
        ...

    @property
    def has_clock(self) -> bool:
        """Whether what it sends carries the time of its own clock."""
        ...

    def values(self, at_s: int) -> Values:
        """What it measures in that second, SI, without faults."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour of one meter during `[from_us, until_us)`. By itself it changes nothing."""

    kind = "none"
    is_silent = False  # the meter answers nothing at all
    is_byte_swapped = False  # words of every value the other way round
    hides_values = False  # `hides` may be true

    meter: MeterId
    from_us: UtcUs
    until_us: UtcUs

    def shown_us(self, at_us: UtcUs) -> UtcUs:
        """The instant whose values the meter shows at `at_us`."""
        return at_us

    def clock_us(self, at_us: UtcUs) -> UtcUs:
        """What the meter's own clock says at `at_us`."""
        return at_us

    def distort(self, values: Values, device: Device) -> None:
        """Change the values, SI, that the meter is about to show."""

    def hides(self, measurand: Measurand) -> bool:  # noqa: ARG002 - none of them
        """Whether the maker's "no value" is shown instead."""
        return False

    def refusal(self) -> int | None:
        """The exception code that every read is answered with, if it is refused."""
        return None

    def swaps_meter(self) -> bool:
        """Whether another meter is in its place, with another serial number."""
        return False

    def misfit(self, device: Device) -> str | None:  # noqa: ARG002 - fits any
        """Why it cannot befall that meter, if it cannot."""
        return None

    def as_log(self) -> dict[str, object]:
        """The line that tells of it."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"fault": self.kind, **{name: value for name, value in told.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Fault):
    """The meter goes on showing what it showed when the fault began."""

    kind = "stuck"

    def shown_us(self, at_us: UtcUs) -> UtcUs:  # noqa: ARG002 - frozen: whatever the instant
        """The beginning of the fault."""
        return self.from_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent(Fault):
    """The meter answers nothing."""

    kind = "silent"
    is_silent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike(Fault):
    """One register shows a false value: `value`, or what is true plus `add`."""

    kind = "spike"

    register: Measurand
    value: float | None = None
    add: float | None = None

    def distort(self, values: Values, device: Device) -> None:  # noqa: ARG002 - the same for any device
        """Falsify the register; the others keep telling the truth."""
        if self.add is not None:
            values[self.register] += self.add
        if self.value is not None:
            values[self.register] = self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroDip(Fault):
    """Counters show 0 for a while, as after a brown-out before the memory is read back."""

    kind = "zero_dip"

    register: Measurand | None = None  # this counter alone

    def distort(self, values: Values, device: Device) -> None:  # noqa: ARG002 - the same for any device
        """Nothing counted."""
        for counter in _counters(values, self.register):
            values[counter] = 0.0

    def misfit(self, device: Device) -> str | None:
        """It needs counters."""
        return None if _counters(device.measurands, self.register) else "has no such counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOver(Fault):
    """Counters stand near the end of their type, and begin again at 0 in the middle of the fault."""

    kind = "roll_over"

    register: Measurand | None = None  # this counter alone

    def distort(self, values: Values, device: Device) -> None:
        """Move counters to where they overflow; the registers cut off what is too much."""
        middle = device.values((self.from_us + self.until_us) // 2 // US_PER_S)
        for counter in _counters(values, self.register):
            if counter in device.wraps:
                values[counter] += device.wraps[counter] - middle[counter]

    def misfit(self, device: Device) -> str | None:
        """It needs counters that overflow."""
        return None if _counters(device.wraps, self.register) else "has no such counter that begins again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel(Fault):
    """Registers show what means "no value" to their maker; those for which he names nothing stay true."""

    kind = "sentinel"
    hides_values = True

    register: Measurand | None = None  # this one alone

    def hides(self, measurand: Measurand) -> bool:
        """All of them, or the one."""
        return self.register in (None, measurand)

    def misfit(self, device: Device) -> str | None:
        """It needs registers with a sentinel."""
        return None if any(map(self.hides, device.blanks)) else "has no raw value there that means none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwappedMeter(Fault):
    """Another meter in its place: another serial number, and counters that begin anew."""

    kind = "swapped_meter"

    def distort(self, values: Values, device: Device) -> None:
        """Count from the beginning of the fault."""
        begin = device.values(self.from_us // US_PER_S)
        for counter in _counters(values, None):
            values[counter] = max(values[counter] - begin[counter], 0.0)

    def swaps_meter(self) -> bool:
        """Yes."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteSwapped(Fault):
    """Values of several registers come last register first, as after a change of the meter's settings."""

    kind = "byte_swapped"
    is_byte_swapped = True

    def misfit(self, device: Device) -> str | None:
        """It needs registers."""
        return _no_registers(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusing(Fault):
    """Every read is answered with an exception."""

    kind = "exception"

    code: int = _DEVICE_FAILURE

    def refusal(self) -> int | None:
        """The code."""
        return self.code

    def misfit(self, device: Device) -> str | None:
        """It needs requests."""
        return _no_registers(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongClock(Fault):
    """The meter's own clock is wrong; what stamps its telegrams is not to be trusted."""

    kind = "wrong_clock"

    shift_s: float

    def clock_us(self, at_us: UtcUs) -> UtcUs:
        """Ahead, or behind when negative."""
        return UtcUs(at_us + round(self.shift_s * US_PER_S))

    def misfit(self, device: Device) -> str | None:
        """It needs a clock."""
        return None if device.has_clock else "does not tell the time"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip(Fault):
    """Active powers and power factors have the other sign, as behind a transformer put on backwards.

    Counters are left as they are.
    """

    kind = "sign_flip"

    def distort(self, values: Values, device: Device) -> None:  # noqa: ARG002 - the same for any device
        """Turn them around."""
        for measurand in values:
            if measurand.startswith(("active_power", "power_factor")):
                values[measurand] = -values[measurand]


KINDS: dict[str, type[Fault]] = {
    kind.kind: kind
    for kind in (
        Stuck, Silent, Spike, ZeroDip, RollOver, Sentinel, SwappedMeter, ByteSwapped, Refusing, WrongClock, SignFlip
    )
}  # fmt: skip


class FaultTable:
    """All faults of a scenario, looked up at every request."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._by_meter: defaultdict[MeterId, list[Fault]] = defaultdict(list)
        for fault in faults:
            self._by_meter[fault.meter].append(fault)

    def active(self, meter: MeterId, at_us: UtcUs) -> tuple[Fault, ...]:
        """The faults of a meter at an instant, in the scenario's order."""
        faults = self._by_meter.get(meter)
        if not faults:
            return ()
        return tuple(fault for fault in faults if fault.from_us <= at_us < fault.until_us)


def _counters(measurands: Iterable[Measurand], only: Measurand | None) -> list[Measurand]:
    return [one for one in measurands if one.facts.is_counter and only in (None, one)]


def _no_registers(device: Device) -> str | None:
    return None if device.is_asked else "sends by itself and has no registers"
