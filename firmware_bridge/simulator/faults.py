"""Misbehaviour on demand: what is wrong with which meter, from when until when. Pure.

A new kind of fault is a class here with the hooks it needs, and a line in `scenario.py`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs

Values = dict[Measurand, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour of one meter during `[from_us, until_us)`. By itself it changes nothing."""

    kind = "none"

    meter: MeterId
    from_us: UtcUs
    until_us: UtcUs

    @property
    def is_silent(self) -> bool:
        """Whether the meter answers nothing at all."""
        return False

    def shown_us(self, at_us: UtcUs) -> UtcUs:
        """The instant whose values the meter shows at `at_us`."""
        return at_us

    def distort(self, values: Values) -> None:
        """Change the values, SI, that the meter is about to show."""

    def as_log(self) -> dict[str, object]:
        """The line that tells of it."""
        return {"fault": self.kind, "meter": self.meter, "from_us": self.from_us, "until_us": self.until_us}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Fault):
    """The meter goes on showing what it showed when the fault began."""

    kind = "stuck"

    def shown_us(self, at_us: UtcUs) -> UtcUs:  # noqa: ARG002 - frozen: whatever the instant
        """The beginning of the fault."""
        return self.from_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike(Fault):
    """One register shows a false value: `value`, or what is true plus `add`."""

    kind = "spike"

    register: Measurand
    value: float | None = None
    add: float = 0.0

    def distort(self, values: Values) -> None:
        """Falsify the register; the others keep telling the truth."""
        values[self.register] = values[self.register] + self.add if self.value is None else self.value

    def as_log(self) -> dict[str, object]:
        """The line that tells of it."""
        how = {"add": self.add} if self.value is None else {"value": self.value}
        return {**Fault.as_log(self), "register": self.register, **how}


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent(Fault):
    """The meter answers nothing."""

    kind = "silent"

    @property
    def is_silent(self) -> bool:
        """Nothing at all."""
        return True


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
