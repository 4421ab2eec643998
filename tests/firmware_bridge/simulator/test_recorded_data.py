"""The ready maps on the recordings they are made for."""

import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from firmware_bridge.simulator.replay import Replay, open_replay
from firmware_bridge.simulator.replay_map import CHECKOUT_MAPS

pytestmark = pytest.mark.data


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("DATA")
    if not folder:
        pytest.skip("DATA names no folder with recordings")
    return Path(folder)


def ends(replay: Replay) -> tuple[str, str]:
    return tuple(
        datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%dT%H:%M") for at in (replay.begin_us, replay.end_us)
    )


def test_steel_is_one_whole_year_in_korea(data):
    steel = open_replay(data / "steel_industry_15min.csv.gz")
    assert ends(steel) == ("2017-12-31T15:00", "2018-12-31T15:00")
    assert steel.power_w.size == 35_040
    assert steel.power_w[0] == pytest.approx(3.17 * 4_000)
    assert steel.power_w.mean() == pytest.approx(109_547.57, abs=0.01)
    assert steel.power_w.max() < steel.form.rated_power_w
    assert steel.energy_at_wh(steel.end_us)[0] == pytest.approx(steel.power_w.sum() / 4)


@pytest.mark.parametrize(
    ("name", "rows", "end", "mean_w"),
    [("ett_m1", 69_680, "2018-06-26T12:00", 74_139.93), ("ett_h1", 17_420, "2018-06-26T12:00", 73_751.41)],
)
def test_ett_is_two_years_of_a_transformer(data, name, rows, end, mean_w):
    transformer = open_replay(data / f"{name}.csv.gz")
    assert ends(transformer) == ("2016-06-30T16:00", end)
    assert transformer.power_w.size == rows
    assert transformer.power_w.mean() == pytest.approx(mean_w, abs=0.01)
    assert abs(transformer.power_w).max() < transformer.form.rated_power_w


@pytest.mark.parametrize("number", range(1, 6))
def test_a_home_of_the_city_is_one_year(data, tmp_path, number):
    with tarfile.open(data / "city_homes_hourly.tar.gz") as archive:
        member = archive.extractfile(f"city_homes/Building_{number}.csv")
        assert member is not None
        (tmp_path / f"Building_{number}.csv").write_bytes(member.read())
    home = open_replay(tmp_path / f"Building_{number}.csv")
    assert ends(home) == ("2016-08-01T08:00", "2017-08-01T08:00")
    assert home.power_w.size == 8_760
    assert 700 < home.power_w.mean() < 1_300
    assert home.power_w.max() < home.form.rated_power_w


def test_every_ready_map_is_tried_here():
    tried = {"steel_industry_15min", "ett_m1", "ett_h1", *(f"Building_{number}" for number in range(1, 6))}
    assert {path.name.removesuffix(".map.toml") for path in CHECKOUT_MAPS.glob("*.map.toml")} == tried
