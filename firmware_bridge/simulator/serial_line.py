"""One serial line on a pseudo-terminal, paced as copper would pace it. A shell.

Every byte takes its character time in both directions, and every frame is followed by the silence
of Modbus RTU before anybody else may speak: a master that does not keep it has to wait, and is
counted. All instants are computed from the one before, so that no error adds up; what a late
wake-up of this process costs is charged to the master, never given to it. A line is as exact as
its event loop: run it on `exact_loop()`.
"""

import asyncio
import selectors
from collections import deque
from pathlib import Path
from typing import NamedTuple

from firmware_bridge.reading import MonotonicS
from firmware_bridge.simulator.line import Line
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.responder import Responder
from firmware_bridge.simulator.rtu_frames import FRAME_BYTES_MAX, read_rtu
from firmware_bridge.simulator.terminal import Terminal
from firmware_bridge.simulator.uart import Framing, hear
from firmware_bridge.simulator.wire import Slot

DEFAULT_BAUD = 9600
# What a master wrote and the wire has not carried yet: the buffer of an adapter.
WAITING_BYTES_MAX = 4096
# Delayed replies that are still to come; a unit has long forgotten the request of the first.
REPLIES_MAX = 64
# Noise is handed over in pieces: few enough to cost nothing, short enough to look endless.
_NOISE_BYTES = 16


class _Arrival(NamedTuple):
    """What the master wrote, and when we saw it."""

    at_s: MonotonicS
    data: bytes


class _Heard(NamedTuple):
    """A request as it was on the wire, and when the silence after it was over."""

    frame: bytes
    is_clean: bool
    over_s: float


def exact_loop() -> asyncio.AbstractEventLoop:
    """An event loop that wakes within microseconds; the usual one rounds up to whole milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class SerialLine(Line):
    """A terminal, the wire behind it, and the units on the wire."""

    def __init__(self, settings: LineSettings, responder: Responder, folder: Path) -> None:
        """`folder` is what the paths of the settings are relative to."""
        super().__init__(settings, responder)
        assert settings.link is not None, "check_lines() saw to it"
        self._link = folder / settings.link
        self._lasting = [] if settings.id_link is None else [folder / settings.id_link]
        self._notes = None if settings.parity_notes is None else folder / settings.parity_notes
        self._framing = Framing(settings.baud or DEFAULT_BAUD, settings.parity, settings.stop_bits)
        self._terminal: Terminal | None = None
        self._arrivals: deque[_Arrival] = deque()
        self._has_arrived = asyncio.Event()
        self._delayed: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The link, as a whole path."""
        return f"serial://{self._link.absolute()}"

    @property
    def is_plugged(self) -> bool:
        """Whether there is a terminal."""
        return self._terminal is not None

    async def plug(self, link: str | None = None) -> None:
        """A new terminal; `link` is a name in the folder of the old one."""
        self.pull()
        if link is not None:
            self._link = self._link.with_name(link)
        self._terminal = Terminal([self._link, *self._lasting], self._notes, self._framing)
        self._terminal.on_bytes(self._take)

    def pull(self) -> None:
        """The master's descriptor is dead, the name is gone, and so is what was on the wire."""
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
        self._arrivals.clear()
        self._has_arrived.clear()

    async def carry(self) -> None:
        """One request after the other, each with its reply, unless the reply is to come late."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                heard = await self._hear()
                request = read_rtu(heard.frame) if heard.is_clean else None
                if request is None:
                    self.wire.counts.garbled += 1
                    continue
                reply = self.responder.reply(request, heard.over_s)
                if reply is None:
                    continue
                due_s = heard.over_s + self.settings.turnaround_s + reply.delay_s
                if not reply.delay_s:
                    await self._send(reply.data, due_s)
                elif len(self._delayed) < REPLIES_MAX:
                    task = tasks.create_task(self._send_later(reply.data, MonotonicS(due_s)))
                    self._delayed.add(task)
                    task.add_done_callback(self._delayed.discard)

    async def send(self, data: bytes) -> None:
        """At the speed of the line, garbled for a master with another one."""
        slot = self.wire.disturb(self._clock.monotonic_s(), len(data), self._framing)
        listens = self._terminal.framing if self._terminal else self._framing
        await self._deliver(hear(data, self._framing, listens).data, slot)

    async def make_noise(self) -> None:
        """Sixteen bytes, at the speed of the line."""
        slot = self.wire.disturb(self._clock.monotonic_s(), _NOISE_BYTES, self._framing)
        await self._deliver(self.responder.faults.noise(_NOISE_BYTES), slot)

    def _take(self, data: bytes) -> None:
        """The master wrote something."""
        now_s = self._clock.monotonic_s()
        on_the_wire = max(self.wire.free_at_s - now_s, 0.0) / self._framing.character_s
        if on_the_wire + sum(len(one.data) for one in self._arrivals) + len(data) > WAITING_BYTES_MAX:
            self.wire.counts.overrun += len(data)
            return
        self._arrivals.append(_Arrival(now_s, data))
        self._has_arrived.set()

    async def _arrival(self, until_s: float | None) -> _Arrival | None:
        """What the master wrote next; None when it wrote nothing until `until_s`."""
        if not self._arrivals:
            self._has_arrived.clear()
            try:
                async with asyncio.timeout_at(until_s):
                    await self._has_arrived.wait()
            except TimeoutError:
                pass  # it may have written in the very moment
        if not self._arrivals or (until_s is not None and self._arrivals[0].at_s > until_s):
            return None
        return self._arrivals.popleft()

    async def _hear(self) -> _Heard:
        """The next request, as the units hear it: all that comes without a silence in between."""
        arrival = await self._arrival(None)
        assert arrival is not None, "without a deadline there is no end but an arrival"
        speaks = self._terminal.framing if self._terminal else self._framing
        slot = self.wire.begin_request(arrival.at_s, len(arrival.data), speaks)
        sent = bytearray(arrival.data)
        await self._echo(arrival.data, slot)
        while (arrival := await self._arrival(slot.end_s + speaks.silence_s)) is not None:
            slot = self.wire.go_on(slot, arrival.at_s, len(arrival.data), speaks)
            sent += arrival.data[: FRAME_BYTES_MAX + 1 - len(sent)]  # what is too long stays so
            await self._echo(arrival.data, slot)
        heard = hear(bytes(sent), speaks, self._framing)
        return _Heard(heard.data, heard.is_clean, slot.end_s + speaks.silence_s)

    async def _echo(self, data: bytes, slot: Slot) -> None:
        if self.settings.echo:
            await self._deliver(data, slot)

    async def _send_later(self, data: bytes, due_s: MonotonicS) -> None:
        await self._clock.rest_until(due_s)
        await self._send(data, due_s)

    async def _send(self, data: bytes, due_s: float) -> None:
        slot = self.wire.send(due_s, len(data), self._framing)
        listens = self._terminal.framing if self._terminal else self._framing
        await self._deliver(hear(data, self._framing, listens).data, slot)

    async def _deliver(self, data: bytes, slot: Slot) -> None:
        """Hand `data` over as it arrives during `slot`: in bunches, never a byte too early."""
        terminal, given, due_s = self._terminal, 0, slot.start_s
        while given < len(data):
            due_s = min(due_s + self.settings.bunch_s, slot.end_s)
            await self._clock.rest_until(MonotonicS(due_s))
            share = (self._clock.monotonic_s() - slot.start_s) / (slot.end_s - slot.start_s)
            here = min(int(share * len(data)), len(data))
            if terminal is not None and terminal is self._terminal:
                self.wire.counts.overrun += terminal.write(data[given:here])
            given = here
