"""Modbus TCP server: sockets only; what is answered is the panel's. A shell."""

import asyncio
import logging
from collections.abc import Callable

from firmware_bridge.port import port_error
from firmware_bridge.simulator.frames import NotModbusError, Request, take_request

# More clients than a gateway, a probe and a curious installer; real meters take two to four.
CONNECTIONS_MAX = 16
# Bytes of replies that may wait for a slow client before its requests are no longer read.
WAITING_BYTES_MAX = 16 * 1024

log = logging.getLogger(__name__)

Reply = Callable[[Request], bytes | None]


class ModbusServer:
    """Listens on one address and hands every request to `reply`."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
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

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for transport in list(self.connections):
            transport.abort()


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_full = False

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
        self._received += data
        self._answer()

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        self._is_full = True

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._is_full = False
        self._answer()
        if not self._is_full:
            self._transport.resume_reading()

    def _answer(self) -> None:
        """Answer what has come in, as long as the client takes the replies."""
        if self._transport is None:
            return
        try:
            while not self._is_full and (request := take_request(self._received)) is not None:
                reply = self._server.reply(request)
                if reply is not None:
                    self._transport.write(reply)
        except NotModbusError as error:
            log.warning("connection closed: not Modbus TCP: %s", error)
            self._received.clear()
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport is not None:
            self._server.connections.discard(self._transport)
