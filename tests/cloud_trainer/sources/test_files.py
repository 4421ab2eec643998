"""Files to sites, and poor data to named checks: nothing below may ever reach a model."""

import csv
import gzip
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cloud_trainer.selection import MinimumDays, select
from cloud_trainer.sources.files import find_files, load_file, load_files
from cloud_trainer.sources.generated import home
from cloud_trainer.sources.mapping import FileForm, form_of_map, form_of_options
from firmware_bridge.errors import NotFoundError, SettingError
from firmware_bridge.simulator.replay_map import CHECKOUT_MAPS, load_map
from tests.sim.homes_archive import unpack_homes

STEP_S = 900
# Berlin changes its clocks on 30 March and on 26 October 2025
WINTER_S = int(datetime(2025, 2, 15, tzinfo=UTC).timestamp())
SUMMER_S = int(datetime(2025, 10, 1, tzinfo=UTC).timestamp())
DAY = 96
POWER_W = home(3, 50).consumption_w.round(1)
NOW_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
BERLIN = ZoneInfo("Europe/Berlin")
WATTS = form_of_options(time="time", value="power", cadence="15min", unit="W")


def stamps(first_s: int, zone: ZoneInfo | None = None, rows: int = len(POWER_W)) -> list[str]:
    """What a clock of that zone shows at the beginning of each row."""
    instants = (datetime.fromtimestamp(first_s + row * STEP_S, UTC) for row in range(rows))
    return [f"{at.astimezone(zone or UTC):%Y-%m-%d %H:%M}" for at in instants]


def written(folder: Path, times: Iterable[str], values: Iterable[object], name="site.csv") -> Path:
    path = folder / name
    rows = (f"{time},{value}\n" for time, value in zip(times, values, strict=True))
    path.write_text("time,power\n" + "".join(rows))
    return path


def verdict(path: Path, form: FileForm = WATTS):
    """The errors and the other findings on the site of a file, by name, and whether it is trained."""
    selection = select([load_file(path, form)], now_us=NOW_US, minimum_days=MinimumDays())
    (one,) = selection.verdicts
    assert one.is_trained == bool(selection.sites)
    errors = {finding.check for finding in one.findings if finding.severity == "error"}
    assert one.is_trained == (not errors)
    return errors, {finding.check for finding in one.findings} - errors


def test_a_good_file_is_read_to_the_watt(tmp_path):
    path = written(tmp_path, stamps(WINTER_S), POWER_W)
    assert verdict(path) == (set(), set())
    series = load_file(path, WATTS).series
    np.testing.assert_array_equal(series.consumption_w, POWER_W)
    assert (series.name, series.organisation, series.start_us) == ("site", "default", WINTER_S * 1_000_000)


class TestPoorData:
    def test_nothing_but_empty_cells(self, tmp_path):
        path = written(tmp_path, stamps(WINTER_S), ["", "NaN"] * (len(POWER_W) // 2))
        assert verdict(path) == ({"no_values"}, set())

    def test_one_value_for_ever(self, tmp_path):
        assert verdict(written(tmp_path, stamps(WINTER_S), [230.0] * len(POWER_W))) == ({"constant"}, set())

    def test_two_days(self, tmp_path):
        assert verdict(written(tmp_path, stamps(WINTER_S, rows=2 * DAY), POWER_W[: 2 * DAY])) == (
            {"too_short"},
            set(),
        )

    def test_a_sign_turned_round(self, tmp_path):
        assert verdict(written(tmp_path, stamps(WINTER_S), -POWER_W)) == ({"negative"}, set())

    @pytest.mark.parametrize("scale", [1e3, 1e-3])
    def test_a_unit_that_is_wrong_for_some_days(self, tmp_path, scale):
        power_w = POWER_W.copy()
        power_w[10 * DAY : 20 * DAY] *= scale
        assert verdict(written(tmp_path, stamps(WINTER_S), power_w)) == ({"unit_jump"}, set())

    def test_a_unit_that_is_wrong_from_the_first_row_to_the_last(self, tmp_path):
        assert verdict(written(tmp_path, stamps(WINTER_S), POWER_W / 1e3)) == ({"unit"}, set())

    def test_hours_that_are_there_twice(self, tmp_path):
        times = stamps(WINTER_S)
        path = written(tmp_path, times[:500] + times[496:], [*POWER_W[:500], *POWER_W[496:]])
        assert verdict(path) == ({"duplicated_hours"}, {"clock_steps"})

    def test_clocks_that_go_forward_in_an_unnamed_zone(self, tmp_path):
        assert verdict(written(tmp_path, stamps(WINTER_S, BERLIN), POWER_W)) == ({"missing_hours"}, set())

    def test_clocks_that_go_back_in_an_unnamed_zone(self, tmp_path):
        assert verdict(written(tmp_path, stamps(SUMMER_S, BERLIN), POWER_W))[0] == {"duplicated_hours"}

    def test_clocks_that_do_not_change_in_a_zone_where_they_do(self, tmp_path):
        berlin = form_of_options(time="time", value="power", cadence="15min", unit="W", time_zone="Europe/Berlin")
        assert verdict(written(tmp_path, stamps(WINTER_S), POWER_W), berlin)[0] == {"missing_hours"}

    def test_words(self, tmp_path):
        values = ["on" if row % 10 == 0 else value for row, value in enumerate(POWER_W)]
        assert verdict(written(tmp_path, stamps(WINTER_S), values))[0] == {"text_cells"}

    def test_another_cadence(self, tmp_path):
        form = form_of_options(time="time", value="power", cadence="1h", unit="W")
        assert verdict(written(tmp_path, stamps(WINTER_S), POWER_W), form)[0] == {"cadence"}

    def test_stamps_of_next_year(self, tmp_path):
        ahead_s = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp())
        assert verdict(written(tmp_path, stamps(ahead_s), POWER_W)) == ({"future"}, set())


@pytest.mark.parametrize("first_s", [WINTER_S, SUMMER_S])
def test_clocks_that_change_in_their_own_zone_are_followed(tmp_path, first_s):
    berlin = form_of_options(time="time", value="power", cadence="15min", unit="W", time_zone="Europe/Berlin")
    path = written(tmp_path, stamps(first_s, BERLIN), POWER_W)
    assert verdict(path, berlin)[0] == set()
    series = load_file(path, berlin).series
    np.testing.assert_array_equal(series.consumption_w, POWER_W)
    assert series.start_us == first_s * 1_000_000


def test_an_end_is_a_quarter_before_its_stamp(tmp_path):
    """As the file of the steel works has it: the last row of a day carries its date, at 00:00."""
    times = stamps(WINTER_S + STEP_S)
    days = [time[:10] for time in stamps(WINTER_S)]
    old = [f"{day} 00:00" if "00:00" in time else time for day, time in zip(days, times, strict=True)]
    assert old != times
    path = written(tmp_path, old, POWER_W)
    assert verdict(path) == (set(), {"clock_steps"})
    series = load_file(path, WATTS).series
    assert series.start_us == WINTER_S * 1_000_000
    np.testing.assert_array_equal(series.consumption_w, POWER_W)


def test_a_line_of_totals_and_some_gaps_do_no_harm(tmp_path):
    values = [*map(str, POWER_W), "12345"]
    values[100] = ""
    path = written(tmp_path, [*stamps(WINTER_S), "Total"], values)
    assert verdict(path) == (set(), {"text_cells"})
    assert np.isnan(load_file(path, WATTS).series.consumption_w[100])


@pytest.mark.parametrize(("scale", "watts_per_unit"), [(1, 1), (1e-3, 1e3), (1e3, 1)])
def test_without_a_unit_a_site_is_made_one_of_kilowatts(tmp_path, scale, watts_per_unit):
    form = form_of_options(time="time", value="power", cadence="15min")
    site = load_file(written(tmp_path, stamps(WINTER_S), POWER_W * scale), form)
    assert site.watts_per_unit == watts_per_unit
    np.testing.assert_allclose(site.series.consumption_w, POWER_W * scale * watts_per_unit)


MAP = """
source = "made up"
cadence_s = 900
rated_power_w = 12000
rows = 192
[time]
column = "time"
stamps = "start"
time_zone = "Africa/Lagos"
[value]
column = "power"
unit = "kW"
[production]
column = "sun"
unit = "W"
"""


def two_days(folder: Path, name: str) -> Path:
    rows = (f"{time};0,5;{row}\n" for row, time in enumerate(stamps(WINTER_S, rows=192)))
    (folder / name).write_text("time;power;sun\n" + "".join(rows))
    return folder / name


def test_a_folder_is_read_by_the_maps_beside_its_files(tmp_path):
    (tmp_path / "acme").mkdir()
    for name in ("a.csv", "acme/b.csv"):
        (two_days(tmp_path, name).with_suffix(".map.toml")).write_text(MAP)
    (tmp_path / "notes.txt").write_text("no recording")
    sites = [one.series for one in load_files(tmp_path)]
    assert [(one.organisation, one.name) for one in sites] == [("default", "a"), ("acme", "b")]
    assert sites[0].zone.key == "Africa/Lagos"
    assert sites[0].start_us == (WINTER_S - 3600) * 1_000_000
    assert sites[0].consumption_w[:2].tolist() == [500, 500]
    assert sites[0].production_w is not None
    assert sites[0].production_w[:2].tolist() == [0, 1]


def test_a_file_with_other_rows_than_its_map_says_is_refused(tmp_path):
    path = two_days(tmp_path, "a.csv")
    path.with_suffix(".map.toml").write_text(MAP.replace("192", "200"))
    with pytest.raises(SettingError, match=r"rows = 200: a\.csv has 192 rows"):
        list(load_files(path))


def test_a_file_without_a_map_says_which_to_write(tmp_path):
    with pytest.raises(SettingError, match=r"there is no a\.map\.toml"):
        list(load_files(two_days(tmp_path, "a.csv")))


def test_where_there_is_nothing_a_sentence_says_what_is_read(tmp_path):
    with pytest.raises(
        NotFoundError, match=r"holds no recordings; name a file or a folder with files that end in \.csv"
    ):
        find_files(tmp_path)
    with pytest.raises(NotFoundError, match="holds no recordings"):
        find_files(tmp_path / "none")


def test_parquet_is_a_site_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    times = pyarrow.array((WINTER_S + STEP_S * np.arange(len(POWER_W))) * 1_000_000).cast(
        pyarrow.timestamp("us", "UTC")
    )
    parquet.write_table(pyarrow.table({"time": times, "power": POWER_W}), tmp_path / "mill.parquet")
    site = load_file(tmp_path / "mill.parquet", WATTS)
    assert (site.series.name, site.findings) == ("mill", ())
    np.testing.assert_array_equal(site.series.consumption_w, POWER_W)


@pytest.fixture(scope="module")
def recordings():
    folder = os.environ.get("DATA", "")
    if not folder:
        pytest.skip("the environment names no folder DATA with recordings")
    return Path(folder)


@pytest.mark.data
@pytest.mark.slow
class TestRecordings:
    @pytest.mark.parametrize(
        ("name", "column", "watts"),
        [("steel_industry_15min", "Usage_kWh", 4e3), ("ett_m1", "HUFL", 1e4), ("ett_h1", "HUFL", 1e4)],
    )
    def test_are_read_by_the_maps_of_a_checkout_without_a_doubt(self, recordings, name, column, watts):
        path = recordings / f"{name}.csv.gz"
        (site,) = load_files(path)
        assert site.findings == ()
        with gzip.open(path, "rt") as file:
            power_w = np.array([float(row[column]) for row in csv.DictReader(file)]) * watts
        np.testing.assert_allclose(site.series.consumption_w, power_w)
        assert verdict(path, form_of_map(load_map(CHECKOUT_MAPS / f"{name}.map.toml")))[0] == set()

    def test_are_read_without_a_map_alike(self, recordings):
        path = recordings / "steel_industry_15min.csv.gz"
        form = form_of_options(time="date", value="Usage_kWh", cadence="15min")
        assert verdict(path, form) == (set(), {"clock_steps"})
        (mapped,) = load_files(path)
        site = load_file(path, form)
        np.testing.assert_allclose(site.series.consumption_w * 40, mapped.series.consumption_w)
        assert site.watts_per_unit == 100

    def test_of_homes_have_panels(self, recordings, tmp_path):
        homes = unpack_homes(recordings, tmp_path)
        for number in range(1, 6):
            (site,) = load_files(homes / f"Building_{number}.csv")
            assert site.findings == ()
            assert site.series.production_w is not None
            assert 500 < site.series.production_w.mean() < 1_000
