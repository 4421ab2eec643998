"""One line of the network: Modbus TCP as of a gateway with a serial line behind it, or RTU over TCP. A shell.

All clients share the line behind it: they are served in turn, and when it has a speed, each request
takes the time of its bytes there. A Modbus TCP gateway serves nobody while it waits for a unit; a
converter of RTU over TCP only passes bytes on.
"""

import asyncio

from firmware_bridge.reading import MonotonicS
from firmware_bridge.simulator.frames import (
    HEADER_BYTES,
    ModbusException,
    Request,
    encode_reply,
    exception_pdu,
)
from firmware_bridge.simulator.line import Line
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.responder import Responder
from firmware_bridge.simulator.rtu_frames import rtu_frame, take_rtu
from firmware_bridge.simulator.server import Later, ModbusServer
from firmware_bridge.simulator.uart import Framing
from firmware_bridge.simulator.wire_faults import Message

# Between two segments of one request lies less than this on any LAN; V1.02 would say 3.5 characters.
_PAUSE_S = 0.05
# Unit and CRC, which go with a PDU over a serial line.
_RTU_BYTES_MORE = 3
# The header of Modbus TCP beyond them.
_TCP_BYTES_MORE = HEADER_BYTES - _RTU_BYTES_MORE
# How babble comes over a network: small segments, one after the other.
_NOISE_BYTES, _NOISE_PERIOD_S = 16, 0.005


def tcp_reply(request: Request, message: Message) -> bytes:
    """The frame of Modbus TCP that carries `message`."""
    return encode_reply(request._replace(unit=message.unit), message.pdu)


def rtu_reply(_: Request, message: Message) -> bytes:
    """The frame of Modbus RTU that carries `message`."""
    return rtu_frame(message.unit, message.pdu)


class NetworkLine(Line):
    """A listening socket and the units behind it."""

    def __init__(self, settings: LineSettings, responder: Responder) -> None:
        super().__init__(settings, responder)
        self._is_tcp = settings.kind == "tcp"
        self._framing: Framing | None = None
        if settings.baud is not None:
            self._framing = Framing(settings.baud, settings.parity, settings.stop_bits)
        self._port = settings.port
        self._server: ModbusServer | None = None
        # Until when a gateway waits for a unit.
        self._busy_until_s = 0.0

    @property
    def url(self) -> str:
        """With the port that was asked for, or chosen when the line was first plugged."""
        return f"{'tcp' if self._is_tcp else 'rtu+tcp'}://{self.settings.host}:{self._port}"

    @property
    def is_plugged(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    async def plug(self, link: str | None = None) -> None:  # noqa: ARG002 - a network line has no link
        """Listen, after the first time on the same port."""
        self.pull()
        server = ModbusServer(self.reply) if self._is_tcp else ModbusServer(self.reply, take_rtu, _PAUSE_S)
        self._port = await server.listen(self.settings.host, self._port)
        self._server = server

    def pull(self) -> None:
        """Refuse connections, and end those there are."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def carry(self) -> None:
        """The loop calls `reply`; nothing to be done here, for ever."""
        await asyncio.Event().wait()

    async def send(self, data: bytes) -> None:
        """At once, or when a line with a speed has carried it."""
        if self._framing is not None:
            slot = self.wire.disturb(self._clock.monotonic_s(), len(data), self._framing)
            await self._clock.rest_until(MonotonicS(slot.end_s))
        if self._server is not None:
            self._server.send_to_all(data)

    async def make_noise(self) -> None:
        """A small segment for every client."""
        if self._server is not None:
            self._server.send_to_all(self.responder.faults.noise(_NOISE_BYTES))
        await self._clock.sleep_for(_NOISE_PERIOD_S)

    def reply(self, request: Request) -> Later | None:
        """The bytes that answer `request`, and when they are due; None when there are none."""
        now_s = self._clock.monotonic_s()
        begin_s = max(now_s, self._busy_until_s)
        reply = self.responder.reply(request, now_s)
        if reply is not None:
            due_s = self._carried_s(begin_s, request, reply.data) + reply.delay_s
            if self._is_tcp:
                self._busy_until_s = due_s
            return Later(reply.data, due_s)
        given_up_s = self._carried_s(begin_s, request, b"") + self.settings.silent_unit_s
        if not self._is_tcp:
            return None
        self._busy_until_s = given_up_s
        is_known = request.unit in self.responder.units
        if (self.settings.silent_unit if is_known else self.settings.unknown_unit) == "silence":
            return None
        pdu = exception_pdu(request.pdu[0], ModbusException.TARGET_FAILED_TO_RESPOND)
        return Later(encode_reply(request, pdu), given_up_s)

    def _carried_s(self, begin_s: float, request: Request, reply: bytes) -> float:
        """When the line behind has carried both; without a speed that takes no time."""
        asked = len(request.pdu) + _RTU_BYTES_MORE
        answered = max(len(reply) - (_TCP_BYTES_MORE if self._is_tcp else 0), 0)
        if self._framing is None:
            self.wire.counts.requests += 1
            self.wire.counts.replies += bool(reply)
            self.wire.counts.bytes += asked + answered
            return begin_s + (self.settings.turnaround_s if reply else 0.0)
        # A converter or gateway keeps the silences itself: its clients are never early.
        slot = self.wire.begin_request(max(begin_s, self.wire.free_at_s), asked, self._framing)
        over_s = slot.end_s + self._framing.silence_s
        if not reply:
            return over_s
        return self.wire.send(over_s + self.settings.turnaround_s, answered, self._framing).end_s
