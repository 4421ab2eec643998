from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.contract.forecast_spec import ENERGY, LOAD, ForecastSpec, energy_spec
from gateway.core.daylight import CLEARNESS_MAX, clear_sky_w, is_daylight, sunny_w
from gateway.core.past import Past

LAGOS = ZoneInfo("Africa/Lagos")
MIDNIGHT_US = 1_709_247_600_000_000  # 2024-03-01 00:00 in Lagos
HOURLY = energy_spec(3_600_000_000, 24)


def bell_w(spec: ForecastSpec) -> np.ndarray:
    """A clear day from midnight on: sun from 6 to 18 h, 1 kW at noon."""
    hours = (np.arange(spec.day_steps) + 0.5) * 24 / spec.day_steps
    return 1000.0 * np.maximum(0.0, np.sin((hours - 6) / 12 * np.pi))


def past(spec: ForecastSpec, cover: list[float] | float = 1.0, *, issued_h: int = 0, known: bool = True) -> Past:
    """28 days, each with its share of the clear day, oldest first, until `issued_h` o'clock of the day after."""
    shares = np.broadcast_to(cover, (29,))
    power = np.concatenate([bell_w(spec) * share for share in shares])
    end = 28 * spec.day_steps + issued_h * spec.day_steps // 24
    power = power[end - spec.history_steps : end]
    return Past(power, np.full(power.shape, known), np.asarray(MIDNIGHT_US + issued_h * 3_600_000_000), LAGOS)


@pytest.mark.parametrize("spec", [ENERGY, HOURLY])
def test_the_envelope_of_clear_days_is_a_clear_day(spec: ForecastSpec):
    np.testing.assert_allclose(clear_sky_w(spec, past(spec)), bell_w(spec), atol=25)
    cloudy = [1.0, 0.5, 0.3] * 10
    np.testing.assert_allclose(clear_sky_w(spec, past(spec, cloudy[:29])), bell_w(spec), atol=25)


def test_night_is_where_a_clear_day_gives_next_to_nothing():
    day = is_daylight(ENERGY, past(ENERGY, 0.7))
    hours = np.arange(96) / 4
    assert not day[(hours < 5.5) | (hours > 18.5)].any()
    assert day[(hours > 6.75) & (hours < 17)].all()


def test_it_turns_with_the_instant_that_is_forecast_from():
    at_midnight, at_ten = is_daylight(ENERGY, past(ENERGY)), is_daylight(ENERGY, past(ENERGY, issued_h=10))
    assert np.array_equal(np.roll(at_midnight, -40), at_ten)


def test_the_peak_of_an_hour_is_by_day_when_a_step_is():
    assert not is_daylight(LOAD, past(LOAD))[-1]
    at_noon = past(LOAD, issued_h=12)
    assert is_daylight(LOAD, at_noon).all()
    assert is_daylight(LOAD, at_noon).shape == (LOAD.rows,)


def test_tomorrow_is_as_clear_as_the_last_hours_of_daylight():
    cloudy = [1.0] * 27 + [0.4, 0.4]
    np.testing.assert_allclose(sunny_w(ENERGY, past(ENERGY, cloudy)), 0.4 * bell_w(ENERGY), atol=15)
    brighter = [0.2] * 27 + [1.0, 1.0]
    assert (
        sunny_w(ENERGY, past(ENERGY, brighter)).max()
        <= CLEARNESS_MAX * clear_sky_w(ENERGY, past(ENERGY, brighter)).max()
    )


def test_what_is_not_known_to_be_night_is_day_and_nothing_is_said_of_it():
    nothing = past(ENERGY, known=False)
    assert is_daylight(ENERGY, nothing).all()
    assert np.isnan(sunny_w(ENERGY, nothing)).all()


def test_panels_that_never_gave_anything_give_nothing():
    dead = past(ENERGY, 0.0)
    assert not is_daylight(ENERGY, dead).any()
    assert not sunny_w(ENERGY, dead).any()


def test_a_gap_in_the_afternoon_leaves_the_clearness_of_the_morning():
    one = past(ENERGY, 0.5, issued_h=18)
    known = np.ones_like(one.known)
    known[-24:] = False
    gappy = Past(one.power_w, known, one.issued_us, one.zone)
    np.testing.assert_allclose(sunny_w(ENERGY, gappy), sunny_w(ENERGY, one), atol=10)


def test_one_window_and_many_are_the_same():
    windows = [past(ENERGY, 0.3), past(ENERGY, [1.0] * 28 + [0.2], issued_h=7)]
    many = Past(
        np.stack([one.power_w for one in windows]),
        np.stack([one.known for one in windows]),
        np.stack([one.issued_us for one in windows]),
        LAGOS,
    )
    for i, one in enumerate(windows):
        assert np.array_equal(sunny_w(ENERGY, many)[i], sunny_w(ENERGY, one))
        assert np.array_equal(is_daylight(ENERGY, many)[i], is_daylight(ENERGY, one))
