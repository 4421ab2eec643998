"""Modbus over TCP sockets: bytes in, requests to whoever answers them, replies out in their time. A shell."""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from firmware_bridge.port import port_error
from firmware_bridge.simulator.frames import NotModbusError, Request, take_request

# More clients than a gateway, a probe and a curious installer; real meters take two to four.
CONNECTIONS_MAX = 16
# Bytes of replies that may wait for a slow client before its requests are no longer read.
WAITING_BYTES_MAX = 16 * 1024
# Requests of one client that may wait for their turn before no more are read.
WAITING_REPLIES_MAX = 64

log = logging.getLogger(__name__)


class Later(NamedTuple):
    """A reply whose time has not come."""

    data: bytes
    # of the event loop's clock
    due_s: float


# None is silence.
Reply = Callable[[Request], bytes | Later | None]
# Takes the first whole request off what was received; None while there is none.
Take = Callable[[bytearray], Request | None]


class ModbusServer:
    """Listens on one address and hands every request to `reply`."""

    def __init__(self, reply: Reply, take: Take = take_request, forget_s: float = inf) -> None:
        """Frame with `take`; what has not become a request after a pause of `forget_s` is thrown away."""
        self.reply, self.take, self.forget_s = reply, take, forget_s
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Listen, and say on which port: that given, or one the system chose for 0.

        Raises:
            SettingError: the port is taken (ConflictError) or may not be used.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port)
        except (OSError, OverflowError) as error:
            raise port_error(host, port, error) from error
        chosen: int = self._server.sockets[0].getsockname()[1]
        return chosen

    def send_to_all(self, data: bytes) -> None:
        """Send what nobody asked for to every client that keeps up."""
        for transport in self.connections:
            if transport.get_write_buffer_size() < WAITING_BYTES_MAX:
                transport.write(data)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self.connections):
            transport.abort()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._heard_s = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self._is_full = False
        self._waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._server.connections) >= CONNECTIONS_MAX:
            log.warning("connection refused: connections_max=%d", CONNECTIONS_MAX)
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WAITING_BYTES_MAX)
        self._transport = transport
        self._server.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        now_s = self._loop.time()
        if now_s - self._heard_s > self._server.forget_s:
            self._received.clear()
        self._heard_s = now_s
        self._received += data
        self._answer()

    def pause_writing(self) -> None:
        self._is_full = True
        self._hold()

    def resume_writing(self) -> None:
        self._is_full = False
        self._go_on()

    @property
    def _is_held(self) -> bool:
        return self._is_full or self._waiting >= WAITING_REPLIES_MAX

    def _hold(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()

    def _go_on(self) -> None:
        assert self._transport is not None
        if not self._is_held:
            self._answer()
        if not self._is_held:
            self._transport.resume_reading()

    def _answer(self) -> None:
        """Answer what has come in, as long as the client takes the replies."""
        if self._transport is None:
            return
        try:
            while not self._is_held and (request := self._server.take(self._received)) is not None:
                self._send(self._server.reply(request))
        except NotModbusError as error:
            log.warning("connection closed: not Modbus TCP: %s", error)
            self._received.clear()
            self._transport.close()

    def _send(self, reply: bytes | Later | None) -> None:
        assert self._transport is not None
        if isinstance(reply, Later) and reply.due_s > self._loop.time():
            self._waiting += 1
            self._loop.call_at(reply.due_s, self._send_now, reply.data)
            if self._is_held:
                self._hold()
        elif reply is not None:
            self._transport.write(reply.data if isinstance(reply, Later) else reply)

    def _send_now(self, data: bytes) -> None:
        """The time of a reply has come; its client may be gone."""
        self._waiting -= 1
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport is not None:
            self._server.connections.discard(self._transport)
