import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.forecast_spec import (
    DAY_US,
    ENERGY,
    HISTORY_DAYS,
    LOAD,
    LOAD_SLOW,
    MINUTE_US,
    SPECS,
    ForecastSpec,
    energy_spec,
    load_spec,
)

GOOD = {
    "kind": "energy_forecast",
    "step_us": 15 * MINUTE_US,
    "horizon_steps": 96,
    "quantiles": (0.1, 0.5, 0.9),
    "has_peak": False,
    "recent_steps": 336,
}


def test_a_gateway_forecasts_a_day_of_energy_and_an_hour_of_load_with_its_peak():
    assert ForecastSpec(**GOOD) == ENERGY
    assert [one.horizon_steps * one.step_us // MINUTE_US for one in SPECS] == [24 * 60, 60, 60]
    assert [one.rows - one.horizon_steps for one in SPECS] == [0, 1, 1]
    assert LOAD.quantiles == LOAD_SLOW.quantiles == (0.1, 0.5, 0.9, 0.95)
    assert [one.quantiles[one.median] for one in SPECS] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("spec", SPECS)
def test_the_history_is_four_weeks(spec):
    assert spec.day_steps * spec.step_us == DAY_US
    assert spec.history_steps == 28 * spec.day_steps
    assert HISTORY_DAYS == 28


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("step_us", 7 * MINUTE_US, "part of a day"),
        ("step_us", MINUTE_US // 2, "part of a day"),
        ("step_us", 120 * MINUTE_US, "part of a day"),
        ("step_us", 0, "part of a day"),
        ("step_us", -15 * MINUTE_US, "part of a day"),
        ("horizon_steps", 0, "more than a day"),
        ("horizon_steps", -1, "more than a day"),
        ("horizon_steps", 97, "more than a day"),
        ("recent_steps", 0, "leave no week"),
        ("recent_steps", 21 * 96 + 1, "leave no week"),
        ("quantiles", (), "median"),
        ("quantiles", (0.1, 0.9), "median"),
        ("quantiles", (0.5, 0.1), "do not rise"),
        ("quantiles", (0.5, 0.5), "do not rise"),
    ],
)
def test_what_cannot_be_forecast_is_no_spec(field, value, said):
    with pytest.raises(ValueError, match=said):
        ForecastSpec(**{**GOOD, field: value})


@given(st.sampled_from([1, 5, 10, 15, 20, 30, 60]), st.integers(1, 1440), st.sampled_from([energy_spec, load_spec]))
def test_recordings_of_other_cadences_are_judged_by_the_same_definition(minutes, steps, make):
    if steps * minutes > 24 * 60:
        with pytest.raises(ValueError, match="more than a day"):
            make(minutes * MINUTE_US, steps)
    else:
        spec = make(minutes * MINUTE_US, steps)
        assert spec.rows == steps + spec.has_peak
        assert spec.recent_steps <= spec.history_steps - 7 * spec.day_steps
