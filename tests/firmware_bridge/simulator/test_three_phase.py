"""What a three-phase meter shows fits together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.three_phase import Mains, Split, three_phase

# What does not go away with the grid: factors of nothing are 1, and wires stay as they are connected.
STANDING = {Measurand.POWER_FACTOR, Measurand.POWER_FACTOR_L1, Measurand.PHASE_SEQUENCE}
MAINS = Mains((229.0, 231.0, 230.0), 50.01)
shares = st.tuples(*[st.floats(0.1, 1)] * 3).map(lambda w: tuple(one / sum(w) for one in w))
factors = st.tuples(*[st.floats(0.5, 1)] * 3)


@given(st.floats(-1e6, 1e6), shares, factors)
def test_phases_add_up_and_power_is_volts_amperes_factor(power_w, share, factor):
    shown = three_phase(power_w, MAINS, Split(share, factor))
    phases = [
        shown[Measurand.ACTIVE_POWER_L1_W],
        shown[Measurand.ACTIVE_POWER_L2_W],
        shown[Measurand.ACTIVE_POWER_L3_W],
    ]
    amperes = [shown[Measurand.CURRENT_L1_A], shown[Measurand.CURRENT_L2_A], shown[Measurand.CURRENT_L3_A]]
    assert sum(phases) == pytest.approx(power_w)
    for watts, ampere, volt, one in zip(phases, amperes, MAINS.volts, factor, strict=True):
        assert abs(watts) == pytest.approx(ampere * volt * one)
    assert shown[Measurand.APPARENT_POWER_VA] ** 2 == pytest.approx(
        power_w**2 + shown[Measurand.REACTIVE_POWER_VAR] ** 2
    )
    assert shown[Measurand.POWER_FACTOR] * shown[Measurand.APPARENT_POWER_VA] == pytest.approx(power_w)


def test_a_dead_grid_shows_nothing():
    shown = three_phase(0.0, Mains((0.0, 0.0, 0.0), 0.0), Split((0.3, 0.3, 0.4), (0.9, 0.9, 0.9)))
    assert {value for name, value in shown.items() if name not in STANDING} == {0.0}
