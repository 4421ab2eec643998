"""Devices that send by themselves: P1 and SML meters, and sensors on a serial line."""

from collections.abc import Iterable, Mapping

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Fault, FaultTable, Values
from firmware_bridge.simulator.instrument import Instrument, distorted, shown_second
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.telegram import Form, Moment, Telegram


class SendingMeter:
    """One device with a form of telegrams."""

    is_asked = False
    # No single counter of theirs ends at a power of two: what is told are decimals, or sums of tariffs.
    wraps: Mapping[Measurand, float] = {}

    def __init__(self, instrument: Instrument, form: Form, period_s: float | None = None) -> None:
        """Send every `period_s`, or as often as such devices do."""
        self.name: MeterId = instrument.name
        self.unit = instrument.unit
        self.period_s = form.period_s if period_s is None else period_s
        self._instrument, self._form = instrument, form

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it tells."""
        return self._form.measurands

    @property
    def blanks(self) -> frozenset[Measurand]:
        """For which it can say that there is no value."""
        return self._form.blanks

    @property
    def has_clock(self) -> bool:
        """Whether its telegrams carry a time."""
        return self._form.has_clock

    def values(self, at_s: int) -> Values:
        """What it measures in that second, SI."""
        return self._instrument.values(at_s)

    def telegram(self, at_us: UtcUs, faults: tuple[Fault, ...] = ()) -> Telegram:
        """What it sends at `at_us`."""
        at_s = shown_second(at_us, faults)
        serial_number = self._instrument.serial_number(faults)
        clock_us = _clock_us(at_us, faults)
        return self._form.telegram(
            Moment(at_s, clock_us, serial_number, faults, lambda second: distorted(self, second, faults))
        )


class Sender:
    """What comes out of one device, with its faults and its log."""

    def __init__(self, meter: SendingMeter, faults: FaultTable, log: ValueLog) -> None:
        self.name, self.unit, self.period_s = meter.name, meter.unit, meter.period_s
        self._meter, self._faults, self._log = meter, faults, log

    def warm_up(self, at_us: UtcUs) -> None:
        """Compute one instant: energy counters sum up all days since their start."""
        self._meter.telegram(at_us)

    def frame(self, at_us: UtcUs) -> bytes:
        """What the device sends at `at_us`, all of it told to the log; nothing while it is silent."""
        faults = self._faults.active(self.name, at_us)
        for fault in faults:
            self._log.faulted(fault)
        if any(fault.is_silent for fault in faults):
            return b""
        telegram = self._meter.telegram(at_us, faults)
        self._log.sent(at_us, self._meter.name, self._meter.unit, telegram.shown)
        return telegram.data


def _clock_us(at_us: UtcUs, faults: Iterable[Fault]) -> UtcUs:
    """What the device's clock says: a stuck one stands, a wrong one is off."""
    for fault in faults:
        at_us = fault.clock_us(fault.shown_us(at_us))
    return at_us
