"""What the units of one line answer, the faults of that line included."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.rtu_frames import BROADCAST_UNIT
from firmware_bridge.simulator.wire_faults import Message, WireFaults

# What a unit answers to a PDU; None when it stays silent.
Answer = Callable[[int, bytes], bytes | None]
# The frame that carries a message in answer to a request.
Encode = Callable[[Request, Message], bytes]


class Reply(NamedTuple):
    """Bytes for the line, `delay_s` later than a healthy unit would have sent them."""

    data: bytes
    delay_s: float


class Responder:
    """All units of one line, as whoever listens on the wire meets them."""

    def __init__(self, answer: Answer, units: frozenset[int], encode: Encode, faults: WireFaults) -> None:
        self.units, self.faults = units, faults
        # how often each unit of the line was asked, whether it answered or not
        self.requests: Counter[int] = Counter()
        self._answer, self._encode = answer, encode

    def reply(self, request: Request, now_s: float) -> Reply | None:
        """What comes back; None for silence."""
        if request.unit == BROADCAST_UNIT or request.unit not in self.units or self.faults.is_babbling(now_s):
            return None
        self.requests[request.unit] += 1
        pdu = self._answer(request.unit, request.pdu)
        if pdu is None:
            return None
        struck = self.faults.on_message(Message(request.unit, pdu), now_s)
        if struck.message is None:
            return None
        data = self.faults.on_frame(self._encode(request, struck.message), struck.of_frame)
        return Reply(data, struck.delay_s) if data else None

    def spoken(self, unit: int, data: bytes, now_s: float) -> Reply | None:
        """What the line leaves of `data` that a unit sends by itself; None when nothing comes through.

        Faults of Modbus messages have nothing to change in it, but for silence.
        """
        if not data or unit not in self.units or self.faults.is_babbling(now_s):
            return None
        struck = self.faults.on_message(Message(unit, data), now_s)
        if struck.message is None:
            return None
        left = self.faults.on_frame(data, struck.of_frame)
        return Reply(left, struck.delay_s) if left else None
