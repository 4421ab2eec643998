"""A Modbus TCP meter for tests, independent of pymodbus and of our own code: answers, or misbehaves.

Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3: a frame is transaction, protocol 0,
length of what follows, unit, function, data.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int

    def frame(self, pdu: bytes, *, transaction: int = 0, unit: int = 0, protocol: int = 0, length: int = 0) -> bytes:
        """A whole reply with this PDU; the numbers are added to what the header should say."""
        head = (self.transaction + transaction, protocol, len(pdu) + 1 + length, self.unit + unit)
        return struct.pack(">HHHB", *head) + pdu

    def registers(self, words: list[int]) -> bytes:
        """The right reply with these registers."""
        return self.frame(struct.pack(f">BB{len(words)}H", self.function, 2 * len(words), *words))

    def refusal(self, code: int) -> bytes:
        """An exception reply."""
        return self.frame(bytes([self.function | 0x80, code]))


# What to send for a request: bytes, None for silence, or an answer that takes its time.
Behaviour = Callable[[Request], bytes | Awaitable[bytes] | None]


def zeros(request: Request) -> bytes:
    """A meter all of whose registers are 0."""
    return request.registers([0] * request.count)


@dataclass
class ModbusServer:
    """Listens on a port of its own; `behaviours` by unit, changed by a test at any time."""

    behaviours: dict[int, Behaviour] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    connections_open: int = 0
    port: int = 0

    @property
    def units_asked(self) -> list[int]:
        """Unit of each request so far."""
        return [request.unit for request in self.requests]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections.append(writer)
        self.connections_open += 1
        try:
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(length - 1)
                # another request than a read, such as an identification, has its last byte as address
                place = struct.unpack(">HH", pdu[1:]) if len(pdu) == 5 else (pdu[-1], 0)
                request = Request(transaction, unit, pdu[0], *place)
                self.requests.append(request)
                answer = self.behaviours.get(unit, lambda _: None)(request)
                if isinstance(answer, Awaitable):
                    answer = await answer
                if answer is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections_open -= 1
            writer.close()

    def hang_up(self) -> None:
        """Break all connections."""
        for writer in self.connections:
            writer.transport.abort()


@asynccontextmanager
async def modbus_server(**behaviours: Behaviour) -> AsyncIterator[ModbusServer]:
    """A listening server; `unit_1=...` says how unit 1 answers, other units stay silent."""
    server = ModbusServer({int(name.removeprefix("unit_")): behaviour for name, behaviour in behaviours.items()})
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.hang_up()
        listener.close()
        await listener.wait_closed()
