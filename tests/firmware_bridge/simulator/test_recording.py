"""Recorded CSVs in every form we read, and every way a file can be wrong."""

import gzip
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator import recording as module
from firmware_bridge.simulator.recording import read_recording
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn

FORM = ReplayMap(
    source="test",
    cadence_s=900,
    rated_power_w=5_000,
    time=TimeColumn(column="at", stamps="start"),
    value=ValueColumn(column="p", unit="W"),
)
ROWS = ["2026-01-01 00:00:00,100", "2026-01-01 00:15:00,-250.5", "2026-01-01 00:30:00,0"]


def read(tmp_path: Path, rows: list[str], form: ReplayMap = FORM, header: str = "at,p", name: str = "r.csv"):
    path = tmp_path / name
    data = "\n".join([header, *rows]).encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_recording(path, form)


def time(form: ReplayMap = FORM, **changes) -> ReplayMap:
    return msgspec.structs.replace(form, time=msgspec.structs.replace(form.time, **changes))


def value(**changes) -> ReplayMap:
    return msgspec.structs.replace(FORM, value=msgspec.structs.replace(FORM.value, **changes))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_plain_and_compressed_files_read_the_same(tmp_path, name):
    found = read(tmp_path, ROWS, name=name)
    assert found.first_us == at("2026-01-01T00:00")
    assert found.cadence_us == 900_000_000
    assert found.power_w.tolist() == [100, -250.5, 0]


def test_stamps_at_the_end_name_the_interval_before(tmp_path):
    assert read(tmp_path, ROWS, time(stamps="end")).first_us == at("2025-12-31T23:45")


@pytest.mark.parametrize(
    ("form", "watts"),
    [
        (value(unit="kW"), [100e3, -250.5e3, 0]),
        (value(unit="kWh"), [400e3, -1002e3, 0]),
        (value(unit="relative", watts_per_unit=10.0), [1000, -2505, 0]),
    ],
)
def test_every_unit_ends_in_watts(tmp_path, form, watts):
    assert read(tmp_path, ROWS, msgspec.structs.replace(form, rated_power_w=1e6)).power_w.tolist() == pytest.approx(
        watts
    )


def test_another_form_of_time_and_a_fixed_zone(tmp_path):
    rows = ["01/02/2026 0:15,1", "01/02/2026 0:30,2"]
    form = time(format="%d/%m/%Y %H:%M", time_zone="Asia/Seoul")
    assert read(tmp_path, rows, form).first_us == at("2026-01-31T15:15")


def test_stamps_with_an_offset_of_their_own_are_believed(tmp_path):
    rows = ["2026-01-01T01:00:00+01:00,1", "2026-01-01T00:15:00Z,2"]
    assert read(tmp_path, rows).first_us == at("2026-01-01T00:00")


def test_columns_are_found_by_name_among_others(tmp_path):
    rows = ["x,100,2026-01-01 00:00:00,y", "", "x,200,2026-01-01 00:15:00,y", ""]
    assert read(tmp_path, rows, header="a, p ,at,b").power_w.tolist() == [100, 200]


def test_a_byte_order_mark_does_no_harm(tmp_path):
    assert read(tmp_path, ROWS, header="\ufeffat,p").power_w.size == 3


def test_dates_that_cannot_be_trusted_are_rebuilt_from_the_first_row(tmp_path):
    # The 00:00 row closes the day and carries the old day's date.
    rows = ["01/01/2018 23:30,1", "01/01/2018 23:45,2", "01/01/2018 00:00,3", "02/01/2018 0:15,4"]
    form = time(format="%d/%m/%Y %H:%M", stamps="end", rebuild_from="2018-01-01T23:30")
    found = read(tmp_path, rows, form)
    assert found.first_us == at("2018-01-01T23:15")
    assert found.power_w.tolist() == [1, 2, 3, 4]


def test_hours_without_dates_are_counted_from_the_first_row(tmp_path):
    form = msgspec.structs.replace(time(format="hour", rebuild_from="2016-08-01T00:00"), cadence_s=3600)
    found = read(tmp_path, ["24,1", "1,2", "2,3"], form)
    assert found.first_us == at("2016-08-01T00:00")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["2026-01-01 00:00,1", "2026-01-01 00:15,x"], "'x': is not a number at row 2"),
        (["2026-01-01 00:00,1", "2026-01-01 00:15,"], "'': is not a number at row 2"),
        (["2026-01-01 00:00,nan"], "is not a number at row 1"),
        (["2026-01-01 00:00,1e400"], "is not a number at row 1"),
        (["2026-01-01 00:00,3e6"], "more than 2 MW at row 1"),
        (["2026-01-01 00:00,6001"], "more than the map's rated_power_w = 5000"),
        (["yesterday,1"], "'yesterday': is not a time of the form \"iso\" at row 1"),
        (["0001-01-01 00:00,1"], "is not a time"),
        (["2026-01-01 00:00"], "row 1 has only 1 columns"),
        (["2026-01-01 00:00,1", "2026-01-01 00:30,1"], "row 2 comes 1800 s after the one before"),
        (["2026-01-01 00:00,1", "2026-01-01 00:00,1"], "row 2 repeats the time before"),
        (["2026-01-01 00:00,1", "2025-01-01 00:15,1"], "row 2 goes back in time"),
        (["2026-01-01 00:00,1", "2026-01-01 01:00,1"], "cadence_s = 900"),
        ([], "has no rows"),
        (["2026-01-01 00:00,1", 'x"' + "y" * 200_000], "not CSV"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, says):
    with pytest.raises(SettingError) as caught:
        read(tmp_path, rows)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        (value(column="q"), "'q': is not in r.csv, which has: at, p"),
        (time(column="q"), "'q': is not in r.csv"),
        (msgspec.structs.replace(FORM, rows=4), "r.csv has 3 rows"),
        (time(time_zone="Mars/Base"), "not a known zone"),
        (time(rebuild_from="2026-01-01T00:05"), "row 1 shows 00:00, not 00:05"),
        (time(rebuild_from="soon"), "soon: is not a time"),
        (time(format="hour"), "is not a time"),
        (time(format="%Y"), "is not a time"),
    ],
)
def test_a_map_that_does_not_fit_is_named(tmp_path, form, says):
    with pytest.raises(SettingError) as caught:
        read(tmp_path, ROWS, form)
    assert says in str(caught.value)


def test_watts_taken_for_kilowatts_are_refused_with_both_settings(tmp_path):
    with pytest.raises(SettingError) as caught:
        read(tmp_path, ["2026-01-01 00:00,1", "2026-01-01 00:15,-600"], value(unit="kW"))
    assert str(caught.value) == (
        "replay column p = '-600': is 600000 W at row 2, more than the map's rated_power_w = 5000; "
        'correct value.unit = "kW" or rated_power_w in the map.'
    )


def test_a_recording_may_pass_the_breaker_by_a_fifth(tmp_path):
    assert read(tmp_path, ["2026-01-01 00:00,6000", "2026-01-01 00:15,-6000"]).power_w.tolist() == [6000, -6000]


def test_hours_need_the_first_date(tmp_path):
    with pytest.raises(SettingError, match="rebuild_from"):
        read(tmp_path, ["1,1"], time(format="hour"))


def test_a_zone_that_changes_its_clocks_within_the_recording_is_refused(tmp_path):
    form = msgspec.structs.replace(time(time_zone="Europe/Berlin"), cadence_s=6 * 3600)
    rows = [f"2026-03-{day:02d} {hour:02d}:00,1" for day in range(27, 32) for hour in (0, 6, 12, 18)]
    with pytest.raises(SettingError, match=r"Etc/GMT\+8"):
        read(tmp_path, rows, form)


@pytest.mark.parametrize("content", [b"\x1f\x8b broken", b"", b"at,p\n"])
def test_a_broken_archive_is_refused(tmp_path, content):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(content)
    with pytest.raises(SettingError):
        read_recording(path, FORM)


def test_a_cut_archive_is_refused(tmp_path):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["at,p", *ROWS]).encode())[:-9])
    with pytest.raises(SettingError, match="cannot be read"):
        read_recording(path, FORM)


def test_a_missing_file_a_folder_and_foreign_bytes_are_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    for name, says in (("none.csv", "No such file"), (".", "directory"), ("binary.csv", "not text")):
        with pytest.raises(SettingError, match=says):
            read_recording(tmp_path / name, FORM)


def test_a_file_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 20)
    with pytest.raises(SettingError, match="longer than"):
        read(tmp_path, ROWS)


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=300), st.text(alphabet='at,p\n"0123456789-: \r\0', max_size=200).map(str.encode)))
def test_any_bytes_are_a_recording_or_a_setting_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        path.write_bytes(b"at,p\n" + content)
        try:
            found = read_recording(path, FORM)
        except SettingError:
            return
        assert found.power_w.size
