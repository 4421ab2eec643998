"""A line with units on it: what all kinds of lines have in common. A shell."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import msgspec

from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import MonotonicS
from firmware_bridge.simulator.line_settings import LineSettings, WireFaultSettings
from firmware_bridge.simulator.responder import Responder
from firmware_bridge.simulator.wire import Wire


class Line(ABC):
    """One line, its faults and its counts. Lines live in real time, whatever the clock of the site."""

    def __init__(self, settings: LineSettings, responder: Responder) -> None:
        """Nothing is opened yet."""
        self.settings, self.responder = settings, responder
        self.wire = Wire()
        self._clock = SystemClock()
        self._tasks: asyncio.TaskGroup | None = None
        self._of_faults: list[asyncio.Task[None]] = []

    @property
    @abstractmethod
    def url(self) -> str:
        """How a gateway's configuration names the line."""

    @abstractmethod
    async def plug(self, link: str | None = None) -> None:
        """Open the line; a serial line under the name `link` when one is given.

        Raises:
            SettingError: it cannot be opened as it is described.
        """

    @abstractmethod
    def pull(self) -> None:
        """Break the line: the master finds it dead until it is plugged again."""

    @abstractmethod
    async def carry(self) -> None:
        """Carry requests and replies, for ever."""

    @abstractmethod
    async def make_noise(self) -> None:
        """Let every master hear some babble; returns when the next may follow."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Let every master hear `data`, which nobody asked for; returns when the line is free again."""

    async def speak(self, unit: int, data: bytes) -> None:
        """Carry what `unit` sends by itself, as the faults of the line leave it."""
        spoken = self.responder.spoken(unit, data, self._clock.monotonic_s())
        if spoken is not None:
            await self._clock.rest_until(MonotonicS(self._clock.monotonic_s() + spoken.delay_s))
            await self.send(spoken.data)

    async def serve(self) -> None:
        """Live, once it is plugged, with the faults of the scenario."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for fault in self.settings.faults:
                self.inject(fault)
            await self.carry()

    @property
    def is_served(self) -> bool:
        """Whether faults can be injected."""
        return self._tasks is not None

    def inject(self, fault: WireFaultSettings) -> None:
        """Let `fault` come, its times counted from now."""
        assert self._tasks is not None, "a line is served before it is disturbed"
        now_s = self._clock.monotonic_s()
        self.responder.faults.add(fault, now_s)
        if fault.kind == "babble":
            self._of_faults.append(self._tasks.create_task(self._babble(MonotonicS(now_s + fault.at_s))))
        if fault.kind == "unplugged":
            self._of_faults.append(self._tasks.create_task(self._unplug(fault, now_s)))

    async def heal(self) -> None:
        """Take back all faults, and plug what is unplugged."""
        for task in self._of_faults:
            task.cancel()
        self._of_faults.clear()
        self.responder.faults.clear()
        if not self.is_plugged:
            await self.plug()

    @property
    @abstractmethod
    def is_plugged(self) -> bool:
        """Whether a master can reach it."""

    def reset_counts(self) -> None:
        """Count anew."""
        self.wire.reset()
        self.responder.requests.clear()

    def counts(self) -> dict[str, Any]:
        """What it has carried, and how often each unit was asked."""
        units = {str(unit): count for unit, count in sorted(self.responder.requests.items())}
        return {**msgspec.to_builtins(self.wire.counts), "units": units}

    async def _babble(self, from_s: MonotonicS) -> None:
        await self._clock.rest_until(from_s)
        while self.responder.faults.is_babbling(self._clock.monotonic_s()):
            await self.make_noise()

    async def _unplug(self, fault: WireFaultSettings, now_s: MonotonicS) -> None:
        await self._clock.rest_until(MonotonicS(now_s + fault.at_s))
        self.pull()
        if fault.for_s is not None:
            await self._clock.rest_until(MonotonicS(now_s + fault.at_s + fault.for_s))
            await self.plug()
