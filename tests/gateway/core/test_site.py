import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.config import MeterConfig, Role
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Series
from gateway.core.site import Site

NAN = math.nan
VOLTAGES = (Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V, Measurand.VOLTAGE_L3_V)


def meter(name: str, role: Role) -> MeterConfig:
    return MeterConfig(name, "line", 1, "profile", role)


def site(*roles: Role, voltages: tuple[Measurand, ...] = ()) -> Site:
    """One meter of each role, in order, named by role and place; voltages on the first."""
    meters = [meter(f"{role}-{place}", role) for place, role in enumerate(roles)]
    series = [Series(MeterId(one.name), Measurand.ACTIVE_POWER_W) for one in meters]
    series += [Series(MeterId(meters[0].name), voltage) for voltage in voltages]
    return Site(series, meters, 230.0)


@pytest.mark.parametrize(
    ("roles", "powers_w", "grid_w", "solar_w", "consumption_w"),
    [
        (("grid",), (700.0,), 700.0, None, 700.0),
        (("grid",), (-300.0,), -300.0, None, -300.0),
        (("grid",), (NAN,), None, None, None),
        # A producing solar meter is negative: what is drawn and what is made are consumed together.
        (("grid", "solar"), (700.0, -2000.0), 700.0, -2000.0, 2700.0),
        (("grid", "solar"), (-1500.0, -2000.0), -1500.0, -2000.0, 500.0),
        (("grid", "solar"), (700.0, NAN), 700.0, None, None),
        (("grid", "solar"), (NAN, -2000.0), None, -2000.0, None),
        (("grid", "grid", "solar", "solar"), (1.0, 2.0, -10.0, -20.0), 3.0, -30.0, 33.0),
        (("grid", "grid"), (1.0, NAN), None, None, None),
        # A meter of a single load is part of what the grid meter shows.
        (("grid", "load"), (700.0, 300.0), 700.0, None, 700.0),
        (("load", "load"), (700.0, 300.0), None, None, 1000.0),
        (("load", "other"), (NAN, 300.0), None, None, None),
        (("other",), (300.0,), None, None, None),
        (("solar",), (-300.0,), None, -300.0, None),
    ],
)
def test_the_site_is_what_its_meters_add_up_to(
    roles: tuple[Role, ...],
    powers_w: tuple[float, ...],
    grid_w: float | None,
    solar_w: float | None,
    consumption_w: float | None,
):
    state = site(*roles).state(np.array(powers_w))
    assert (state.grid_w, state.solar_w, state.consumption_w) == (grid_w, solar_w, consumption_w)


@pytest.mark.parametrize(
    ("volts", "is_up"),
    [
        ((230.0, 231.0, 229.0), True),
        ((115.0, 0.0, 0.0), True),
        ((114.9, 60.0, 0.0), False),
        ((0.0, 0.0, 0.0), False),
        ((NAN, 0.0, 0.0), False),
        ((NAN, 230.0, NAN), True),
        ((NAN, NAN, NAN), True),
    ],
)
def test_the_grid_is_out_when_every_known_phase_is_below_half_of_nominal(volts: tuple[float, ...], is_up: bool):
    state = site("grid", voltages=VOLTAGES).state(np.array([500.0, *volts]))
    assert state.grid_is_up is is_up


def test_a_grid_meter_without_voltages_and_a_site_without_grid_meter_never_report_an_outage():
    assert site("grid").state(np.array([0.0])).grid_is_up
    assert site("solar", voltages=VOLTAGES).state(np.array([0.0, 0.0, 0.0, 0.0])).grid_is_up


def test_the_order_of_the_columns_does_not_matter():
    meters = [meter("a", "grid"), meter("b", "solar")]
    series = [
        Series(MeterId("b"), Measurand.VOLTAGE_V),
        Series(MeterId("b"), Measurand.ACTIVE_POWER_W),
        Series(MeterId("a"), Measurand.VOLTAGE_V),
        Series(MeterId("a"), Measurand.ACTIVE_POWER_W),
    ]
    state = Site(series, meters, 230.0).state(np.array([0.0, -50.0, 229.0, 100.0]))
    assert (state.consumption_w, state.grid_is_up) == (150.0, True)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e13, 1e13) | st.just(NAN), min_size=5, max_size=5))
def test_powers_are_numbers_or_nothing(values: list[float]):
    state = site("grid", "solar", voltages=VOLTAGES).state(np.array(values))
    for power in (state.grid_w, state.solar_w, state.consumption_w):
        assert power is None or math.isfinite(power)


@pytest.mark.parametrize(("solar_w", "production_w"), [(-2000.0, 2000.0), (0.0, 0.0), (12.0, 0.0), (NAN, None)])
def test_production_is_what_the_sun_gives_and_never_less_than_nothing(solar_w: float, production_w: float | None):
    one = site("grid", "solar")
    assert one.has_solar
    assert one.state(np.array([700.0, solar_w])).production_w == production_w


def test_a_site_without_a_solar_meter_produces_nothing_that_is_known():
    assert not site("grid").has_solar
    assert site("grid").state(np.array([700.0])).production_w is None


def test_each_power_is_measured_against_its_own_main_breaker():
    """What the large meter may show is nonsense on the small one."""
    meters = [
        MeterConfig("a", "line", 1, "profile", "grid", 22_000.0),
        MeterConfig("b", "line", 2, "p", "solar", 5_000.0),
    ]
    series = [Series(MeterId(one.name), Measurand.ACTIVE_POWER_W) for one in meters]
    good = Site(series, meters, 230.0).state(np.array([20_000.0, -5_900.0]))
    bad = Site(series, meters, 230.0).state(np.array([2_000.0, -6_100.0]))
    assert (good.solar_w, good.consumption_w) == (-5_900.0, 25_900.0)
    assert (bad.grid_w, bad.solar_w, bad.consumption_w) == (2_000.0, None, None)


@pytest.mark.parametrize(("power_w", "consumption_w"), [(26_400.0, 26_400.0), (26_401.0, None), (-1e13, None)])
def test_what_no_breaker_lets_through_is_no_consumption(power_w: float, consumption_w: float | None):
    assert site("grid").state(np.array([power_w])).consumption_w == consumption_w
