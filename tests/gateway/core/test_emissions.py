from zoneinfo import ZoneInfo

import numpy as np
import pytest

from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import ENERGY
from gateway.core.emissions import GridFactor, constant_factor, emissions_kg, forecast_emissions_kg

LAGOS, BERLIN = ZoneInfo("Africa/Lagos"), ZoneInfo("Europe/Berlin")
MIDNIGHT_US = 1_709_247_600_000_000  # in Lagos, an hour before UTC's
HOUR_US = 3_600_000_000
HOURS = tuple(hour / 100 for hour in range(24))


def test_a_constant_factor_is_kg_per_kwh():
    factor = constant_factor(0.4, "operator")
    made = emissions_kg(np.array([1000.0, 500.0]), np.array([0, HOUR_US]), factor, LAGOS)
    assert made.tolist() == [0.4, 0.2]
    assert factor.source == "operator"


def test_hours_are_those_of_the_wall():
    factor = GridFactor(HOURS, "operator")
    at_us = MIDNIGHT_US + np.array([0, 13 * HOUR_US, 24 * HOUR_US - 1])
    assert factor.kg_per_kwh(at_us, LAGOS).tolist() == [0.0, 0.13, 0.23]
    before, after = 1_711_846_800_000_000 - 1, 1_711_846_800_000_000  # clocks go from 2 to 3
    assert factor.kg_per_kwh(np.array([before, after]), BERLIN).tolist() == [0.01, 0.03]


def test_a_series_speaks_first_and_the_hours_where_it_is_silent():
    factor = GridFactor(HOURS, "operator", MIDNIGHT_US, HOUR_US, (0.5, float("nan"), 0.7))
    at_us = MIDNIGHT_US + np.arange(-1, 4) * HOUR_US
    assert factor.kg_per_kwh(at_us, LAGOS).tolist() == [0.23, 0.5, 0.01, 0.7, 0.03]


def test_what_is_fed_in_is_not_credited_and_what_is_unknown_stays_unknown():
    made = emissions_kg(np.array([-1000.0, np.nan]), np.array([0, 0]), constant_factor(0.4, "operator"), LAGOS)
    assert made[0] == 0
    assert np.isnan(made[1])


def test_a_day_of_a_kilowatt_emits_what_24_kwh_do():
    made = forecast_emissions_kg(ENERGY, np.full(96, 1000.0), MIDNIGHT_US, constant_factor(0.4, "operator"), LAGOS)
    assert made.shape == (96,)
    assert made.sum() == pytest.approx(9.6)


@pytest.mark.parametrize(
    ("hourly", "source", "series", "says"),
    [
        ((0.4,) * 23, "operator", (), "23 values"),
        ((0.4,) * 24, " ", (), "name who says so"),
        ((0.4,) * 24, "x" * 201, (), "name who says so"),
        ((400.0,) * 24, "operator", (), "kg CO2e per kWh from 0 to 3"),
        ((-0.1,) * 24, "operator", (), "cannot be"),
        ((float("nan"),) * 24, "operator", (), "cannot be"),
        ((0.4,) * 24, "operator", (0.4, 4.0), "cannot be"),
        ((float("inf"),) * 24, "operator", (), "cannot be"),
    ],
)
def test_what_no_grid_can_emit_is_refused(
    hourly: tuple[float, ...], source: str, series: tuple[float, ...], says: str
):
    with pytest.raises(SettingError, match=says):
        GridFactor(hourly, source, 0, HOUR_US, series)
