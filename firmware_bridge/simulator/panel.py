"""The distribution board: all meters behind one address, their faults and their log."""

from collections.abc import Iterable

from firmware_bridge.clock import Clock
from firmware_bridge.errors import NotFoundError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator import device_id
from firmware_bridge.simulator.faults import Fault, FaultTable, Spike
from firmware_bridge.simulator.frames import (
    ModbusException,
    Request,
    decode_read,
    encode_reply,
    exception_pdu,
    words_pdu,
)
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.meter import Meter

_FOR_EVER_US = UtcUs(2**62)


class Panel:
    """Answers requests at the clock's present instant."""

    def __init__(self, meters: Iterable[Meter], faults: FaultTable, clock: Clock, log: ValueLog) -> None:
        every = list(meters)
        beside = {unit: meter for meter in reversed(every) for unit in meter.units_beside}
        self._meters = beside | {meter.unit: meter for meter in every}
        self._faults, self._clock, self._log = faults, clock, log
        self._shown: dict[tuple[MeterId, Measurand], Fault] = {}

    @property
    def units(self) -> list[int]:
        """Units that answer: those of the meters, and those where some of them say besides who they are."""
        return sorted(self._meters)

    def reply(self, request: Request) -> bytes | None:
        """The frame of Modbus TCP to send back; None for a meter that stays silent."""
        if request.unit not in self._meters:
            # Application Protocol 7: what a TCP gateway says for a unit that is not on its line.
            pdu = exception_pdu(request.pdu[0], ModbusException.TARGET_FAILED_TO_RESPOND)
            return encode_reply(request, pdu)
        answer = self.answer(request.unit, request.pdu)
        return None if answer is None else encode_reply(request, answer)

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """What the meter at `unit` answers to a request; None when it is silent or not there.

        Args:
            unit: Modbus unit id.
            pdu: function code and what follows it; not empty.
        """
        meter = self._meters.get(unit)
        if meter is None:
            return None
        at_us = self._clock.utc_us()
        shown = [fault for (name, _), fault in self._shown.items() if name == meter.name]
        faults = (*self._faults.active(meter.name, at_us), *shown)
        for fault in faults:
            self._log.faulted(fault)
        if any(fault.is_silent for fault in faults):
            return None
        answer = _refusal(faults) or self._answer(meter, unit, pdu, at_us, faults)
        return exception_pdu(pdu[0], answer) if isinstance(answer, int) else answer

    def _answer(
        self, meter: Meter, unit: int, pdu: bytes, at_us: UtcUs, faults: tuple[Fault, ...]
    ) -> bytes | ModbusException:
        if pdu[0] == device_id.FUNCTION:
            return device_id.identification_pdu(pdu, meter.objects(faults))
        read = decode_read(pdu)
        if isinstance(read, ModbusException):
            return read
        if unit != meter.unit:
            words = meter.answer_beside(unit, read, faults)
            return words if isinstance(words, ModbusException) else words_pdu(pdu[0], words)
        answer = meter.answer(read, at_us, faults)
        if isinstance(answer, ModbusException):
            return answer
        self._log.answered(at_us, meter, read, answer)
        return words_pdu(pdu[0], answer.words)

    def show(self, meter: MeterId, measurand: Measurand, value: float) -> None:
        """Let `meter` show `value`, SI, from now on, as a reference meter on a bench is set.

        Raises:
            NotFoundError: there is no such meter, or it shows no such measurand.
        """
        known = {one.name: one for one in self._meters.values()}
        if meter not in known:
            raise NotFoundError("meter", repr(meter), "is not a meter here", f"use one of: {', '.join(known)}")
        shown = sorted({str(one.measurand) for one in known[meter].registers.registers})
        if measurand not in shown:
            next_step = f"use one of: {', '.join(shown)}"
            raise NotFoundError("measurand", repr(str(measurand)), f"is not shown by {meter}", next_step)
        self._shown[meter, measurand] = Spike(
            meter=meter, from_us=UtcUs(0), until_us=_FOR_EVER_US, register=measurand, value=value
        )

    def release(self, meter: MeterId) -> None:
        """Let `meter` show the truth again."""
        self._shown = {key: fault for key, fault in self._shown.items() if key[0] != meter}

    def warm_up(self) -> None:
        """Compute the present once: energy counters sum up all days since their start."""
        for meter in self._meters.values():
            meter.snapshot(self._clock.utc_us())


def _refusal(faults: tuple[Fault, ...]) -> int | None:
    """The exception code that a fault makes the meter answer with."""
    return next((code for fault in faults if (code := fault.refusal()) is not None), None)
