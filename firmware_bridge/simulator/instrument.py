"""What a meter measures, whatever it shows it in: registers or telegrams."""

from collections.abc import Iterable

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.simulator.faults import Device, Fault, Values
from firmware_bridge.simulator.nameplate import other_serial_number, serial_number_of
from firmware_bridge.simulator.noise import stream_root, uniform_at
from firmware_bridge.simulator.source import Flow, Gauge, Source
from firmware_bridge.simulator.three_phase import Split, three_phase

# A meter was in use before the scenario begins, Wh; low enough for a float counter to show 1 Wh.
_BEFORE_WH = (200_000.0, 2_000_000.0)


class Instrument:
    """One measuring device: the flow at its terminals, on three phases, and its counters."""

    def __init__(self, name: MeterId, unit: int, source: Source, seed: int, gauges: Iterable[Gauge] = ()) -> None:
        """Measure `source` and what `gauges` know; `seed` settles phases, counters and serial number."""
        self.name, self.unit = name, unit
        self._serial_number = serial_number_of(seed, unit)
        self._source, self._gauges = source, tuple(gauges)
        self._roots = [stream_root(seed + unit, stream) for stream in range(7)]
        self._before_wh = [self._between(6, place, *_BEFORE_WH) for place in (0, 1)]
        self._weights = [self._between(6, place, 0.6, 1.4) for place in (2, 3, 4)]
        self._shares = [weight / sum(self._weights) for weight in self._weights]

    def serial_number(self, faults: Iterable[Fault] = ()) -> int:
        """That of the meter, or of the one that is in its place."""
        is_other = any(fault.swaps_meter() for fault in faults)
        return other_serial_number(self._serial_number) if is_other else self._serial_number

    def values(self, at_s: int) -> Values:
        """All measurands in that second, SI, before registers round them."""
        flow = self._source.flow(at_s)
        values = three_phase(flow.power_w, flow.mains, self._split(at_s // 60))
        values.update(self._energy(flow))
        for gauge in self._gauges:
            values.update(gauge.values(at_s))
        return values

    def _energy(self, flow: Flow) -> Values:
        drawn_wh, fed_wh = flow.import_wh + self._before_wh[0], flow.export_wh + self._before_wh[1]
        share1, share2, share3 = self._shares
        return {
            Measurand.ENERGY_IMPORT_WH: drawn_wh,
            Measurand.ENERGY_EXPORT_WH: fed_wh,
            Measurand.ENERGY_TOTAL_WH: drawn_wh + fed_wh,
            Measurand.ENERGY_IMPORT_L1_WH: drawn_wh * share1,
            Measurand.ENERGY_IMPORT_L2_WH: drawn_wh * share2,
            Measurand.ENERGY_IMPORT_L3_WH: drawn_wh * share3,
            Measurand.ENERGY_EXPORT_L1_WH: fed_wh * share1,
            # a thousand for each kilowatt-hour, as most counters have printed on them
            Measurand.PULSE_COUNT: drawn_wh // 1.0,
        }

    def _split(self, minute: int) -> Split:
        """Appliances lie unevenly on the phases and come and go."""
        w1, w2, w3 = (weight * self._between(phase, minute, 0.85, 1.15) for phase, weight in enumerate(self._weights))
        total = w1 + w2 + w3
        f1, f2, f3 = (self._between(3 + phase, minute, 0.93, 0.99) for phase in range(3))
        return Split((w1 / total, w2 / total, w3 / total), (f1, f2, f3))

    def _between(self, stream: int, bucket: int, low: float, high: float) -> float:
        return low + (high - low) * uniform_at(self._roots[stream], bucket)


def shown_second(at_us: UtcUs, faults: Iterable[Fault]) -> int:
    """The second whose values are shown at `at_us`, counted from the epoch."""
    for fault in faults:
        at_us = fault.shown_us(at_us)
    return at_us // US_PER_S


def distorted(device: Device, at_s: int, faults: Iterable[Fault]) -> Values:
    """What `device` is about to show in that second, SI."""
    values = device.values(at_s)
    for fault in faults:
        fault.distort(values, device)
    return values
