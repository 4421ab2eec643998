"""A simulated Modbus meter: from what it measures to the words in its registers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Fault, Values
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.instrument import Instrument, distorted, shown_second
from firmware_bridge.simulator.register_map import RegisterMap, Shown, Snapshot, Window
from firmware_bridge.simulator.source import Gauge, Source

# Clients repeat a handful of requests; a scanner's many must not fill the memory.
_WINDOWS_MAX = 256


class Answer(NamedTuple):
    """What a client gets: the words, and the values that are whole within them."""

    words: bytes
    values: Shown


class Meter:
    """One meter at one unit id."""

    def __init__(
        self,
        name: MeterId,
        unit: int,
        registers: RegisterMap,
        source: Source,
        seed: int,
        gauges: Iterable[Gauge] = (),
    ) -> None:
        """Show `source` and `gauges` in `registers`; `seed` settles what differs between meters of a kind."""
        self.name, self.unit, self.registers = name, unit, registers
        self._instrument = Instrument(name, unit, source, seed, gauges)
        self._windows: dict[Read, Window | ModbusException] = {}
        self._still: dict[int, list[bytes]] = {}
        self._cached: tuple[int, tuple[Fault, ...], Snapshot] | None = None

    is_asked, has_clock = True, False

    @property
    def measurands(self) -> frozenset[Measurand]:
        """What it shows."""
        return self.registers.measurands

    @property
    def blanks(self) -> frozenset[Measurand]:
        """For which it has a sentinel."""
        return self.registers.blanks

    @property
    def wraps(self) -> Mapping[Measurand, float]:
        """SI values at which its counters begin again."""
        return self.registers.wraps

    @property
    def units_beside(self) -> set[int]:
        """Units besides its own at which it says who it is."""
        return self.registers.nameplate.units_beside - {self.unit}

    def answer(self, read: Read, at_us: UtcUs, faults: tuple[Fault, ...] = ()) -> Answer | ModbusException:
        """The registers that `read` asks for, as they are at `at_us`."""
        window = self._window(read)
        if isinstance(window, ModbusException):
            return window
        snapshot = self.snapshot(at_us, faults)
        bank, start, end = window.place
        shown = snapshot.shown
        return Answer(snapshot.images[bank][start:end], {one: shown[one] for one in window.measurands})

    def answer_beside(self, unit: int, read: Read, faults: tuple[Fault, ...] = ()) -> bytes | ModbusException:
        """The words that one of the `units_beside` shows."""
        for cell in self.registers.nameplate.cells_beside(self._instrument.serial_number(faults), unit):
            start, end = 2 * (read.address - cell.address), 2 * (read.address - cell.address + read.count)
            if cell.function == read.function and start >= 0 and end <= len(cell.words):
                return cell.words[start:end]
        return ModbusException.ILLEGAL_ADDRESS

    def objects(self, faults: tuple[Fault, ...] = ()) -> dict[int, bytes]:
        """What it says to Read Device Identification; empty when it does not know that."""
        return self.registers.nameplate.objects(self._instrument.serial_number(faults))

    def snapshot(self, at_us: UtcUs, faults: tuple[Fault, ...] = ()) -> Snapshot:
        """All registers at `at_us`; those of one second are computed once."""
        at_s = shown_second(at_us, faults)
        if self._cached is None or self._cached[0] != at_s or self._cached[1] != faults:
            still = self._banks(self._instrument.serial_number(faults))
            values = distorted(self, at_s, faults)
            self._cached = (at_s, faults, self.registers.snapshot(values, still, faults))
        return self._cached[2]

    def values(self, at_s: int) -> Values:
        """All measurands in that second, SI, before registers round them."""
        return self._instrument.values(at_s)

    def _banks(self, serial_number: int) -> list[bytes]:
        """The registers that do not depend on the instant."""
        if serial_number not in self._still:
            self._still[serial_number] = self.registers.still(serial_number, self.unit)
        return self._still[serial_number]

    def _window(self, read: Read) -> Window | ModbusException:
        window = self._windows.get(read)
        if window is None:
            if len(self._windows) >= _WINDOWS_MAX:
                self._windows.clear()
            window = self._windows[read] = self.registers.window(read)
        return window
