"""Connections before there is a request: how many, from where, and how long without a word. A shell.

aiohttp serves whoever connects, and waits long for the rest of a request that was half sent. Here a connection
has a deadline for its first request, all of them and those of one address have a cap, and at a cap the oldest one
that says nothing makes room: who sends at once always gets in.
"""

import asyncio
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable

from aiohttp import web

from cloud_trainer.ingest.limits import Limits, address_group, plain_address
from cloud_trainer.ingest.metrics import Metrics
from firmware_bridge.clock import Clock
from firmware_bridge.port import port_error

# What TLS waits for the other side's farewell.
_FAREWELL_S_MAX = 5.0


class Listener:
    """Makes the protocol of each connection, and knows them all."""

    def __init__(
        self, server: web.Server, limits: Limits, metrics: Metrics, clock: Clock, proxies: tuple[str, ...] = ()
    ) -> None:
        self._server, self._clock = server, clock
        self.limits, self.metrics = limits, metrics
        self._proxies = frozenset(map(plain_address, proxies))
        # not yet connected: asyncio still shakes hands
        self._expected: set[Connection] = set()
        self._open: dict[Connection, str] = {}
        self._by_address: Counter[str] = Counter()
        # without a request, who is so for the longest first; all, and those of each address
        self._quiet: dict[Connection, None] = {}
        self._quiet_of: defaultdict[str, dict[Connection, None]] = defaultdict(dict)

    async def listen(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, shares_port: bool = False
    ) -> asyncio.Server:
        """A bound server that does not accept yet.

        Raises:
            SettingError: the address is not ours to give, or taken (ConflictError).
        """
        try:
            return await asyncio.get_running_loop().create_server(
                self._protocol,
                host,
                port,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else self.limits.headers_s_max,
                ssl_shutdown_timeout=None if tls is None else _FAREWELL_S_MAX,
                backlog=self.limits.connections_max,
                reuse_port=shares_port or None,
                start_serving=False,
            )
        except (OSError, OverflowError) as error:
            raise port_error(host, port, error) from error

    def _protocol(self) -> asyncio.Protocol:
        if len(self._open) + len(self._expected) >= self.limits.connections_max:
            if not self._quiet:
                return _Hangup(self.metrics)
            next(iter(self._quiet)).hang_up("full")
        connection = Connection(self, self._server(), self._clock.monotonic_s())
        self._expected.add(connection)
        return connection

    def opened(self, connection: "Connection", address: str) -> bool:
        """Count a new connection; False when its address has enough, and all of them are at work."""
        self._expected.discard(connection)
        group = address_group(address)
        is_full = self._by_address[group] >= self.limits.address_connections_max
        if is_full and plain_address(address) not in self._proxies:
            if not self._quiet_of[group]:
                return False
            next(iter(self._quiet_of[group])).hang_up("address")
        self._open[connection] = group
        self._by_address[group] += 1
        self.is_silent(connection)
        self.metrics.connections.set(len(self._open))
        return True

    def closed(self, connection: "Connection") -> None:
        """Forget a connection, whatever became of it."""
        self._expected.discard(connection)
        self.speaks(connection)
        group = self._open.pop(connection, None)
        if group is not None:
            self._by_address[group] -= 1
            if not self._by_address[group]:
                del self._by_address[group]
                self._quiet_of.pop(group, None)
        self.metrics.connections.set(len(self._open))

    def speaks(self, connection: "Connection") -> None:
        """A whole head of a request came: it is not quiet until that is answered."""
        if connection in self._quiet:
            del self._quiet[connection]
            del self._quiet_of[self._open[connection]][connection]

    def is_silent(self, connection: "Connection") -> None:
        """The request is answered."""
        if connection in self._open:
            self._quiet[connection] = None
            self._quiet_of[self._open[connection]][connection] = None

    def is_old(self, connection: "Connection") -> bool:
        """Whether it has been open for long enough."""
        return self._clock.monotonic_s() - connection.since_s > self.limits.connection_s_max


class Connection(asyncio.Protocol):
    """One connection: aiohttp's protocol, with a deadline before its first request."""

    def __init__(self, listener: Listener, inner: asyncio.Protocol, now_s: float) -> None:
        self._listener, self._inner = listener, inner
        self.since_s = now_s
        self._transport: asyncio.Transport | None = None
        self._is_served = False
        # ends the wait for a handshake that failed: nobody tells us of it
        self._timer = self._later(listener.closed, self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or hang up at once: without a word and without memory."""
        self._timer.cancel()
        assert isinstance(transport, asyncio.Transport), "of a stream it is one"
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if not self._listener.opened(self, peer[0] if peer else ""):
            self.hang_up("address")
            return
        self._timer = self._later(self.hang_up, "headers")
        self._is_served = True
        self._inner.connection_made(transport)

    def request_began(self) -> None:
        """The head of a request is here: aiohttp's own deadline holds from now on."""
        self._timer.cancel()
        self._listener.speaks(self)

    def request_ended(self) -> bool:
        """Its answer is made; whether the connection may stay."""
        self._listener.is_silent(self)
        return not self._listener.is_old(self)

    def hang_up(self, reason: str) -> None:
        """Close it now."""
        self._listener.metrics.hangups.labels(reason).inc()
        self._listener.closed(self)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes for aiohttp."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """The other side has said all it will."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """The other side does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._timer.cancel()
        self._listener.closed(self)
        self._transport = None
        if self._is_served:
            self._inner.connection_lost(error)

    def _later(self, call: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._listener.limits.headers_s_max, call, *arguments)


class _Hangup(asyncio.Protocol):
    """For connections beyond the cap."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._metrics.hangups.labels("full").inc()
        transport.abort()  # type: ignore[attr-defined]  # of a stream it is a WriteTransport


def connection_of(request: web.Request) -> Connection | None:
    """The connection that a request came by; None when it is closed already."""
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, Connection) else None
