import msgspec
import psycopg
import pytest

from cloud_trainer.database import OwnedGateway
from cloud_trainer.ingest.db import store_batch
from cloud_trainer.score import Score, score
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import ForecastRecord, Record, Rung
from tests.sim.cloud_records import GATEWAY, START_US, STEP_US, batch, power

pytestmark = [pytest.mark.slow, pytest.mark.pg, pytest.mark.usefixtures("gateways")]

DAY_US = 96 * STEP_US
# The day that counts, its second step (the first has no forecast in time), as forecasts are issued.
ISSUED_US = UtcUs(START_US + DAY_US)


def forecast(rung: Rung, p50: list[int], *, issued_us: UtcUs = ISSUED_US) -> ForecastRecord:
    return ForecastRecord(issued_us, "consumption_w", rung, None, issued_us, STEP_US, p50, p50, p50)


def energy(baseline: str, issues: int, pairs: int, model_w: float, baseline_w: float, skill: float) -> Score:
    return Score("energy_forecast", "consumption_w", 900.0, baseline, issues, pairs, model_w, baseline_w, skill)


def measured(step: int, grid_w: list[float], solar_w: list[float] | None) -> Record:
    """One recording period of the step `step` of the second day."""
    return power(ISSUED_US + step * STEP_US, grid_w, solar_w)


def stored_at(record: Record) -> int:
    """Readings at their end; forecasts one second after they were issued: too late for their first step."""
    if isinstance(record, ForecastRecord):
        return record.issued_us + US_PER_S
    return START_US


async def fill(dsn: str, records: list[Record], stamps: list[int] | None = None) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch(records, recorded_us=stamps or [stored_at(one) for one in records]))


def scored(dsn: str, *, solar: str | None = "solar", from_day: int = 2, organisation: str = "default") -> list[Score]:
    with psycopg.connect(dsn) as connection:
        return score(connection, OwnedGateway(organisation, GATEWAY), grid="grid", solar=solar, from_day=from_day)


# Consumption is grid - solar: 600, 300, 500 W in the steps 0, 1, 2 of the second day.
ACTUAL = [
    power(START_US, [1.0] * 5, [0.0] * 5),
    measured(0, [500.0] * 5, [-100.0] * 5),
    measured(1, [100.0, 200.0, 300.0, 400.0, 500.0], [0.0] * 5),
    measured(2, [450.0] * 5, [-50.0] * 5),
]


async def test_errors_are_those_computed_by_hand(dsn: str) -> None:
    await fill(
        dsn,
        [*ACTUAL, forecast("model", [0, 310, 480]), forecast("seasonal_naive", [0, 400, 440])],
    )
    # model: 10 and 20 W, baseline: 100 and 60 W; step 0 was over when the forecasts were stored
    assert scored(dsn) == [energy("seasonal_naive", 1, 2, 15.0, 80.0, 1 - 15 / 80)]
    assert scored(dsn, organisation="other") == [], "nor does anybody else see them"


async def test_steps_before_the_day_that_counts_are_left_out(dsn: str) -> None:
    before = forecast("model", [0, 9, 9], issued_us=START_US)
    beside = forecast("seasonal_naive", [0, 9, 9], issued_us=START_US)
    await fill(dsn, [*ACTUAL, power(START_US + STEP_US, [1.0] * 5, [0.0] * 5), before, beside])
    assert [one.pairs for one in scored(dsn, from_day=1)] == [1]
    assert scored(dsn, from_day=2) == []


async def test_a_forecast_stored_after_its_time_does_not_count(dsn: str) -> None:
    records = [*ACTUAL, forecast("model", [0, 310, 480]), forecast("seasonal_naive", [0, 400, 440])]
    late_us = ISSUED_US + STEP_US  # at the start of step 1: no longer before it
    await fill(dsn, records, [START_US] * 4 + [late_us] * 2)
    assert [(one.pairs, one.model_mae_w) for one in scored(dsn)] == [(1, 20.0)]


async def test_only_pairs_of_the_same_issue_are_compared(dsn: str) -> None:
    later = UtcUs(ISSUED_US + STEP_US)
    await fill(
        dsn,
        [
            *ACTUAL,
            forecast("model", [0, 310, 480]),
            forecast("seasonal_naive", [0, 9_999], issued_us=later),
            forecast("daily_naive", [0, 301]),
        ],
    )
    assert [(one.baseline, one.pairs, one.baseline_mae_w) for one in scored(dsn)] == [("daily_naive", 1, 1.0)]


async def test_of_two_forecasts_for_one_issue_the_first_stored_counts(dsn: str) -> None:
    records = [
        *ACTUAL,
        forecast("model", [0, 310]),
        forecast("model", [0, 300]),
        forecast("seasonal_naive", [0, 400]),
    ]
    await fill(dsn, records)
    assert [one.model_mae_w for one in scored(dsn)] == [10.0]


async def test_a_step_that_was_hardly_measured_does_not_count(dsn: str) -> None:
    thin = measured(3, [9e3, 9e3], [0.0, 0.0])
    records = [*ACTUAL, thin, forecast("model", [0, 310, 480, 0]), forecast("seasonal_naive", [0, 400, 440, 0])]
    await fill(dsn, records)
    assert [one.pairs for one in scored(dsn)] == [2]


async def test_a_site_without_solar_is_its_grid_meter(dsn: str) -> None:
    await fill(dsn, [*ACTUAL, forecast("model", [0, 310]), forecast("seasonal_naive", [0, 400])])
    assert [one.model_mae_w for one in scored(dsn, solar=None)] == [10.0]


async def test_a_solar_meter_that_is_missing_leaves_nothing_to_compare(dsn: str) -> None:
    await fill(dsn, [measured(1, [300.0] * 5, None), forecast("model", [0, 3]), forecast("seasonal_naive", [0, 4])])
    assert scored(dsn, from_day=1) == []


async def test_production_is_scored_against_what_the_panels_gave_and_by_day_alone(dsn: str) -> None:
    made = [
        msgspec.structs.replace(forecast(rung, p50), target="production_w")
        for rung, p50 in (("model", [0, 30, 45, 0]), ("smart_persistence", [0, 20, 70, 0]))
    ]
    dark = measured(3, [450.0] * 5, [0.0] * 5)
    inverter = measured(1, [450.0] * 5, [8.0] * 5)  # a little of its own: production is nothing
    await fill(dsn, [ACTUAL[0], ACTUAL[1], inverter, ACTUAL[3], dark, *made])
    (told,) = scored(dsn)
    assert (told.kind, told.target, told.baseline) == ("energy_forecast", "production_w", "smart_persistence")
    assert (told.pairs, told.model_mae_w, told.baseline_mae_w) == (2, (30 + 5) / 2, (20 + 20) / 2)
    assert scored(dsn, solar=None) == [], "no meter tells what the panels gave"


async def test_each_kind_is_scored_for_itself_on_its_own_steps(dsn: str) -> None:
    step_us = STEP_US // 3
    slow = [forecast("model", [0, 310, 480]), forecast("seasonal_naive", [0, 400, 440])]
    fast = [
        ForecastRecord(
            *(ISSUED_US, "consumption_w", rung, None, ISSUED_US, step_us, p50, p50, p50, "load_prediction"),
            *(p50, [max(p50)] * 4),
        )
        for rung, p50 in (("model", [0, 600, 599]), ("last_value", [0, 610, 620]))
    ]
    await fill(dsn, [*ACTUAL, power(ISSUED_US + step_us, [600.0] * 5, [0.0] * 5), *slow, *fast])
    told = [(one.kind, one.step_s, one.baseline, one.pairs, one.model_mae_w) for one in scored(dsn)]
    assert told == [
        ("energy_forecast", 900.0, "seasonal_naive", 2, 15.0),
        ("load_prediction", 300.0, "last_value", 1, 0.0),
    ]
