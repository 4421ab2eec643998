import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import MeterConfig
from firmware_bridge.errors import BadReplyError, BusError, ExceptionReplyError, LineError, NoReplyError
from firmware_bridge.measurand import Measurand
from firmware_bridge.meter import BAD_SWEEPS_MAX, Meter, News
from firmware_bridge.reading import Quality, Reading, UtcUs

SILENCE = NoReplyError("no reply")
TICK_US = UtcUs(1_700_000_000_000_000)
# What an installer would find on an idle meter.
IDLE = {
    Measurand.VOLTAGE_L1_V: 230.0,
    Measurand.VOLTAGE_L2_V: 230.0,
    Measurand.VOLTAGE_L3_V: 230.0,
    Measurand.FREQUENCY_HZ: 50.0,
}


def a_meter(rated_power_w: float = 10_000) -> Meter:
    config = MeterConfig("grid", "mains", 1, "carlo_gavazzi_em340", "grid", rated_power_w)
    return Meter(config, load_profile(config.profile))


def sweep(meter: Meter, *outcomes: BusError | dict, tick_us: UtcUs = TICK_US) -> tuple[list[Reading], News]:
    """One sweep: for each request an error, or the values that came; what is not told is 0."""
    measurands = [series.measurand for series in meter.series]
    half = len(measurands) // 2
    meter.begin_sweep(measurands)
    for asked, outcome in zip((measurands[:half], measurands[half:]), outcomes, strict=False):
        meter.ask(asked)
        if isinstance(outcome, BusError):
            meter.fail(outcome)
        else:
            values = IDLE | outcome
            meter.take(asked, [values.get(one, 0.0) for one in asked], UtcUs(tick_us + 1))
    return meter.end_sweep(tick_us)


def reading_of(readings: list[Reading], measurand: Measurand) -> Reading:
    return next(reading for reading in readings if reading.measurand is measurand)


def silence(meter: Meter, sweeps: int) -> News:
    news = News.NONE
    for _ in range(sweeps):
        news = sweep(meter, SILENCE)[1]
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


@pytest.mark.parametrize(("raw_w", "quality"), [(30_000.0, 1), (-30_000.0, 1), (None, 2)])
def test_power_beyond_what_the_breaker_lets_through_is_kept_and_suspect(raw_w: float | None, quality: int):
    readings, _ = sweep(a_meter(rated_power_w=10_000), {}, {Measurand.ACTIVE_POWER_W: raw_w})
    reading = reading_of(readings, Measurand.ACTIVE_POWER_W)
    assert (reading.quality, reading.value) == (quality, raw_w)


def test_a_sweep_that_does_not_ask_the_meter_changes_nothing_but_that_it_shows_nothing():
    meter = a_meter()
    silence(meter, 2)
    before = meter.health()
    for _ in range(5):
        readings, news = sweep(meter)
        assert news is News.NONE
        assert {reading.quality for reading in readings} == {Quality.MISSING}
    assert meter.health() == before


def test_what_is_read_seldom_repeats_itself_with_its_instant_until_it_is_asked_or_the_meter_is_silent():
    meter = a_meter()
    sweep(meter, {}, {Measurand.ENERGY_IMPORT_WH: 1000.0})
    fast = [series.measurand for series in meter.series if series.measurand is not Measurand.ENERGY_IMPORT_WH]
    later_us = UtcUs(TICK_US + 5_000_000)

    def fast_sweep(outcome: BusError | None = None) -> Reading:
        meter.begin_sweep(fast)
        meter.ask(fast)
        if outcome is None:
            meter.take(fast, [IDLE.get(one, 0.0) for one in fast], later_us)
        else:
            meter.fail(outcome)
        return reading_of(meter.end_sweep(later_us)[0], Measurand.ENERGY_IMPORT_WH)

    assert fast_sweep() == Reading("grid", Measurand.ENERGY_IMPORT_WH, UtcUs(TICK_US + 1), 1000.0, Quality.GOOD)
    assert fast_sweep(SILENCE).quality is Quality.MISSING
    assert fast_sweep().quality is Quality.MISSING


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


def test_a_reply_that_came_at_the_second_try_is_counted_and_no_trouble():
    meter = a_meter()
    measurands = [series.measurand for series in meter.series]
    for _ in range(2 * BAD_SWEEPS_MAX):
        meter.begin_sweep(measurands)
        meter.ask(measurands)
        meter.stumble(SILENCE)
        meter.ask(measurands)
        meter.take(measurands, [IDLE.get(one, 0.0) for one in measurands], TICK_US)
        assert meter.end_sweep(TICK_US)[1] is News.NONE
    health = meter.health()
    assert (health.reads_ok, health.reads_failed, health.silent_since_us) == (6, 6, None)


def test_a_meter_that_answers_badly_is_told_once_and_again_when_it_falls_silent():
    meter = a_meter()
    bad = [sweep(meter, {}, ExceptionReplyError("illegal address"))[1] for _ in range(6)]
    assert [news for news in bad if news is not News.NONE] == [News.TROUBLED]
    assert silence(meter, BAD_SWEEPS_MAX) is News.SILENT
    assert sweep(meter, {}, ExceptionReplyError("illegal address"))[1] is News.NONE
    assert sweep(meter, {}, {})[1] is News.BACK


@pytest.mark.parametrize("word", [ExceptionReplyError("illegal address"), BadReplyError("length 7")])
def test_any_word_of_the_meter_ends_its_silence(word: BusError):
    meter = a_meter()
    silence(meter, 5)
    sweep(meter, word)
    assert meter.has_spoken
    assert meter.health().silent_since_us is None


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
    meter.begin_sweep(())
    meter.ask(())
    meter.end_sweep(TICK_US)
    health = meter.health()
    assert (health.reads_failed, health.silent_since_us) == (1, TICK_US)
    assert health.last_error == "not back by the deadline of the sweep"


def test_a_counter_that_is_swapped_is_told_with_its_evidence():
    meter = a_meter()
    meter.serial_number = "A1"
    for tick in range(3):
        sweep(meter, {}, {Measurand.ENERGY_IMPORT_WH: 5_000_000.0 + tick}, tick_us=UtcUs(TICK_US + tick * 1_000_000))
    meter.serial_number = "B2"
    events = []
    for tick in range(3, 6):
        sweep(meter, {}, {Measurand.ENERGY_IMPORT_WH: 100.0 + tick}, tick_us=UtcUs(TICK_US + tick * 1_000_000))
        events += meter.take_events()
    # One for each of its counters.
    assert [event.kind for event in events] == ["swapped"] * 3
    assert (events[0].identity_before, events[0].identity_after) == ("A1", "B2")
    assert meter.take_events() == []
