import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import MeterConfig
from firmware_bridge.errors import BadReplyError, BusError, ExceptionReplyError, LineError, NoReplyError
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import BAD_SWEEPS_MAX, PROBE_FIRST_S, PROBE_LAST_S, Meter, News
from firmware_bridge.reading import MonotonicS, Quality, Reading, UtcUs

SILENCE = NoReplyError("no reply")
TICK_US = UtcUs(1_700_000_000_000_000)
NOW_S = MonotonicS(1000.0)

# carlo_gavazzi_em340: raw tenths of a volt in its first block, of a watt in its second.
VOLTAGE_L1, POWER = 0x00, 0x28


def a_meter(rated_power_w: float = 10_000) -> Meter:
    config = MeterConfig("grid", "mains", 1, "carlo_gavazzi_em340", "grid", rated_power_w)
    return Meter(config, load_profile(config.profile))


def words_of(meter: Meter, place: int, **raws: int) -> list[int]:
    """The words of a block, all 0 but those given by address as `at_0x28=...` (32 bits, low word first)."""
    words = [0] * meter.blocks[place].count
    for name, raw in raws.items():
        address = int(name.removeprefix("at_"), 0)
        first = address - meter.blocks[place].address
        words[first : first + 2] = [raw & 0xFFFF, raw >> 16 & 0xFFFF]
    return words


def sweep(meter: Meter, *outcomes: BusError | dict[str, int], now_s: float = NOW_S) -> tuple[list[Reading], News]:
    """One sweep: for each block an error, or the words that came; blocks without an outcome are not asked."""
    meter.begin_sweep()
    for place, outcome in enumerate(outcomes):
        meter.ask()
        if isinstance(outcome, BusError):
            meter.fail(outcome)
        else:
            meter.take(place, words_of(meter, place, **outcome), UtcUs(TICK_US + place + 1))
    return meter.end_sweep(TICK_US, MonotonicS(now_s))


def reading_of(readings: list[Reading], measurand: Measurand) -> Reading:
    return next(reading for reading in readings if reading.measurand is measurand)


def silence(meter: Meter, sweeps: int, now_s: float = NOW_S) -> News:
    news = News.NONE
    for _ in range(sweeps):
        news = sweep(meter, SILENCE, now_s=now_s)[1]
    return news


OUTCOMES = [(), ({}, {}), ({}, SILENCE), (SILENCE,), (LineError("gone"),), (ExceptionReplyError("2"), {})]


@pytest.mark.parametrize("outcomes", OUTCOMES)
def test_every_sweep_has_the_same_columns(outcomes: tuple):
    meter = a_meter()
    readings, _ = sweep(meter, *outcomes)
    assert [(reading.meter, reading.measurand) for reading in readings] == [
        (series.meter, series.measurand) for series in meter.series
    ]
    assert all((reading.value is None) == (reading.quality is Quality.MISSING) for reading in readings)


def test_a_reading_is_stamped_when_its_block_came_and_at_the_tick_when_it_did_not():
    readings, _ = sweep(a_meter(), {}, SILENCE)
    assert {reading.at_us for reading in readings if reading.quality is Quality.GOOD} == {TICK_US + 1}
    assert {reading.at_us for reading in readings if reading.quality is Quality.MISSING} == {TICK_US}


@pytest.mark.parametrize(
    ("raw_dw", "quality"),
    [(0, 0), (120_000, 0), (120_001, 1), (-120_000, 0), (-120_001, 1), (0x7FFFFFFE, 1), (0x7FFFFFFF, 2)],
)
def test_power_beyond_what_the_breaker_lets_through_is_kept_and_suspect(raw_dw: int, quality: int):
    readings, _ = sweep(a_meter(rated_power_w=10_000), {}, {f"at_{POWER:#x}": raw_dw})
    reading = reading_of(readings, Measurand.ACTIVE_POWER_W)
    assert reading.quality == quality
    assert reading.value == (None if quality == Quality.MISSING else raw_dw / 10)


def test_the_rating_does_not_stretch_what_is_plausible_at_all():
    readings, _ = sweep(a_meter(rated_power_w=1e9), {}, {f"at_{POWER:#x}": 30_000_000})
    assert reading_of(readings, Measurand.ACTIVE_POWER_W).quality is Quality.SUSPECT


def test_an_implausible_voltage_is_suspect_whatever_the_rating():
    readings, _ = sweep(a_meter(), {f"at_{VOLTAGE_L1:#x}": 5001}, {})
    assert reading_of(readings, Measurand.VOLTAGE_L1_V).quality is Quality.SUSPECT
    assert reading_of(readings, Measurand.VOLTAGE_L2_V).quality is Quality.GOOD


def test_a_meter_silent_for_three_sweeps_rests_and_each_rest_is_twice_the_last():
    meter = a_meter()
    silence(meter, BAD_SWEEPS_MAX - 1)
    assert not meter.is_resting(NOW_S)
    rests_s, now_s = [], float(NOW_S)
    for _ in range(9):
        silence(meter, 1, now_s)
        rest_s = next(rest for rest in range(1, 200) if not meter.is_resting(MonotonicS(now_s + rest)))
        rests_s.append(rest_s)
        now_s += rest_s
    assert rests_s == [PROBE_FIRST_S, 2, 4, 8, 16, 32, PROBE_LAST_S, PROBE_LAST_S, PROBE_LAST_S]


def test_a_meter_silent_for_a_year_is_still_probed():
    meter = a_meter()
    silence(meter, 3000)
    assert meter.is_resting(MonotonicS(NOW_S + PROBE_LAST_S - 0.001))
    assert not meter.is_resting(MonotonicS(NOW_S + PROBE_LAST_S))


@pytest.mark.parametrize("word", [{}, ExceptionReplyError("illegal address"), BadReplyError("length 7")])
def test_any_word_of_the_meter_ends_its_rest(word: BusError | dict):
    meter = a_meter()
    silence(meter, 5)
    assert meter.is_resting(NOW_S)
    sweep(meter, word)
    assert not meter.is_resting(NOW_S)
    assert meter.health().silent_since_us is None


def test_a_sweep_that_does_not_ask_the_meter_changes_nothing():
    meter = a_meter()
    silence(meter, 2)
    before = meter.health(), meter.turn
    for _ in range(5):
        _, news = sweep(meter)
        assert news is News.NONE
    assert (meter.health(), meter.turn) == before


def test_silence_is_told_once_and_so_is_the_return():
    meter = a_meter()
    told = [
        sweep(meter, *outcomes)[1] for outcomes in [({}, {})] + [(SILENCE,)] * 6 + [({}, SILENCE)] + [({}, {})] * 3
    ]
    assert [news for news in told if news is not News.NONE] == [News.SILENT, News.BACK]
    assert told.index(News.SILENT) == BAD_SWEEPS_MAX
    assert told.index(News.BACK) == 8


def test_one_lost_reply_is_no_news():
    meter = a_meter()
    for outcomes in [({}, {}), (SILENCE,), ({}, {}), ({}, SILENCE), ({}, {})] * 5:
        assert sweep(meter, *outcomes)[1] is News.NONE
    assert meter.health().silent_since_us is None


def test_a_meter_that_answers_badly_is_told_once_and_again_when_it_falls_silent():
    meter = a_meter()
    bad = [sweep(meter, {}, ExceptionReplyError("illegal address"))[1] for _ in range(6)]
    assert [news for news in bad if news is not News.NONE] == [News.TROUBLED]
    assert silence(meter, BAD_SWEEPS_MAX) is News.SILENT
    assert sweep(meter, {}, ExceptionReplyError("illegal address"))[1] is News.NONE
    assert sweep(meter, {}, {})[1] is News.BACK


def test_health_counts_reads_and_remembers_the_last_error():
    meter = a_meter()
    sweep(meter, {}, {})
    sweep(meter, {}, ExceptionReplyError("exception 2"))
    silence(meter, 2)
    health = meter.health()
    assert (health.reads_ok, health.reads_failed) == (3, 3)
    assert (health.silent_since_us, health.last_error) == (TICK_US, "no reply")
    sweep(meter, {}, {})
    assert meter.health().silent_since_us is None


def test_what_the_deadline_cut_short_counts_as_failed():
    meter = a_meter()
    meter.begin_sweep()
    meter.ask()
    meter.end_sweep(TICK_US, NOW_S)
    health = meter.health()
    assert (health.reads_failed, health.silent_since_us) == (1, TICK_US)
    assert health.last_error == "not back by the deadline of the sweep"


def test_the_silent_have_the_last_turn_and_who_waited_longest_the_first():
    quiet, recent, unreached = a_meter(), a_meter(), a_meter()
    for meter in (quiet, recent, unreached):
        sweep(meter, {}, {})
    silence(quiet, 1)
    sweep(recent, {}, {})
    sweep(unreached)
    assert sorted([quiet, recent, unreached], key=lambda meter: meter.turn) == [unreached, recent, quiet]
