"""A line under test, served while a block lasts, and a master on a terminal that knows no Modbus library."""

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from firmware_bridge.clock import SystemClock
from firmware_bridge.simulator.line import Line
from firmware_bridge.simulator.line_settings import LineSettings, WireFaultSettings
from firmware_bridge.simulator.lines import Lines
from firmware_bridge.simulator.rtu_frames import rtu_frame

# Far above what anything here takes: reached only when something is wrong.
DEADLINE_S = 10.0
ASKED = bytes.fromhex("04 0000 0002")


def answered(unit: int) -> bytes:
    """What unit `unit` answers: two registers that hold its number."""
    return bytes((4, 4, 0, unit, 0, unit))


def answer(unit: int, pdu: bytes) -> bytes | None:
    """Unit 9 is silent."""
    assert pdu == ASKED
    return None if unit == 9 else answered(unit)


@asynccontextmanager
async def served(folder: Path, *faults: WireFaultSettings, **settings: object) -> AsyncIterator[Line]:
    """A line with units 1, 2 and 9."""
    line_settings = LineSettings(name="line", faults=list(faults), **settings)
    lines = Lines([line_settings], folder, answer, [1, 2, 9])
    await lines.plug()
    try:
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(lines.serve())
            line = lines.named("line")
            await until(lambda: line.is_served)
            yield line
            serving.cancel()
    finally:
        lines.pull()


async def until(is_so: Callable[[], object]) -> None:
    """Return when it is so; the deadline is that of the block around."""
    while not is_so():
        await SystemClock().sleep_for(0.001)


class Master:
    """One end of a serial line."""

    def __init__(self, path: Path, baud: int = 9600) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._descriptor)
        settings = termios.tcgetattr(self._descriptor)
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self._descriptor, termios.TCSANOW, settings)
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self.is_dead = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def write(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def ask(self, unit: int) -> None:
        self.write(rtu_frame(unit, ASKED))

    async def receive(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._received) < count:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    async def answer_of(self, unit: int) -> bytes:
        """Ask, and give as many bytes as an answer has."""
        self.ask(unit)
        return await self.receive(len(rtu_frame(unit, answered(unit))))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 1024)
        except OSError:
            data = b""
        if not data:
            self.is_dead.set()
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._received += data
        self._arrived.set()
