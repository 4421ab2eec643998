import numpy as np
import psycopg
import pytest

from cloud_trainer.ingest.db import store_batch
from cloud_trainer.sources.database import load_fine_sites, load_sites
from cloud_trainer.sources.roles import SiteRoles
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from gateway.contract.forecast_spec import LOAD
from gateway.contract.records import Record
from tests.sim.cloud_records import GATEWAYS, GENERATION, POLL_US, START_US, STEP_US, batch, block, power

pytestmark = [pytest.mark.slow, pytest.mark.pg, pytest.mark.usefixtures("gateways")]

NAN = float("nan")
OTHER_GENERATION = GENERATION[::-1]
NOW_US = START_US + 86_400_000_000
PERIOD_US = 5 * POLL_US


async def fill(dsn: str, records: list[Record], gateway: str = GATEWAYS[0], generation: str = GENERATION) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch(records, gateway=gateway, generation=generation))


def quarter(step: int, grid_w: float, solar_w: float | None = None, periods: int = 3) -> list[Record]:
    """The recording periods of one step of 15 minutes, each with five polls."""
    solar = None if solar_w is None else [solar_w] * 5
    return [power(START_US + step * STEP_US + one * PERIOD_US, [grid_w] * 5, solar) for one in range(periods)]


def loaded(dsn: str, organisation="default", **options):
    with psycopg.connect(dsn) as connection:
        return list(load_sites(connection, organisation, now_us=NOW_US, time_zone="Africa/Lagos", **options))


def fine(dsn: str, **options):
    with psycopg.connect(dsn) as connection:
        return list(load_fine_sites(connection, "default", now_us=NOW_US, time_zone="UTC", **options))


async def test_consumption_is_grid_and_sun_and_production_is_the_sun_alone(dsn: str) -> None:
    await fill(dsn, [*quarter(0, 500.0, -100.0), *quarter(1, -300.0, -800.0), *quarter(2, 200.0, 5.0)])
    (site,) = loaded(dsn)
    assert (site.series.organisation, site.series.name, site.series.zone.key) == (
        "default",
        "default",
        "Africa/Lagos",
    )
    assert (site.series.start_us, site.series.step_us) == (START_US, STEP_US)
    assert site.series.consumption_w.tolist() == [600, 500, 195]
    assert site.series.production_w is not None
    assert site.series.production_w.tolist() == [100, 800, 0]
    assert site.findings == ()


async def test_a_step_that_was_hardly_measured_is_unknown(dsn: str) -> None:
    await fill(dsn, [*quarter(0, 500.0), *quarter(1, 400.0, periods=1), *quarter(3, 300.0, periods=2)])
    (site,) = loaded(dsn)
    np.testing.assert_array_equal(site.series.consumption_w, [500, NAN, NAN, 300])
    assert site.series.production_w is None


async def test_without_the_sun_nobody_knows_what_was_consumed(dsn: str) -> None:
    await fill(dsn, [*quarter(0, 500.0, -100.0), *quarter(1, 500.0)])
    (site,) = loaded(dsn)
    np.testing.assert_array_equal(site.series.consumption_w, [600, NAN])


async def test_what_is_stamped_ahead_of_now_is_left_out(dsn: str) -> None:
    await fill(dsn, [*quarter(0, 500.0), *quarter(2 * 96, 900.0)])
    (site,) = loaded(dsn)
    assert site.series.consumption_w.tolist() == [500]


async def test_a_site_is_read_by_nobody_else(dsn: str) -> None:
    await fill(dsn, quarter(0, 500.0))
    assert loaded(dsn, "other") == []


async def test_roles_may_be_said_and_powers_in_one_place_add_up(dsn: str) -> None:
    meters = {("a", Measurand.ACTIVE_POWER_W): [100.0] * 5, ("b", Measurand.ACTIVE_POWER_W): [20.0] * 5}
    await fill(dsn, [block(START_US + one * PERIOD_US, meters) for one in range(3)])
    (doubtful,) = loaded(dsn)
    assert [one.check for one in doubtful.findings] == ["roles"]
    given = SiteRoles(grid=["a", "b"], time_zone="Asia/Seoul", rated_power_w=9e3)
    (site,) = loaded(dsn, roles={"default": given})
    assert site.series.consumption_w.tolist() == [120]
    assert (site.series.zone.key, site.rated_power_w) == ("Asia/Seoul", 9e3)
    with pytest.raises(
        SettingError, match="--roles = mill: is no site of default that sends; its sites are: default"
    ):
        loaded(dsn, roles={"mill": given})


async def test_a_meter_of_consumption_stands_for_the_grid(dsn: str) -> None:
    meters = {("load", Measurand.ACTIVE_POWER_W): [100.0] * 5, ("pv", Measurand.ACTIVE_POWER_W): [-20.0] * 5}
    await fill(dsn, [block(START_US + one * PERIOD_US, meters) for one in range(3)])
    (site,) = loaded(dsn)
    assert site.series.consumption_w.tolist() == [100]
    assert site.series.production_w is not None
    assert site.series.production_w.tolist() == [20]


async def test_a_gateway_that_took_anothers_place_goes_on_and_two_at_once_are_doubtful(dsn: str) -> None:
    await fill(dsn, [record for step in range(20) for record in quarter(step, 100.0)])
    after = [record for step in range(20, 40) for record in quarter(step, 200.0)]
    await fill(dsn, after, GATEWAYS[1], OTHER_GENERATION)
    (site,) = loaded(dsn)
    assert site.series.consumption_w.tolist() == [100] * 20 + [200] * 20
    assert site.findings == ()
    await fill(dsn, [record for step in range(19) for record in quarter(step, 300.0)], GATEWAYS[1], "ab" * 16)
    assert [(one.check, one.severity) for one in loaded(dsn)[0].findings] == [("roles", "error")]


async def test_a_site_that_nobody_placed_is_told(dsn: str) -> None:
    await fill(dsn, quarter(0, 500.0))
    with psycopg.connect(dsn) as connection:
        (site,) = load_sites(connection, "default", now_us=NOW_US)
    assert [(one.check, one.severity) for one in site.findings] == [("time_zone", "warning")]


async def test_the_next_hour_is_learnt_from_steps_of_five_minutes(dsn: str) -> None:
    await fill(dsn, [*quarter(0, 500.0, -100.0), power(START_US + 4 * PERIOD_US, [1.0, 2.0, 3.0], [0.0] * 3)])
    (site,) = fine(dsn)
    assert (site.series.start_us, site.series.step_us) == (START_US, LOAD.step_us)
    np.testing.assert_array_equal(site.series.consumption_w, [600, 600, 600, NAN, 2])


async def test_minutes_are_put_together_and_a_thin_step_is_unknown(dsn: str) -> None:
    minutes = [START_US + minute * POLL_US for minute in (0, 1, 2, 3, 4, 5)]
    meter = ("grid", Measurand.ACTIVE_POWER_W)
    await fill(
        dsn, [block(at_us, {meter: [float(number)]}, period_us=POLL_US) for number, at_us in enumerate(minutes)]
    )
    (site,) = fine(dsn)
    np.testing.assert_array_equal(site.series.consumption_w, [2])


async def test_a_site_that_is_recorded_more_seldom_or_long_ago_has_no_such_steps(dsn: str) -> None:
    meter = ("grid", Measurand.ACTIVE_POWER_W)
    await fill(dsn, [block(START_US, {meter: [5.0] * 15}, period_us=STEP_US)])
    assert fine(dsn) == []
    assert len(loaded(dsn)) == 1
    await fill(dsn, quarter(1, 5.0), generation=OTHER_GENERATION)
    assert len(fine(dsn)) == 1
    with psycopg.connect(dsn) as connection:
        later_us = NOW_US + 90 * 86_400_000_000
        assert list(load_fine_sites(connection, "default", now_us=later_us)) == []
