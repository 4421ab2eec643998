"""Looks ahead on a site with solar whose last two days are known, with the factory's models and without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.config import RecordConfig
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD, LOAD_SLOW
from gateway.contract.records import Aggregate, ForecastRecord, ModelReport
from gateway.core.site import Site
from gateway.core.standing import Standing
from gateway.core.voice import Action
from gateway.shell.bundle_files import FACTORY, ActiveBundle
from gateway.shell.forecaster import Forecaster
from gateway.shell.inference import Inference
from gateway.shell.past_weeks import PastWeeks
from gateway.shell.stop_switch import StopSwitch
from gateway.shell.store import Store
from gateway.shell.verified_bundle import read_bundle

START_US = UtcUs(1_767_571_200_000_000)
ISSUED_US = UtcUs(START_US - 1_000_000)
FINE = RecordConfig(poll_period_s=60, recording_period_s=300)
COARSE = RecordConfig(poll_period_s=60, recording_period_s=900)
SERIES = [Series(MeterId("main"), Measurand.ACTIVE_POWER_W), Series(MeterId("roof"), Measurand.ACTIVE_POWER_W)]
METERS = [
    MeterConfig("main", "line", 1, "eastron_sdm630", "grid"),
    MeterConfig("roof", "line", 2, "eastron_sdm630", "solar"),
]
# Real seconds for what takes milliseconds on an idle machine.
PATIENT_S = 10.0


def lived_through(
    store: Store, record: RecordConfig, *, has_solar: bool = True, until_us: int = START_US
) -> PastWeeks:
    """Two days up to `until_us`."""
    meters = METERS if has_solar else METERS[:1]
    series = SERIES[: len(meters)]
    weeks = PastWeeks(store, Site(series, meters, 230.0), series, record)
    period_us = record.recording_period_s * 1_000_000
    polls = record.recording_period_s // record.poll_period_s
    for start_us in range(until_us - 2 * DAY_US, until_us, period_us):
        sun_w = max(0.0, 2_000 * np.sin((start_us % DAY_US / DAY_US - 0.25) * 2 * np.pi)) if has_solar else 0.0
        shown = {"main": 800.0 - sun_w, "roof": -sun_w}
        weeks.live(
            UtcUs(start_us),
            [Aggregate(one, w, w, w, polls, Quality.GOOD) for one in series for w in [shown[one.meter]]],
        )
    return weeks


@asynccontextmanager
async def no_model() -> AsyncIterator[Inference]:
    yield Inference(PATIENT_S, strike=lambda: 0, on_struck_out=lambda: None)


@asynccontextmanager
async def factory_models() -> AsyncIterator[Inference]:
    async with no_model() as inference:
        await inference.use(ActiveBundle(FACTORY, read_bundle(FACTORY).digest, 7, "factory"))
        try:
            yield inference
        finally:
            await inference.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path, START_US)
    yield store
    await store.close()


def forecaster(
    weeks: PastWeeks, inference: Inference, stop: StopSwitch | None = None, *, cycle_s: float = PATIENT_S
) -> Forecaster:
    return Forecaster(weeks, inference, stop or StopSwitch(), ZoneInfo("Africa/Lagos"), cycle_s=cycle_s)


def kept(records: list) -> list[tuple[str, str, str]]:
    return [(one.kind, one.target, one.rung) for one in records if isinstance(one, ForecastRecord)]


async def test_baselines_need_no_model(store: Store):
    async with no_model() as inference:
        issue = await forecaster(lived_through(store, FINE), inference).look_ahead(ISSUED_US, START_US)
    assert kept(issue.records) == [
        ("energy_forecast", "consumption_w", "daily_naive"),
        ("load_prediction", "consumption_w", "daily_naive"),
        ("energy_forecast", "production_w", "smart_persistence"),
    ]
    assert list(issue.said) == [issue.records[0], issue.records[2], issue.records[1]]


async def test_a_site_without_solar_and_with_slow_meters_is_told_less(store: Store):
    async with no_model() as inference:
        made = forecaster(lived_through(store, COARSE, has_solar=False), inference)
        issue = await made.look_ahead(ISSUED_US, START_US)
    assert made.step_us == LOAD_SLOW.step_us
    assert issue.said.production is None
    assert [len(one.p50) for one in issue.records if isinstance(one, ForecastRecord)] == [96, 4]


async def test_between_quarters_the_next_hour_alone_is_looked_at_and_nothing_is_kept(store: Store):
    at_us = UtcUs(START_US + LOAD.step_us)
    async with no_model() as inference:
        made = forecaster(lived_through(store, FINE, until_us=at_us), inference)
        issue = await made.look_ahead(ISSUED_US, at_us)
    assert made.step_us == LOAD.step_us
    assert issue.records == []
    assert issue.said.consumption is issue.said.production is None
    assert issue.said.load is not None
    assert (issue.said.load.start_us, len(issue.said.load.p50)) == (at_us, LOAD.horizon_steps)


@pytest.mark.slow
async def test_every_model_of_the_bundle_is_asked(store: Store):
    async with factory_models() as inference:
        made = forecaster(lived_through(store, FINE), inference)
        issue = await made.look_ahead(ISSUED_US, START_US)
        assert inference.bundle is not None
        assert {one.bundle for one in issue.said if one} == {inference.bundle.digest}
    assert [rung for *_, rung in kept(issue.records)] == [
        "model", "daily_naive", "model", "daily_naive", "model", "smart_persistence",
    ]  # fmt: skip


@pytest.mark.slow
async def test_once_a_stop_is_wanted_no_model_is_asked(store: Store):
    stop = StopSwitch()
    stop.press()
    async with factory_models() as inference:
        issue = await forecaster(lived_through(store, FINE), inference, stop).look_ahead(ISSUED_US, START_US)
    assert "model" not in {rung for *_, rung in kept(issue.records)}


@pytest.mark.slow
async def test_who_cannot_be_asked_in_time_is_not_asked(store: Store):
    async with factory_models() as inference:
        made = forecaster(lived_through(store, FINE), inference, cycle_s=0.0)
        issue = await made.look_ahead(ISSUED_US, START_US)
        assert "model" not in {rung for *_, rung in kept(issue.records)}
        assert {track.silence for track in made.tracks} == {"no_answer"}


def about_to_be_retired(spec=LOAD_SLOW) -> Standing:
    """A standing whose next issue retires the model: one hour before `START_US`."""
    baselines = ("seasonal_naive", "daily_naive", "last_value")
    rows = np.ones(spec.rows)
    for hours in range(24 * 3, 24 * 14):
        standing = Standing(spec, baselines)
        for start_us in range(START_US - hours * DAY_US // 24, START_US, DAY_US // 24):
            action = standing.issue(start_us, dict.fromkeys(baselines, rows), rows * 1_000)
            for step in range(spec.horizon_steps):
                standing.observe(start_us + step * spec.step_us, 0.0)
        if standing.speaker.share == 0.25:
            before = standing.encode("")
            if standing.issue(START_US, dict.fromkeys(baselines, rows), None) is Action.TELL_RETIRED:
                return Standing.decode(before, spec, baselines, "")
    raise AssertionError(action)


async def test_home_is_told_of_a_model_that_is_retired_here(store: Store):
    async with no_model() as inference:
        made = forecaster(lived_through(store, COARSE), inference)
        made.load.standing, made.load.bundle = about_to_be_retired(), "ab" * 32
        issue = await made.look_ahead(ISSUED_US, START_US)
        (report,) = [one for one in issue.records if isinstance(one, ModelReport)]
    assert (report.event, report.bundle, report.release) == ("retired", "ab" * 32, None)
    assert report.reason.startswith("load_prediction_consumption_4x15min: Power of the next hour: ")


async def test_the_outlook_needs_two_weeks(store: Store):
    async with no_model() as inference:
        weeks = lived_through(store, FINE)
        made = forecaster(weeks, inference)
        assert made.look_out() is None
        for day in range(2, 16):
            for step in range(ENERGY.day_steps):
                weeks.consumption.recall(UtcUs(START_US - day * DAY_US - step * ENERGY.step_us), 800.0, 15)
        outlook = made.look_out()
    assert outlook is not None
    assert outlook.p50_wh == pytest.approx([24 * 800] * 30, rel=0.05)
