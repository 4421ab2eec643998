"""The distribution board: all meters behind one address, their faults and their log."""

from collections.abc import Iterable

from firmware_bridge.clock import Clock
from firmware_bridge.simulator.faults import FaultTable
from firmware_bridge.simulator.frames import (
    ModbusException,
    Request,
    decode_read,
    encode_exception,
    encode_reply,
)
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.meter import Meter


class Panel:
    """Answers requests at the clock's present instant."""

    def __init__(self, meters: Iterable[Meter], faults: FaultTable, clock: Clock, log: ValueLog) -> None:
        self._meters = {meter.unit: meter for meter in meters}
        self._faults, self._clock, self._log = faults, clock, log

    def reply(self, request: Request) -> bytes | None:
        """The frame to send back; None for a meter that stays silent."""
        meter = self._meters.get(request.unit)
        if meter is None:
            # Application Protocol 7: what a TCP gateway says for a unit that is not on its line.
            return encode_exception(request, ModbusException.TARGET_FAILED_TO_RESPOND)
        at_us = self._clock.utc_us()
        faults = self._faults.active(meter.name, at_us)
        for fault in faults:
            self._log.faulted(fault)
        if any(fault.is_silent for fault in faults):
            return None
        read = decode_read(request.pdu)
        if isinstance(read, ModbusException):
            return encode_exception(request, read)
        answer = meter.answer(read, at_us, faults)
        if isinstance(answer, ModbusException):
            return encode_exception(request, answer)
        self._log.answered(at_us, meter, read, answer)
        return encode_reply(request, answer.words)

    def warm_up(self) -> None:
        """Compute the present once: energy counters sum up all days since their start."""
        for meter in self._meters.values():
            meter.snapshot(self._clock.utc_us())
