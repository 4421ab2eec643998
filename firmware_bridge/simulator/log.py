"""The simulator's own log of every value it ever gave out, one JSON object a line. A shell.

It is what an audit compares the cloud's database with, so it is written from what the registers
show (after rounding), not from what they were made of.
"""

from io import FileIO
from pathlib import Path

import msgspec

from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Fault
from firmware_bridge.simulator.frames import Read
from firmware_bridge.simulator.meter import Answer, Meter
from firmware_bridge.simulator.register_map import Shown

# Real seconds a line may wait in memory; a killed simulator loses no more than this.
FLUSH_PERIOD_S = 0.4


class ValueLog:
    """Appends to one file; `flush_for_ever` writes what has gathered."""

    def __init__(self, path: Path | None) -> None:
        """Append to the file at `path`; None keeps no log.

        Raises:
            SettingError: it cannot be written.
        """
        self._path = path
        self._lines: list[bytes] = []
        self._told: set[int] = set()
        self._encode = msgspec.json.Encoder().encode
        try:
            # Unbuffered: what a full disk refused must not be tried again when the file is closed.
            self._file: FileIO | None = None if path is None else path.open("ab", buffering=0)
        except OSError as error:
            raise SettingError(
                "--log", str(path), f"cannot be written ({error.strerror})", "name a file in an existing folder"
            ) from error

    def answered(self, at_us: UtcUs, meter: Meter, read: Read, answer: Answer) -> None:
        """Note what a meter gave out at `at_us`."""
        self._add(
            {
                "at_us": at_us,
                "meter": meter.name,
                "unit": meter.unit,
                "function": read.function,
                "address": read.address,
                "count": read.count,
                "values": answer.values,
            }
        )

    def sent(self, at_us: UtcUs, meter: MeterId, unit: int, values: Shown) -> None:
        """Note what a device that sends by itself told at `at_us`."""
        self._add({"at_us": at_us, "meter": meter, "unit": unit, "values": values})

    def faulted(self, fault: Fault) -> None:
        """Note a fault when a client first meets it."""
        if id(fault) not in self._told:
            self._told.add(id(fault))
            self._add(fault.as_log())

    async def flush_for_ever(self) -> None:
        """Write what has gathered, again and again."""
        clock = SystemClock()
        while True:
            await clock.sleep_for(FLUSH_PERIOD_S)
            self.flush()

    def flush(self) -> None:
        """Write what has gathered.

        Raises:
            SettingError: the disk refuses; an incomplete log would accuse others, so the run ends.
        """
        if self._file is None or not self._lines:
            return
        waiting = memoryview(b"".join(self._lines))
        self._lines = []
        try:
            while waiting:
                waiting = waiting[self._file.write(waiting) :]
        except OSError as error:
            raise SettingError(
                "--log", str(self._path), f"cannot be written ({error.strerror})", "make room on that disk"
            ) from error

    def close(self) -> None:
        """Write the rest."""
        if self._file is None:
            return
        try:
            self.flush()
        finally:
            self._file.close()

    def _add(self, line: dict[str, object]) -> None:
        if self._file is not None:
            self._lines.append(self._encode(line) + b"\n")
