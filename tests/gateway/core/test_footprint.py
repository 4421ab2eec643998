from zoneinfo import ZoneInfo

import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.records import ForecastRecord
from gateway.core.decision import Expected
from gateway.core.emissions import GridFactor, constant_factor
from gateway.core.footprint import footprint
from gateway.core.window import Window

LAGOS = ZoneInfo("Africa/Lagos")  # an hour ahead of UTC
MIDNIGHT_US = UtcUs(1_767_567_600_000_000)  # of Lagos
STEP_US, POLLS = ENERGY.step_us, 15
HALF = constant_factor(0.5, "somebody, 2024")


def window(powers_w: dict[int, float | None], end: int) -> Window:
    """Power by step since midnight; the window ends with step `end`."""
    made = Window(step_us=STEP_US, steps=ENERGY.history_steps, polls_per_step=POLLS)
    made.advance(UtcUs(MIDNIGHT_US + end * STEP_US))
    for step, power_w in powers_w.items():
        made.recall(UtcUs(MIDNIGHT_US + step * STEP_US), power_w, POLLS)
    return made


def forecast(power_w: int) -> ForecastRecord:
    steps = [power_w] * ENERGY.horizon_steps
    return ForecastRecord(MIDNIGHT_US, "consumption_w", "model", None, MIDNIGHT_US, STEP_US, steps, steps, steps)


def today_kg(consumption: Window, production: Window | None = None, factor: GridFactor = HALF) -> float:
    return footprint(consumption, production, Expected(), factor, LAGOS).today_kg


def test_today_begins_at_midnight_of_the_site():
    assert today_kg(window({-2: 4_000.0, -1: 4_000.0, 0: 4_000.0, 1: 4_000.0}, end=2)) == pytest.approx(2 * 0.5)


def test_the_day_that_just_ended_is_told_until_the_next_has_a_step():
    assert today_kg(window(dict.fromkeys(range(96), 4_000.0), end=96)) == pytest.approx(96 * 0.5)


def test_what_nobody_measured_is_left_out():
    assert today_kg(window({0: 4_000.0, 1: None}, end=4)) == pytest.approx(0.5)
    assert today_kg(Window(step_us=STEP_US, steps=ENERGY.history_steps, polls_per_step=POLLS)) == 0.0


def test_what_the_sun_gives_emits_nothing_and_what_is_fed_in_is_not_credited():
    consumption = window({0: 4_000.0, 1: 1_000.0, 2: 4_000.0}, end=3)
    production = window({0: 3_000.0, 1: 9_000.0, 2: None}, end=3)
    assert today_kg(consumption, production) == pytest.approx(0.125)


def test_each_hour_has_its_own_factor():
    by_hour = GridFactor(tuple(hour / 10 for hour in range(24)), "somebody")
    assert today_kg(window({0: 4_000.0, 4: 4_000.0, 8: 4_000.0}, end=9), factor=by_hour) == pytest.approx(0.1 + 0.2)


def test_the_next_day_follows_from_the_forecasts():
    consumption = window({}, end=0)
    assert footprint(consumption, None, Expected(), HALF, LAGOS).next_day_kg is None
    expected = Expected(forecast(1_000), forecast(400))
    told = footprint(consumption, consumption, expected, HALF, LAGOS)
    assert told.next_day_kg == pytest.approx(24 * 0.6 * 0.5)
    assert told.source == "somebody, 2024"
