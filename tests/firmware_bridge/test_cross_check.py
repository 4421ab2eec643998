import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.cross_check import (
    FAILURE_FADES_READS,
    FAILURES_BELIEVED,
    CrossCheck,
    cross_checks,
)
from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.three_phase import Mains, Split, three_phase

RATED_W = 11_000.0
M = Measurand
ALL = list(three_phase(0.0, Mains((230.0, 230.0, 230.0), 50.0), Split((1 / 3, 1 / 3, 1 / 3), (1.0, 1.0, 1.0))))
SINGLE = [M.ACTIVE_POWER_W, M.VOLTAGE_V, M.CURRENT_A, M.POWER_FACTOR, M.APPARENT_POWER_VA, M.FREQUENCY_HZ]

Values = dict[Measurand, float]


def failing(values: Values) -> list[set[Measurand]]:
    """What each check that fails puts the blame on."""
    measurands = list(values)
    shown = list(values.values())
    return [
        {measurands[place] for place in check.blamed}
        for check in cross_checks(measurands, RATED_W)
        if not check.holds(shown)
    ]


def on_three_phases(**changes: float) -> Values:
    mains = Mains((229.0, 231.0, 230.0), 50.0)
    values = three_phase(6_000.0, mains, Split((0.2, 0.3, 0.5), (0.95, 0.97, 0.93)))
    return values | {Measurand(name): value for name, value in changes.items()}


def on_one_phase(**changes: float) -> Values:
    values = {
        M.ACTIVE_POWER_W: 2_000.0,
        M.VOLTAGE_V: 230.0,
        M.CURRENT_A: 9.0,
        M.POWER_FACTOR: 0.97,
        M.APPARENT_POWER_VA: 2_070.0,
        M.FREQUENCY_HZ: 50.0,
    }
    return values | {Measurand(name): value for name, value in changes.items()}


@given(
    st.floats(-RATED_W, RATED_W),
    st.tuples(*[st.floats(190, 260)] * 3),
    st.floats(45, 65),
    st.tuples(*[st.floats(0.01, 1)] * 3),
    st.tuples(*[st.floats(0.05, 1)] * 3),
)
def test_no_check_fires_on_what_a_healthy_meter_shows(
    power_w: float,
    volts: tuple[float, float, float],
    hertz: float,
    weights: tuple[float, float, float],
    factors: tuple[float, float, float],
):
    total = sum(weights)
    split = Split((weights[0] / total, weights[1] / total, weights[2] / total), factors)
    values = three_phase(power_w, Mains(volts, hertz), split)
    assert failing(values) == []
    assert failing({measurand: round(value, 1) for measurand, value in values.items()}) == []


def test_no_check_fires_when_phases_flow_against_each_other():
    values = on_three_phases(active_power_l1_w=2_000.0, active_power_l2_w=-1_900.0, active_power_l3_w=100.0)
    values |= {M.CURRENT_L1_A: 9.0, M.CURRENT_L2_A: 8.6, M.CURRENT_L3_A: 0.5, M.ACTIVE_POWER_W: 200.0}
    assert failing(values | {M.POWER_FACTOR: 0.05, M.POWER_FACTOR_L1: 0.97, M.APPARENT_POWER_VA: 4_100.0}) == []


def test_a_grid_that_is_out_and_a_meter_that_idles_pass():
    dark = dict.fromkeys(ALL, 0.0)
    assert failing(dark) == []
    assert failing({**dark, M.VOLTAGE_V: 229.0, M.VOLTAGE_L1_V: 229.0, M.FREQUENCY_HZ: 50.0}) == []
    assert failing(on_one_phase(active_power_w=12.0, current_a=0.0, power_factor=0.0, apparent_power_va=0.0)) == []


def test_current_without_power_is_common():
    assert failing(on_one_phase(active_power_w=0.0, power_factor=0.0)) == []


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"active_power_w": 9_000.0}, {M.ACTIVE_POWER_W, M.VOLTAGE_V, M.CURRENT_A}),
        ({"current_a": 0.1}, {M.ACTIVE_POWER_W, M.VOLTAGE_V, M.CURRENT_A}),
        ({"active_power_w": -9_000.0}, {M.ACTIVE_POWER_W, M.APPARENT_POWER_VA}),
        ({"apparent_power_va": 20.0}, {M.ACTIVE_POWER_W, M.APPARENT_POWER_VA}),
        ({"power_factor": 0.1}, {M.ACTIVE_POWER_W, M.VOLTAGE_V, M.CURRENT_A, M.POWER_FACTOR}),
        ({"frequency_hz": 12.0}, {M.FREQUENCY_HZ}),
        ({"frequency_hz": 0.0}, {M.FREQUENCY_HZ}),
    ],
)
def test_values_that_do_not_fit_each_other_on_one_phase_are_found(changes: dict[str, float], blamed: set[Measurand]):
    assert blamed in failing(on_one_phase(**changes))


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"active_power_l2_w": 9_000.0}, {M.ACTIVE_POWER_L2_W, M.VOLTAGE_L2_V, M.CURRENT_L2_A}),
        (
            {"active_power_w": -6_000.0},
            {M.ACTIVE_POWER_W, M.ACTIVE_POWER_L1_W, M.ACTIVE_POWER_L2_W, M.ACTIVE_POWER_L3_W},
        ),
        (
            {"power_factor_l1": 0.0},
            {M.ACTIVE_POWER_L1_W, M.VOLTAGE_L1_V, M.CURRENT_L1_A, M.POWER_FACTOR_L1},
        ),
        ({"frequency_hz": 66.0}, {M.FREQUENCY_HZ}),
    ],
)
def test_values_that_do_not_fit_each_other_on_three_phases_are_found(
    changes: dict[str, float], blamed: set[Measurand]
):
    assert blamed in failing(on_three_phases(**changes))


def test_a_total_current_on_three_phases_is_the_makers_affair():
    assert failing(on_three_phases(current_a=0.0)) == []


def test_what_a_dead_wire_catches_needs_no_frequency():
    assert failing(on_one_phase(voltage_v=40.0, frequency_hz=0.0, active_power_w=0.0)) == []


@pytest.mark.parametrize("measurands", [[], [M.TEMPERATURE_C], [M.VOLTAGE_V], [M.ACTIVE_POWER_W, M.CURRENT_A]])
def test_a_meter_without_the_members_has_no_checks(measurands: list[Measurand]):
    assert cross_checks(measurands, RATED_W) == []


def test_a_check_that_fails_again_and_again_is_ignored_and_comes_back():
    check = CrossCheck([0], lambda _: False)
    for _ in range(FAILURES_BELIEVED - 1):
        check.note_failure()
        assert not check.is_ignored
    for _ in range(100):
        check.note_failure()
        assert check.is_ignored
    for _ in range(FAILURE_FADES_READS * FAILURES_BELIEVED):
        check.note_success()
    check.note_failure()
    assert not check.is_ignored


def test_failures_that_are_far_apart_are_never_ignored():
    check = CrossCheck([0], lambda _: False)
    for _ in range(50):
        check.note_failure()
        assert not check.is_ignored
        for _ in range(FAILURE_FADES_READS):
            check.note_success()
