import argparse

import psycopg
import pytest

from cloud_trainer.commands import source
from cloud_trainer.ingest.db import store_batch
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import NotFoundError, SettingError
from gateway.contract.forecast_spec import LOAD
from tests.sim.cloud_records import GATEWAYS, POLL_US, START_US, batch, power
from tests.sim.recordings import write_home


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    source.add(parser, generated=True)
    return parser.parse_args(arguments)


def read(*arguments, said=None):
    return source.read(parsed(*arguments), SystemClock().utc_us(), [].append if said is None else said.append)


@pytest.mark.parametrize("arguments", [(), ("--data", "x", "--dsn", "dbname=x"), ("--data", "x", "--generated")])
def test_one_source_is_named_and_no_other(arguments):
    with pytest.raises(SettingError, match="give one of --data PATH and --dsn DSN"):
        source.check(parsed(*arguments))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="holds no recordings"):
        read("--data", str(tmp_path))


@pytest.mark.slow
def test_a_folder_of_an_organisation_is_read_by_the_maps_beside_its_files(tmp_path):
    write_home(tmp_path / "acme" / "shop.csv", days=30)
    write_home(tmp_path / "other" / "young.csv", days=4)
    said: list[str] = []
    dataset = read("--data", str(tmp_path), said=said)
    assert [(site.organisation, site.name) for site in dataset.sites] == [("acme", "shop")]
    assert said[0] == "acme/shop: 30 days, trained"
    assert any(line.startswith("  error too_short") for line in said)
    assert said[-1] == "recordings: 1 of 2 sites can be used"
    assert read("--data", str(tmp_path), "--organisation", "other").sites == []
    assert len(read("--data", str(tmp_path), "--min-days", "other=2").sites) == 2
    assert len(read("--data", str(tmp_path), "--accept", "too_short").sites) == 2


@pytest.mark.slow
def test_a_map_may_be_named_for_all_files(tmp_path):
    write_home(tmp_path / "shop.csv", days=30)
    (tmp_path / "shop.map.toml").rename(tmp_path / "all.toml")
    dataset = read("--data", str(tmp_path / "shop.csv"), "--map", str(tmp_path / "all.toml"))
    assert dataset.sites[0].targets == ("consumption_w", "production_w")


@pytest.mark.slow
def test_generated_sites_are_as_fine_as_any_model_needs():
    dataset = read("--generated", "--homes", "2", "--days", "28", "--seed", "3")
    assert [site.step_us for site in dataset.sites] == [LOAD.step_us] * 3
    assert dataset.words == "2 generated homes and 1 workshops, 28 days each"


def test_a_number_lies_within_its_bounds():
    assert source.between("--x", 3, 1, 3) == 3
    with pytest.raises(SettingError, match=r"--x = 4: is not within 1 to 3"):
        source.between("--x", 4, 1, 3)


@pytest.fixture
async def stored(dsn):
    """Two days of a gateway each of two organisations, in blocks of five minutes."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await connection.execute("INSERT INTO organisation VALUES ('acme', 'Acme')")
        await connection.execute("INSERT INTO site VALUES ('acme', 'mill')")
        for number, (organisation, site) in enumerate((("default", "default"), ("acme", "mill"))):
            await connection.execute(
                "INSERT INTO gateway (gateway_id, organisation_id, site_id) VALUES (%s, %s, %s)",
                (GATEWAYS[number], organisation, site),
            )
            await connection.commit()
            for day in range(2):
                steps = range(day * 288, (day + 1) * 288)
                blocks = [power(START_US + step * 5 * POLL_US, [500.0 + step % 288] * 5) for step in steps]
                await store_batch(connection, batch(blocks, gateway=GATEWAYS[number], first=day * 288 + 1))
    return dsn


@pytest.mark.slow
@pytest.mark.pg
def test_sites_of_all_organisations_of_a_database_or_of_one(stored):
    every = read("--dsn", stored, "--min-days", "1", "--time-zone", "Africa/Lagos")
    assert [(site.organisation, site.name) for site in every.sites] == [("acme", "mill"), ("default", "default")]
    assert [site.step_us for site in every.fine_sites] == [LOAD.step_us] * 2
    assert {site.zone.key for site in every.sites} == {"Africa/Lagos"}
    one = read("--dsn", stored, "--organisation", "acme", "--min-days", "1")
    assert [site.organisation for site in [*one.sites, *one.fine_sites]] == ["acme"] * 2
    with pytest.raises(NotFoundError):
        read("--dsn", stored, "--organisation", "nobody")
