import pytest

from cloud_trainer.single import Series, spec_of
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, energy_spec, load_spec

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("cadence", "horizon", "spec"),
    [
        ("15min", "24h", ENERGY),
        ("5min", "1h", LOAD),
        ("15min", "60min", LOAD_SLOW),
        ("1h", "24h", energy_spec(HOUR_US, 24)),
        ("1h", "1h", load_spec(HOUR_US, 1)),
        ("30min", "90min", energy_spec(HOUR_US // 2, 3)),
    ],
)
def test_the_next_hour_has_a_peak_and_what_is_further_ahead_is_energy(cadence, horizon, spec):
    assert spec_of(cadence, horizon) == spec


@pytest.mark.parametrize(
    ("cadence", "horizon", "field"),
    [
        ("often", "24h", "--cadence"),
        ("15min", "a day", "--horizon"),
        ("15min", "20min", "--horizon"),
        ("15min", "2d", "--cadence"),
        ("2h", "24h", "--cadence"),
        ("30s", "1h", "--cadence"),
        ("7min", "14min", "--cadence"),
    ],
)
def test_what_no_gateway_could_forecast_is_one_sentence(cadence, horizon, field):
    with pytest.raises(SettingError) as caught:
        spec_of(cadence, horizon)
    assert caught.value.field == field


def test_a_series_is_read_with_any_unit_unless_one_is_named(tmp_path):
    series = Series(tmp_path / "x.csv", "time", "value", "15min")
    assert (series.unit, series.time_zone) == (None, None)
