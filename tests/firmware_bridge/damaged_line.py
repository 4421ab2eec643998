"""A serial line in memory whose replies are damaged: the whole path from bytes to readings, and what came of it."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from firmware_bridge import rtu
from firmware_bridge.bus import Ask, Bus, Station, Wait
from firmware_bridge.catalog import load_profile
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.errors import BadReplyError, BusError, ExceptionReplyError, NoReplyError
from firmware_bridge.map_file import RegisterType
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import Meter
from firmware_bridge.poll_plan import Block
from firmware_bridge.profile import Register
from firmware_bridge.reading import US_PER_S, MonotonicS, Quality, Reading, UtcUs
from firmware_bridge.receiver import Receiver
from firmware_bridge.simulator.frames import ModbusException, Read, words_pdu
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage
from firmware_bridge.verdict import GATEWAY_CODES, State, Verdict
from firmware_bridge.wire import wire_cost
from tests.firmware_bridge.damage import CRC_BYTES, HEADER_BYTES, Damage
from tests.firmware_bridge.published_limits import F32_STEP, ROUNDING, PublishedLimits

BUS = BusConfig("line", "serial:///dev/ttyS0", 1.0, baud=115_200)
# Floats; whole numbers, low word first; 64 bits; numbers with a scale register.
PROFILES = ("eastron_sdm630", "carlo_gavazzi_em340", "abb_b23", "sunspec_meter")
SCENARIO = '[site]\nseed = 3\nstart = 2026-06-01T00:00:00Z\ntime_zone = "UTC"\n'
# Seconds from its start: noon, evening, a grid that fails, and one that returns.
STRETCHES_S = (12 * 3600, 20 * 3600, 79_105 - 100, 80_325 - 100)
STRETCH_SWEEPS = 200
# Before the first damage, each meter is known and each of its rates has a base.
HEALTHY_SWEEPS = 3
# What a device takes to answer, and the line to be idle behind it.
ANSWER_S, IDLE_S = 0.005, 0.035
SWEEP_S, BUDGET_S = 1.0, 0.8


_profile = cache(load_profile)


class House:
    """What the devices of a house show, second by second; remembered, because it is read over and over."""

    def __init__(self) -> None:
        meters = (
            f'[[meter]]\nname = "m{unit}"\nunit = {unit}\nprofile = "{profile}"\nquantity = "grid"\n'
            for unit, profile in enumerate(PROFILES, 1)
        )
        stage = set_stage(parse_scenario(SCENARIO + "".join(meters)), Path())
        devices = {device.unit: device for device in stage.meters}
        self.start_us = stage.start_us
        self._snapshot = cache(lambda unit, at_us: devices[unit].snapshot(at_us))
        self._window = cache(lambda unit, read: devices[unit].registers.window(read))

    def pdu(self, unit: int, read: Read, at_us: UtcUs) -> bytes:
        """What the device at `unit` answers."""
        window = self._window(unit, read)
        if isinstance(window, ModbusException):
            return bytes((read.function | 0x80, window))
        bank, start, end = window.place
        return words_pdu(read.function, self._snapshot(unit, at_us).images[bank][start:end])

    def shown(self, unit: int, measurand: Measurand, at_us: UtcUs) -> float | None:
        """What its registers mean."""
        return self._snapshot(unit, at_us).shown[measurand]


class Outcome(NamedTuple):
    """What became of damaged replies.

    `counts` by what stopped them: "crc", "length", "unit", "function", "exception" and "silence", or nothing:
    "accepted". Of the values in accepted ones: "values_right", "values_missing", "values_doubted" and
    "values_escaped", which were published as good and are wrong; "values_range", "values_rate", "values_cross"
    and "values_counter" tell why any value was doubted in those sweeps. `breaches` must not be.
    """

    counts: Counter[str]
    breaches: list[Reading]


def outcome(frames: int, seed: int, *, has_right_crc: bool = False) -> Outcome:
    """What becomes of so many damaged replies, on lines that begin anew with each stretch of the day."""
    house, damage, found = House(), Damage(seed, has_right_crc=has_right_crc), Outcome(Counter(), [])
    for start_s in cycle(STRETCHES_S):
        if found.counts["damaged"] >= frames:
            return found
        DamagedLine(house, damage, found).run(UtcUs(house.start_us + start_s * US_PER_S), frames)
    raise AssertionError("a cycle does not end")


def outcome_of_many(frames: int, *, has_right_crc: bool = False) -> Outcome:
    """The same on all processors."""
    workers = os.cpu_count() or 1
    shares = [frames // workers + (worker < frames % workers) for worker in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(outcome, has_right_crc=has_right_crc), shares, range(workers)))
    return Outcome(
        sum((one.counts for one in found), Counter()), [reading for one in found for reading in one.breaches]
    )


class DamagedLine:
    """Meters on one line, from their first contact on; what becomes of damaged replies is added to `found`."""

    def __init__(self, house: House, damage: Damage, found: Outcome) -> None:
        self._house, self._damage, self._found, self.counts = house, damage, found, found.counts
        cost = wire_cost(BUS)
        self._meters = [
            Meter(MeterConfig(f"m{unit}", BUS.name, unit, name), _profile(name))
            for unit, name in enumerate(PROFILES, 1)
        ]
        stations = [
            Station(meter, cost, BUS.timeout_s, phase=place / len(PROFILES))
            for place, meter in enumerate(self._meters)
        ]
        self._limits = [PublishedLimits(meter.profile, meter.config.rated_power_w) for meter in self._meters]
        self._bus = Bus(stations, cost, has_late_replies=True)
        self._cost, self._receiver = cost, Receiver(rtu)
        self._now_s = 0.0
        # Blocks of this sweep whose damaged reply was taken for the answer, with the answer it was.
        self._struck: list[tuple[Ask, bytes]] = []

    def run(self, from_us: UtcUs, damaged_max: int) -> None:
        """Sweep after sweep, one of three without damage, until the stretch ends or so many replies were damaged."""
        for sweep in range(STRETCH_SWEEPS):
            if self.counts["damaged"] >= damaged_max:
                return
            is_damaged = sweep >= HEALTHY_SWEEPS and sweep % 3 > 0
            self._sweep(UtcUs(from_us + sweep * US_PER_S), MonotonicS(sweep * SWEEP_S), damaged_max * is_damaged)

    def _sweep(self, tick_us: UtcUs, began_s: MonotonicS, damaged_max: int) -> None:
        self._now_s = began_s
        self._struck.clear()
        suspected = self._suspected()
        self._bus.begin_sweep(tick_us, began_s, MonotonicS(began_s + BUDGET_S))
        while (step := self._bus.next(MonotonicS(self._now_s))) is not None:
            if isinstance(step, Wait):
                self._now_s = step.until_s
            else:
                self._ask(step, tick_us, is_damaged=self.counts["damaged"] < damaged_max)
        self._bus.end_sweep(MonotonicS(self._now_s))
        rows = [meter.end_sweep(tick_us)[0] for meter in self._meters]
        for limits, row in zip(self._limits, rows, strict=True):
            self._found.breaches.extend(limits.breaches(row))
        if self._struck:
            self._compare(rows, tick_us)
            self.counts.update({f"values_{why}": count for why, count in (self._suspected() - suspected).items()})

    def _ask(self, ask: Ask, tick_us: UtcUs, *, is_damaged: bool) -> None:
        unit, block, began_s = ask.station.unit, ask.block, self._now_s
        body = bytes((unit,)) + self._house.pdu(unit, Read(block.function, block.address, block.count), tick_us)
        frame = body + rtu.crc(body)
        self._receiver.ask(rtu.read_request(unit, block.function, block.address, block.count).frame)
        kind, data = self._damage.of(frame) if is_damaged else (None, frame)
        verdict = self._heard(data)
        self._now_s += ANSWER_S + self._cost.request_s + block.count * self._cost.register_s
        if kind is not None:
            self.counts["damaged"] += 1
            self.counts[str(kind)] += 1
            self.counts[f"{kind}_passed_crc"] += rtu.crc(data[:-CRC_BYTES]) == data[-CRC_BYTES:]
            self._count(ask, verdict, frame)
        error = self._error(verdict, ask)
        now_s = MonotonicS(self._now_s)
        if error is not None:
            self._bus.failed(ask, error, now_s)
        else:
            at_us = UtcUs(tick_us + round((now_s % SWEEP_S) * US_PER_S))
            self._bus.took(ask, list(verdict.words), now_s, at_us, now_s - began_s)
        for late in self._receiver.take_late():
            self._bus.came_late(late.unit, late.function, late.count)

    def _heard(self, data: bytes) -> Verdict:
        """As transport.py hears it: the bytes, and then nothing more."""
        verdict = self._receiver.hear(data)
        return self._receiver.idle() if verdict.state is State.WAITING else verdict

    def _error(self, verdict: Verdict, ask: Ask) -> BusError | None:
        """As transport.py tells it to the bus."""
        if verdict.state is State.ANSWER:
            return None
        if verdict.state is State.EXCEPTION:
            is_silent = verdict.code in GATEWAY_CODES
            return NoReplyError("gateway") if is_silent else ExceptionReplyError("exception", verdict.code)
        if verdict.state is State.REFUSED:
            self._now_s += IDLE_S
            return BadReplyError(verdict.detail)
        self._receiver.give_up()
        self._now_s += ask.timeout_s
        return NoReplyError("no reply")

    def _count(self, ask: Ask, verdict: Verdict, frame: bytes) -> None:
        """What stopped a damaged reply."""
        if verdict.state is State.ANSWER:
            self.counts["accepted"] += 1
            self._struck.append((ask, frame))
        elif verdict.state is State.EXCEPTION:
            self.counts["exception"] += 1
        else:
            fault = verdict.fault or (verdict.passed_over[0].fault if verdict.passed_over else "silence")
            self.counts[str(fault)] += 1

    def _compare(self, rows: Sequence[Sequence[Reading]], tick_us: UtcUs) -> None:
        """What became of values that came in a damaged reply."""
        for ask, frame in self._struck:
            unit = ask.station.unit
            readings = {reading.measurand: reading for reading in rows[unit - 1]}
            for register in ask.block.registers:
                truth = self._house.shown(unit, register.measurand, tick_us)
                step = _step(register, ask.block, frame, truth or 0.0)
                self.counts[f"values_{_fate(readings[register.measurand], truth, step)}"] += 1

    def _suspected(self) -> Counter[str]:
        return sum((Counter(meter.suspected) for meter in self._meters), Counter())


def _step(register: Register, block: Block, frame: bytes, truth: float) -> float:
    """The resolution of a register, SI; the scale is that of the undamaged frame."""
    if register.type is RegisterType.F32:
        return abs(truth) * F32_STEP
    step = abs(register.numerator / register.denominator)
    if register.scale_address is None:
        return step
    place = HEADER_BYTES + 2 * (register.scale_address - block.address)
    return step * 10.0 ** int.from_bytes(frame[place : place + 2], "big", signed=True)


def _fate(reading: Reading, truth: float | None, step: float) -> str:
    """What was published of a value that came in a damaged reply."""
    if reading.value is None:
        return "missing"
    if truth is not None and abs(reading.value - truth) <= step * ROUNDING:
        return "right"
    return "escaped" if reading.quality is Quality.GOOD else "doubted"
