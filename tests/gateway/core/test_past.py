from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.contract.forecast_spec import ENERGY
from gateway.core.past import Past, known_quantiles, known_w, last_known, same_time

LAGOS, BERLIN = ZoneInfo("Africa/Lagos"), ZoneInfo("Europe/Berlin")
NOON_US = 1_711_886_400_000_000  # 2024-03-31 12:00 UTC: Berlin lost an hour this morning
STEPS = ENERGY.history_steps


def past(zone: ZoneInfo = LAGOS) -> Past:
    """Each step is its own number."""
    return Past(np.arange(STEPS, dtype=np.float64), np.ones(STEPS, np.bool_), np.asarray(NOON_US), zone)


def test_the_same_time_yesterday_is_a_day_before_each_step():
    assert same_time(ENERGY, past(), 1).tolist() == list(range(STEPS - 96, STEPS))


def test_where_clocks_changed_it_is_the_wall_that_counts():
    found = same_time(ENERGY, past(BERLIN), 1)
    # It is 14:00 in summer time: until the night, yesterday's was an hour later in UTC.
    assert found[0] == STEPS - 96 + 4
    assert found[-1] == STEPS - 1


def test_what_is_not_known_is_nan():
    known = np.ones(STEPS, np.bool_)
    known[-96] = known[-1] = False
    one = Past(past().power_w, known, np.asarray(NOON_US), LAGOS)
    assert np.isnan(same_time(ENERGY, one, 1)[0])
    assert last_known(one) == STEPS - 2
    assert np.isnan(known_w(one)[[-96, -1]]).all()
    nothing = Past(past().power_w, np.zeros(STEPS, np.bool_), np.asarray(NOON_US), LAGOS)
    assert np.isnan(last_known(nothing))
    assert np.isnan(same_time(ENERGY, nothing, 7)).all()


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.float64, (3, 12), elements=st.floats(-1e6, 1e6)), arrays.arrays(np.bool_, (3, 12)))
def test_quantiles_are_those_of_what_is_known(values: np.ndarray, known: np.ndarray):
    found = known_quantiles(np.where(known, values, np.nan), (0.1, 0.5, 0.9))
    for row in range(3):
        if known[row].any():
            np.testing.assert_allclose(found[row], np.quantile(values[row][known[row]], (0.1, 0.5, 0.9)), atol=1e-6)
        else:
            assert np.isnan(found[row]).all()
