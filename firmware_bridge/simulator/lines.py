"""All lines of a scenario, opened and served together. A shell."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from firmware_bridge.errors import NotFoundError
from firmware_bridge.simulator.line import Line
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.network_line import NetworkLine, rtu_reply, tcp_reply
from firmware_bridge.simulator.responder import Answer, Responder
from firmware_bridge.simulator.serial_line import SerialLine
from firmware_bridge.simulator.wire_faults import WireFaults


class Lines:
    """The lines of a site, by name."""

    def __init__(self, settings: Sequence[LineSettings], folder: Path, answer: Answer, units: Sequence[int]) -> None:
        """Nothing is opened yet.

        Args:
            settings: in the scenario's order.
            folder: what their paths are relative to.
            answer: what a unit answers to a PDU.
            units: those that there are.
        """
        self._by_name = {one.name: _line(one, folder, answer, frozenset(one.units or units)) for one in settings}

    def __iter__(self) -> Iterator[Line]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Line:
        """The line of that name.

        Raises:
            NotFoundError: there is none.
        """
        if name not in self._by_name:
            known = ", ".join(self._by_name)
            raise NotFoundError("line", repr(name), "is not a line here", f"use one of: {known}")
        return self._by_name[name]

    def with_unit(self, unit: int) -> list[Line]:
        """The lines on which that unit hangs."""
        return [line for line in self if unit in line.responder.units]

    @property
    def urls(self) -> dict[str, str]:
        """How a gateway's configuration names each."""
        return {line.settings.name: line.url for line in self}

    async def plug(self) -> None:
        """Open all of them.

        Raises:
            SettingError: one cannot be opened as it is described.
        """
        for line in self:
            await line.plug()

    async def serve(self) -> None:
        """Serve all of them, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for line in self:
                tasks.create_task(line.serve())

    def pull(self) -> None:
        """Close all of them."""
        for line in self:
            line.pull()


def _line(settings: LineSettings, folder: Path, answer: Answer, units: frozenset[int]) -> Line:
    encode = tcp_reply if settings.kind == "tcp" else rtu_reply
    responder = Responder(answer, units, encode, WireFaults(settings.seed))
    if settings.kind == "serial":
        return SerialLine(settings, responder, folder)
    return NetworkLine(settings, responder)
