"""A simulated meter: from the flow at its terminals to the words in its registers."""

from typing import NamedTuple

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.simulator.faults import Fault, Values
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.noise import stream_root, uniform_at
from firmware_bridge.simulator.register_map import Register, RegisterMap
from firmware_bridge.simulator.source import Flow, Source
from firmware_bridge.simulator.three_phase import Split, three_phase

# A meter was in use before the scenario begins, Wh; low enough for a float counter to show 1 Wh.
_BEFORE_WH = (200_000.0, 2_000_000.0)
# Clients repeat a handful of requests; a scanner's many must not fill the memory.
_BLOCKS_MAX = 256


class Snapshot(NamedTuple):
    """All registers of one second: words by function, and the values they stand for."""

    words: dict[int, bytes]
    shown: Values


class Answer(NamedTuple):
    """What a client gets: the words, and the values that are whole within them."""

    words: bytes
    values: Values


class Meter:
    """One meter at one unit id."""

    def __init__(self, name: MeterId, unit: int, registers: RegisterMap, source: Source, seed: int) -> None:
        """Show `source` in `registers`; `seed` settles phases and counters."""
        self.name, self.unit, self.registers = name, unit, registers
        self._source = source
        self._roots = [stream_root(seed + unit, stream) for stream in range(7)]
        self._before_wh = [self._between(6, place, *_BEFORE_WH) for place in (0, 1)]
        self._weights = [self._between(6, place, 0.6, 1.4) for place in (2, 3, 4)]
        self._blocks: dict[Read, tuple[Register, ...]] = {}
        self._cached: tuple[int, tuple[Fault, ...], Snapshot] | None = None

    def answer(self, read: Read, at_us: UtcUs, faults: tuple[Fault, ...] = ()) -> Answer | ModbusException:
        """The registers that `read` asks for, as they are at `at_us`."""
        why = self._refusal(read)
        if why is not None:
            return why
        snapshot = self.snapshot(at_us, faults)
        start = 2 * (read.address - self.registers.spans[read.function].start)
        words = snapshot.words[read.function][start : start + 2 * read.count]
        return Answer(words, {one.measurand: snapshot.shown[one.measurand] for one in self._block(read)})

    def snapshot(self, at_us: UtcUs, faults: tuple[Fault, ...] = ()) -> Snapshot:
        """All registers at `at_us`; those of one second are computed once."""
        for fault in faults:
            at_us = fault.shown_us(at_us)
        at_s = at_us // US_PER_S
        if self._cached is None or self._cached[0] != at_s or self._cached[1] != faults:
            values = self.values(at_s)
            for fault in faults:
                fault.distort(values)
            self._cached = (at_s, faults, self._encode(values))
        return self._cached[2]

    def values(self, at_s: int) -> Values:
        """All measurands in that second, SI, before registers round them."""
        flow = self._source.flow(at_s)
        split = self._split(at_s // 60)
        return {**three_phase(flow.power_w, flow.mains, split), **self._energy(flow)}

    def _energy(self, flow: Flow) -> Values:
        drawn_wh, fed_wh = flow.import_wh + self._before_wh[0], flow.export_wh + self._before_wh[1]
        return {
            Measurand.ENERGY_IMPORT_WH: drawn_wh,
            Measurand.ENERGY_EXPORT_WH: fed_wh,
            Measurand.ENERGY_TOTAL_WH: drawn_wh + fed_wh,
            Measurand.ENERGY_IMPORT_L1_WH: drawn_wh * self._weights[0] / sum(self._weights),
        }

    def _split(self, minute: int) -> Split:
        """Appliances lie unevenly on the phases and come and go."""
        w1, w2, w3 = (weight * self._between(phase, minute, 0.85, 1.15) for phase, weight in enumerate(self._weights))
        total = w1 + w2 + w3
        f1, f2, f3 = (self._between(3 + phase, minute, 0.93, 0.99) for phase in range(3))
        return Split((w1 / total, w2 / total, w3 / total), (f1, f2, f3))

    def _between(self, stream: int, bucket: int, low: float, high: float) -> float:
        return low + (high - low) * uniform_at(self._roots[stream], bucket)

    def _encode(self, values: Values) -> Snapshot:
        spans = self.registers.spans
        images = {function: bytearray(2 * len(span)) for function, span in spans.items()}
        shown: Values = {}
        for register in self.registers.registers:
            words, shown[register.measurand] = register.encode(values[register.measurand])
            start = 2 * (register.address - spans[register.function].start)
            images[register.function][start : start + len(words)] = words
        return Snapshot({function: bytes(image) for function, image in images.items()}, shown)

    def _refusal(self, read: Read) -> ModbusException | None:
        span = self.registers.spans.get(read.function)
        if span is None or read.address not in span or read.address + read.count > span.stop:
            return ModbusException.ILLEGAL_ADDRESS
        if read.count > self.registers.read_max:
            return ModbusException.ILLEGAL_VALUE
        if self.registers.is_all_floats and (read.address % 2 or read.count % 2):
            return ModbusException.ILLEGAL_ADDRESS
        return None

    def _block(self, read: Read) -> tuple[Register, ...]:
        block = self._blocks.get(read)
        if block is None:
            if len(self._blocks) >= _BLOCKS_MAX:
                self._blocks.clear()
            block = self._blocks[read] = self.registers.inside(read)
        return block
