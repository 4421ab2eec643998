"""Hours on a line in milliseconds: a line that exists as arithmetic, devices that answer, or do not."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import msgspec
import pytest

from firmware_bridge.bus import Ask, Bus, Station, Wait
from firmware_bridge.catalog import load_profile
from firmware_bridge.config import MeterConfig
from firmware_bridge.errors import BusError, ExceptionReplyError, LineError, NoReplyError
from firmware_bridge.late_reply import LATE_S_MAX
from firmware_bridge.meter import Meter
from firmware_bridge.poll_plan import WireCost
from firmware_bridge.reading import US_PER_S, MonotonicS, Quality, UtcUs
from firmware_bridge.registers import decode

TIMEOUT_S = 1.0
TEN = range(1, 11)
COST = WireCost(request_s=0.010, register_s=0.0002)
# What a device does with a request that arrives at an instant: answers after so many seconds, or an error.
Behaviour = Callable[[float, Ask], float | BusError]


def well(_: float, ask: Ask) -> float:
    return 0.005 + COST.request_s + COST.register_s * ask.block.count


def dead(_: float, __: Ask) -> BusError:
    return NoReplyError("no reply")


def hang_up(_: float, __: Ask) -> BusError:
    return LineError("hung up")


class Line:
    """Ten meters on one line, and a clock that only the line moves."""

    def __init__(self, profile: str = "eastron_sdm630", *, units: Sequence[int] = TEN, late: bool = False) -> None:
        loaded = load_profile(profile)
        configs = [MeterConfig(f"m{unit}", "line", unit, profile) for unit in units]
        self.meters = [Meter(config, loaded) for config in configs]
        stations = [
            Station(meter, COST, TIMEOUT_S, phase=place / len(configs)) for place, meter in enumerate(self.meters)
        ]
        self.bus = Bus(stations, COST, has_late_replies=late)
        self.now_s = 0.0
        self.behaviours: dict[int, Behaviour] = {}
        self.asked: list[Ask] = []
        self.full_reads: Counter[int] = Counter()
        self.read_at_s: dict[int, float] = {}
        # of the devices that hold anything: register -> word
        self.holds: dict[int, int] = {}

    def sweep(self, period_s: float = 1.0) -> None:
        """One sweep, then rest until the next tick; back to back with a period of 0."""
        began_s = self.now_s
        tick_us = UtcUs(round(began_s * US_PER_S))
        budget_s = 0.8 * period_s if period_s else 5.0
        self.bus.begin_sweep(tick_us, MonotonicS(began_s), MonotonicS(began_s + budget_s))
        while (step := self.bus.next(MonotonicS(self.now_s))) is not None:
            if isinstance(step, Wait):
                assert step.until_s > self.now_s
                self.now_s = step.until_s
            else:
                self._ask(step)
        self.bus.end_sweep(MonotonicS(self.now_s))
        for meter in self.meters:
            readings, _ = meter.end_sweep(tick_us)
            if all(reading.quality is not Quality.MISSING for reading in readings):
                self.full_reads[meter.config.unit] += 1
                self.read_at_s[meter.config.unit] = self.now_s
        assert self.now_s <= began_s + budget_s + 1e-9
        self.now_s = max(self.now_s, began_s + period_s)

    def run(self, until_s: float, period_s: float = 1.0) -> None:
        while self.now_s < until_s:
            self.sweep(period_s)

    def _ask(self, ask: Ask) -> None:
        self.asked.append(ask)
        outcome = self.behaviours.get(ask.station.unit, well)(self.now_s, ask)
        if not isinstance(outcome, BusError) and outcome > ask.timeout_s:
            outcome = NoReplyError("too late")
        if isinstance(outcome, NoReplyError):
            self.now_s += ask.timeout_s
        elif isinstance(outcome, BusError):
            self.now_s += 0.02
        if isinstance(outcome, BusError):
            self.bus.failed(ask, outcome, MonotonicS(self.now_s))
            return
        self.now_s += outcome
        words = [self.holds.get(ask.block.address + place, 0) for place in range(ask.block.count)]
        self.bus.took(ask, words, MonotonicS(self.now_s), UtcUs(round(self.now_s * US_PER_S)), outcome)


def worst_share(dead_units: Sequence[int], period_s: float, seconds: float = 120.0) -> float:
    """What the worst healthy meter has of the full reads that it has without a fault."""
    sound, faulty = Line(), Line()
    faulty.behaviours = dict.fromkeys(dead_units, dead)
    sound.run(seconds, period_s)
    faulty.run(seconds, period_s)
    return min(faulty.full_reads[unit] / sound.full_reads[unit] for unit in TEN if unit not in dead_units)


@pytest.mark.parametrize("period_s", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize("place", [1, 5, 10])
def test_one_dead_of_ten_leaves_the_others_95_percent_from_the_first_second_on(place: int, period_s: float):
    assert worst_share([place], period_s) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("period_s", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
@pytest.mark.parametrize("places", [(1, 2, 3), (1, 5, 10), (8, 9, 10)])
def test_three_dead_of_ten_leave_the_others_90_percent(places: Sequence[int], period_s: float):
    assert worst_share(places, period_s) >= 0.90


@pytest.mark.parametrize("dead_s", [10.0, 100.0, pytest.param(3600.0, marks=pytest.mark.slow)])
def test_a_dead_meter_that_returns_is_read_again_within_half_a_minute(dead_s: float):
    line = Line()
    line.behaviours[4] = lambda now_s, ask: dead(now_s, ask) if now_s < dead_s else well(now_s, ask)
    line.run(dead_s + 30)
    assert line.read_at_s[4] > dead_s


def test_a_meter_that_dies_later_costs_the_others_less_than_one_sweep():
    line = Line()
    line.behaviours[4] = lambda now_s, ask: dead(now_s, ask) if now_s >= 60 else well(now_s, ask)
    line.run(600)
    assert min(line.full_reads[unit] for unit in TEN if unit != 4) >= 599


def test_a_slow_meter_is_waited_for_and_read():
    line = Line(units=[1, 2])
    line.behaviours[1] = lambda now_s, ask: 0.35
    line.run(60)
    assert line.full_reads[1] >= 55
    assert line.full_reads[2] >= 59


def test_one_reply_in_twenty_is_lost_and_asked_again_in_the_same_sweep():
    line = Line()
    lost = Counter({unit: 2 * unit for unit in TEN})

    def noisy(now_s: float, ask: Ask) -> float | BusError:
        lost[ask.station.unit] += 1
        return NoReplyError("lost") if lost[ask.station.unit] % 20 == 0 else well(now_s, ask)

    line.behaviours = dict.fromkeys(TEN, noisy)
    line.run(600)
    assert min(line.full_reads.values()) >= 0.97 * 600


def test_a_block_that_is_refused_is_asked_in_halves_until_only_what_is_not_there_is_missing():
    line = Line("carlo_gavazzi_em340", units=[1])
    line.behaviours[1] = lambda now_s, ask: (
        ExceptionReplyError("illegal address", 2)
        if ask.block.address <= 0x33 < ask.block.address + ask.block.count
        else well(now_s, ask)
    )
    line.run(120)
    readings, _ = line.meters[0].end_sweep(UtcUs(0))
    assert {reading.measurand for reading in readings if reading.value is None} == {"frequency_hz"}
    asked_for_it = [
        ask for ask in line.asked[-60:] if ask.block.address <= 0x33 < ask.block.address + ask.block.count
    ]
    assert asked_for_it == []


def test_a_line_that_is_gone_is_told_of_all_its_meters_and_tried_again():
    line = Line()
    line.behaviours = dict.fromkeys(
        TEN, lambda now_s, ask: LineError("gone") if 10 <= now_s < 60 else well(now_s, ask)
    )
    line.run(60)
    assert all(meter.health().silent_since_us == 10 * US_PER_S for meter in line.meters)
    # two tries, because one device may make a gateway hang up, and then less and less often
    assert len([ask for ask in line.asked if ask]) < 10 * 12 + 2 * 20
    line.run(75)
    assert all(meter.health().silent_since_us is None for meter in line.meters)


def test_one_device_for_which_a_gateway_hangs_up_does_not_silence_the_others():
    line = Line()
    line.behaviours[5] = hang_up
    line.run(120)
    assert min(line.full_reads[unit] for unit in TEN if unit != 5) >= 0.95 * 120


@pytest.mark.parametrize("units", [[1], [10], [5, 6], [9, 10], [1, 4, 10]])
def test_devices_for_which_a_gateway_hangs_up_cost_nothing_where_a_sweep_takes_most_of_its_time(units: list[int]):
    line = Line()
    line.behaviours = dict.fromkeys(TEN, lambda now_s, ask: 0.06) | dict.fromkeys(units, hang_up)
    line.run(300)
    assert min(line.full_reads[unit] for unit in TEN if unit not in units) >= 0.95 * 300
    assert all(line.meters[unit - 1].health().silent_since_us is not None for unit in units)


def test_slow_registers_are_read_in_their_time_and_repeat_themselves_in_between():
    line = Line("abb_b23", units=[1, 2])
    line.run(101)
    slow = [ask for ask in line.asked if ask.block.period_s and ask.block.registers]
    every_sweep = [ask for ask in line.asked if not ask.block.period_s]
    assert len(every_sweep) >= 200
    assert len(slow) <= 2 * 11 * len({ask.block.address for ask in slow})
    assert line.full_reads[1] >= 100


def test_a_device_that_wants_to_rest_is_not_asked_while_it_does():
    line = Line("growatt_hybrid_sph", units=[1, 2])
    line.run(120)
    pause_s = load_profile("growatt_hybrid_sph").file.pause_s
    assert pause_s > 0
    assert line.full_reads[1] > 60
    assert len([ask for ask in line.asked if ask.station.unit == 1]) <= 120 / pause_s + 1


def test_a_device_that_is_too_busy_for_its_first_questions_is_asked_once_a_sweep_and_the_others_are_read():
    line = Line("sunspec_inverter", units=[1, 2])
    line.behaviours[1] = lambda now_s, ask: ExceptionReplyError("busy", 6)
    line.behaviours[2] = lambda now_s, ask: ExceptionReplyError("busy", 6)
    line.run(10)
    assert [ask.station.unit for ask in line.asked] == [1, 2] * 10


def test_a_lost_answer_to_a_first_question_is_waited_for_where_late_ones_cannot_be_told():
    line = Line("sunspec_inverter", units=[1], late=True)
    line.behaviours[1] = dead
    line.run(60)
    asked_at = len(line.asked)
    assert 1 <= asked_at <= 60 / LATE_S_MAX
    line.behaviours[1] = well
    line.run(90)
    assert len(line.asked) > asked_at


def test_what_was_refused_while_the_device_booted_is_read_as_planned_again_within_minutes():
    line = Line("eastron_sdm630", units=[1])
    line.behaviours[1] = lambda now_s, ask: ExceptionReplyError("booting", 2) if 10 < now_s < 40 else well(now_s, ask)
    line.run(10)
    planned = {(ask.block.address, ask.block.count) for ask in line.asked if ask.block.registers}
    line.run(150)
    asked, reads = len(line.asked), line.full_reads[1]
    line.run(250)
    assert line.full_reads[1] == reads + 100
    assert {(ask.block.address, ask.block.count) for ask in line.asked[asked:] if ask.block.registers} == planned


def test_what_a_device_never_has_is_asked_less_and_less_often():
    line = Line("eastron_sdm630", units=[1])
    line.behaviours[1] = lambda now_s, ask: (
        ExceptionReplyError("illegal address", 2) if ask.block.address == 0x156 else well(now_s, ask)
    )
    line.run(12_000)
    assert 10 <= len([ask for ask in line.asked if ask.block.address == 0x156]) <= 20


def test_slow_registers_are_read_as_soon_as_a_device_is_back():
    line = Line(units=[1])
    line.behaviours[1] = lambda now_s, ask: dead(now_s, ask) if 30 <= now_s < 31 else well(now_s, ask)
    line.run(60)
    assert line.full_reads[1] >= 58


def test_on_a_line_with_more_to_read_than_a_sweep_has_time_for_all_are_read_equally_often():
    line = Line(units=range(1, 21))
    line.behaviours = dict.fromkeys(range(1, 21), lambda now_s, ask: 0.1)
    line.run(600)
    assert min(line.full_reads.values()) >= 0.75 * max(line.full_reads.values())


def test_on_such_a_line_who_was_silent_for_a_while_is_read_again_like_the_others():
    line = Line(units=range(1, 21))
    line.behaviours = dict.fromkeys(range(1, 21), lambda now_s, ask: 0.1)
    line.behaviours[7] = lambda now_s, ask: NoReplyError("no reply") if 20 < now_s < 25 else 0.1
    line.run(600)
    assert line.full_reads[7] >= 0.7 * max(line.full_reads.values())
    # each has lost a reply now and then
    draws = Random(1)
    lossy = Line(units=range(1, 21))
    lossy.behaviours = dict.fromkeys(
        range(1, 21), lambda now_s, ask: NoReplyError("lost") if draws.random() < 0.02 else 0.1
    )
    lossy.run(600)
    assert min(lossy.full_reads.values()) >= 0.5 * max(lossy.full_reads.values())


def test_a_part_of_a_block_may_lie_where_another_block_with_other_registers_lies():
    profile = load_profile("eastron_sdm630")
    station = Station(Meter(MeterConfig("m", "line", 1, profile.name), profile), COST, TIMEOUT_S, phase=0.0)
    whole = station.agenda.blocks[0]
    first, second = whole.registers[:2]
    words = range(whole.count)
    for registers in ((first, second), (first,), (second,)):
        block = msgspec.structs.replace(whole, registers=registers)
        assert station.decoder(block).decode(words) == [
            decode(one, words[one.start - whole.address : one.end - whole.address]) for one in registers
        ]


def test_a_clock_that_is_set_back_by_an_hour_keeps_no_block_of_a_slow_device_waiting():
    profile = load_profile("growatt_hybrid_sph")
    agenda = Station(Meter(MeterConfig("m", "line", 1, profile.name), profile), COST, TIMEOUT_S, phase=0.0).agenda

    def one_a_second(from_s: int) -> Counter[tuple[int, int]]:
        """As many as its pause allows."""
        asked: Counter[tuple[int, int]] = Counter()
        for second in range(from_s, from_s + 60):
            agenda.begin(UtcUs(second * US_PER_S))
            if (block := agenda.next()) is not None:
                asked[block.address, block.count] += 1
                agenda.took([0] * block.count)
        return asked

    before, after = one_a_second(36_000), one_a_second(32_400)
    assert len(before) > 2
    assert before == after


def sunspec_chain(model: int, common_registers: int) -> dict[int, int]:
    """A chain from register 40000 on: the common model, and ours."""
    words = [0x5375, 0x6E53, 1, common_registers, *[0] * common_registers, model, 200, *[0] * 200, 0xFFFF, 0]
    return dict(enumerate(words, start=40_000))


def test_a_sunspec_device_that_was_exchanged_for_one_with_a_longer_chain_is_read_where_its_model_lies():
    line = Line("sunspec_meter", units=[1])
    line.holds = sunspec_chain(203, 65)
    line.run(20)
    line.behaviours[1] = dead
    line.run(60)
    line.holds, line.behaviours[1] = sunspec_chain(203, 66), well
    before = {ask.block.address for ask in line.asked if ask.block.registers}
    asked = len(line.asked)
    line.run(120)
    after = {ask.block.address for ask in line.asked[asked:] if ask.block.registers}
    assert after == {address + 1 for address in before}


def test_a_gateway_that_waits_long_for_a_dead_device_silences_the_others_hardly_longer_than_that():
    line, busy_s, longest_s = Line(units=range(1, 7)), 4.0, 0.0
    free_at_s = 0.0

    def behind_it(now_s: float, ask: Ask) -> float | BusError:
        nonlocal free_at_s
        is_dead = ask.station.unit == 5
        free_at_s = max(free_at_s, now_s) + (busy_s if is_dead else 0.02)
        return dead(now_s, ask) if is_dead else free_at_s - now_s

    line.behaviours = dict.fromkeys(range(1, 7), behind_it)
    line.run(60)
    while line.now_s < 300:
        line.sweep()
        longest_s = max(longest_s, *(line.now_s - line.read_at_s.get(unit, 0.0) for unit in (1, 2, 3, 4, 6)))
    assert longest_s <= busy_s + 3 * 1.0
