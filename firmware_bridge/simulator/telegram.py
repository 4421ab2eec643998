"""What a device that sends by itself is told when it is to speak, and what it says. Pure."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.faults import Fault, Values
from firmware_bridge.simulator.register_map import Shown


class Moment(NamedTuple):
    """When a telegram is made, and what is known then."""

    # the second whose values are told, counted from the epoch
    at_s: int
    # what the device's own clock says
    clock_us: UtcUs
    serial_number: int
    faults: tuple[Fault, ...]
    # what is measured in a second, SI, with the faults in it
    values: Callable[[int], Values]

    def hides(self, measurand: Measurand) -> bool:
        """Whether a fault takes a value away."""
        return any(fault.hides(measurand) for fault in self.faults)


class Telegram(NamedTuple):
    """What is sent, and the values that it tells, SI; None for one that the device says it has not."""

    data: bytes
    shown: Shown


class Form(Protocol):
    """How one kind of device puts its values into telegrams."""

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it tells."""
        ...

    @property
    def blanks(self) -> frozenset[Measurand]:
        """For which it can say that there is no value."""
        ...

    @property
    def has_clock(self) -> bool:
        """Whether its telegrams carry a time."""
        ...

    @property
    def period_s(self) -> float:
        """Seconds between telegrams, as such devices come."""
        ...

    def telegram(self, moment: Moment) -> Telegram:
        """What is sent at that moment."""
        ...
