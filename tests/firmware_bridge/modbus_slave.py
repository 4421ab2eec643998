"""Modbus RTU meters for tests, independent of pymodbus and of our own code: they answer, or misbehave.

They hang on a pty, or behind a converter that speaks RTU over TCP. Modbus over Serial Line V1.02, 2.5.1
and 6.2.2: a frame is unit, function, data, CRC with the low byte first.
"""

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

IDENTIFY = 0x2B


def crc(data: bytes) -> bytes:
    """Bit by bit, as the standard describes it."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return struct.pack("<H", register)


def framed(body: bytes) -> bytes:
    return body + crc(body)


@dataclass(frozen=True)
class Asked:
    """What a master asked for; an identification has its object as address."""

    unit: int
    function: int
    address: int
    count: int

    def registers(self, words: list[int]) -> bytes:
        """The right reply with these registers."""
        return framed(struct.pack(f">BBB{len(words)}H", self.unit, self.function, 2 * len(words), *words))

    def refusal(self, code: int) -> bytes:
        """An exception reply."""
        return framed(bytes([self.unit, self.function | 0x80, code]))

    def identity(self, objects: dict[int, bytes], more_from: int = 0) -> bytes:
        """An identification reply; Application Protocol V1.1b3, 6.21."""
        head = bytes([self.unit, self.function, 0x0E, 1, 0x01, 0xFF if more_from else 0, more_from, len(objects)])
        return framed(head + b"".join(bytes([number, len(text)]) + text for number, text in objects.items()))


Behaviour = Callable[[Asked], bytes | None]


def addresses(asked: Asked) -> bytes:
    """A meter each of whose registers holds its address."""
    return asked.registers([(asked.address + n) & 0xFFFF for n in range(asked.count)])


class Hearing(Protocol):
    """Bytes towards the master."""

    def __call__(self, data: bytes) -> object: ...


@dataclass
class Slaves:
    """The meters of one line; `behaviours` by unit, changed by a test at any time."""

    behaviours: dict[int, Behaviour]
    say: Hearing
    requests: list[Asked] = field(default_factory=list)
    # an adapter that hears what it sends
    is_echoing: bool = False
    _received: bytes = b""

    def hear(self, data: bytes) -> None:
        self._received += data
        while (asked := self._take()) is not None:
            self.requests.append(asked)
            answer = self.behaviours.get(asked.unit, lambda _: None)(asked)
            if answer:
                self.say(answer)

    def _take(self) -> Asked | None:
        size = 7 if self._received[1:2] == bytes([IDENTIFY]) else 8
        if len(self._received) < size:
            return None
        frame, self._received = self._received[:size], self._received[size:]
        assert crc(frame[:-2]) == frame[-2:], "the gateway's own frames are right"
        if self.is_echoing:
            self.say(frame)
        if size == 7:
            return Asked(frame[0], frame[1], frame[4], 0)
        return Asked(*struct.unpack(">BBHH", frame[:-2]))


@dataclass
class SerialLine:
    """A pty with meters at its far end; needs a running loop."""

    path: str
    slaves: Slaves
    master: int

    def unplug(self) -> None:
        """Pull the adapter: its device is gone."""
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            self.master = -1


@contextmanager
def serial_line(**behaviours: Behaviour) -> Iterator[SerialLine]:
    """A line on a pty; `unit_1=...` says how unit 1 answers, other units stay silent."""
    master, near = os.openpty()
    for end in (master, near):
        tty.setraw(end)
    slaves = Slaves(_by_unit(behaviours), lambda data: os.write(master, data))
    line = SerialLine(os.ttyname(near), slaves, master)
    asyncio.get_running_loop().add_reader(master, lambda: slaves.hear(os.read(master, 4096)))
    try:
        yield line
    finally:
        line.unplug()
        os.close(near)


@asynccontextmanager
async def converter(**behaviours: Behaviour) -> AsyncIterator[tuple[int, Slaves, list[asyncio.StreamWriter]]]:
    """A line behind a converter: its TCP port, its meters, the connections it had."""
    connections: list[asyncio.StreamWriter] = []
    slaves = Slaves(_by_unit(behaviours), lambda data: connections[-1].write(data))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            while data := await reader.read(4096):
                slaves.hear(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], slaves, connections
    finally:
        for writer in connections:
            writer.transport.abort()
        listener.close()
        await listener.wait_closed()


def _by_unit(behaviours: dict[str, Behaviour]) -> dict[int, Behaviour]:
    return {int(name.removeprefix("unit_")): behaviour for name, behaviour in behaviours.items()}
