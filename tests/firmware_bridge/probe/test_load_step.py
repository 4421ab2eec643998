import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.load_step import SAMPLES_MIN, STEP_MIN_W, load_step

TOTAL, L1, L2, L3 = (
    Measurand.ACTIVE_POWER_W,
    Measurand.ACTIVE_POWER_L1_W,
    Measurand.ACTIVE_POWER_L2_W,
    Measurand.ACTIVE_POWER_L3_W,
)
QUIET = [{TOTAL: 300.0 + wobble, L1: 100.0, L2: 100.0 + wobble, L3: 100.0} for wobble in (0, 5, -5, 3, -2, 0)]


def with_load(load_w: float, phase: Measurand = L2):
    return [{**sample, TOTAL: sample[TOTAL] + load_w, phase: sample[phase] + load_w} for sample in QUIET]


def test_a_kettle_that_shows_positive_is_told_with_its_phase():
    told = load_step(QUIET, with_load(2000))
    assert told.step_w == pytest.approx(2000, abs=10)
    assert told.phase == "L2"
    assert told.sentence == "consumption shows positive on L2: +2000 W"


def test_a_current_transformer_that_is_turned_round_is_told():
    told = load_step(QUIET, with_load(-2000, L3))
    assert told.step_w is not None
    assert told.step_w < 0
    assert told.phase == "L3"
    assert "NEGATIVE on L3" in told.sentence
    assert "turn it round" in told.sentence


def test_no_load_is_no_step():
    told = load_step(QUIET, QUIET)
    assert (told.step_w, told.phase) == (None, None)
    assert "not switched on" in told.sentence


def test_a_step_must_stand_out_of_what_goes_on_anyway():
    restless = [{TOTAL: 1000.0 * (place % 2)} for place in range(8)]
    busy = [{TOTAL: sample[TOTAL] + 900.0} for sample in restless]
    assert load_step(restless, busy).step_w is None


def test_a_meter_without_a_total_is_judged_by_its_phases():
    phases = [{key: value for key, value in sample.items() if key is not TOTAL} for sample in with_load(1500, L1)]
    told = load_step([{L1: 100.0, L2: 100.0, L3: 100.0}] * 5, phases)
    assert told.phase == "L1"


def test_too_few_values_are_told_as_such():
    assert "too few values" in load_step(QUIET[: SAMPLES_MIN - 1], with_load(2000)).sentence
    assert "too few values" in load_step([], []).sentence


@given(st.floats(-30_000, 30_000), st.sampled_from([L1, L2, L3]))
def test_the_sign_is_never_mistaken(load_w: float, phase: Measurand):
    told = load_step(QUIET, with_load(load_w, phase))
    if told.step_w is not None:
        assert (told.step_w > 0) == (load_w > 0)
        assert abs(load_w) > STEP_MIN_W - 10
