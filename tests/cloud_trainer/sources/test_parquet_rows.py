import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.sources import parquet_rows
from cloud_trainer.sources.numbers import NumberColumn
from cloud_trainer.sources.parquet_rows import read_parquet
from cloud_trainer.sources.stamps import StampColumn
from firmware_bridge.errors import SettingError

AT = [dt.datetime(2025, 3, 1, 0, 0), dt.datetime(2025, 3, 1, 0, 15)]  # noqa: DTZ001
AT_US = [1_740_787_200_000_000, 1_740_788_100_000_000]


@pytest.fixture
def pyarrow():
    """Where it is not installed, a sentence says so, which is tested below."""
    return pytest.importorskip("pyarrow")


def written(folder: Path, pyarrow, **columns) -> Path:
    from pyarrow import parquet

    path = folder / "site.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


def read(path: Path):
    stamps, numbers = StampColumn("iso"), NumberColumn("power", comma_is_decimal=True)
    read_parquet(path, "at", stamps, [numbers])
    return stamps.stamps(), numbers


def test_instants_and_numbers_are_read_as_they_are(tmp_path, pyarrow):
    zone = pyarrow.timestamp("ns", "Europe/Berlin")
    path = written(
        tmp_path,
        pyarrow,
        at=pyarrow.array([*AT_US, None]).cast(pyarrow.timestamp("us")).cast(zone),
        power=[1.5, None, 2],
    )
    stamps, numbers = read(path)
    assert stamps.us[:2].tolist() == AT_US
    assert (stamps.known.tolist(), stamps.is_utc[:2].tolist()) == ([True, True, False], [True, True])
    np.testing.assert_array_equal(numbers.values(), [1.5, np.nan, 2])


@pytest.mark.parametrize(
    ("at", "power"),
    [
        (AT, [1, 2]),
        ([str(one) for one in AT], ["1", "2,0"]),
        (AT, [Decimal("1.0"), Decimal("2.0")]),
        (["31/03/2025 00:00", "31/03/2025 00:15"], [1.0, 2.0]),
    ],
)
def test_wall_times_and_text_are_read_too(tmp_path, pyarrow, at, power):
    stamps, numbers = read(written(tmp_path, pyarrow, at=at, power=power))
    assert np.diff(stamps.us).tolist() == [900_000_000]
    assert not stamps.is_utc.any()
    assert numbers.values().tolist() == [1, 2]


def test_days_and_seconds_since_1970_are_times(tmp_path, pyarrow):
    stamps, _ = read(written(tmp_path, pyarrow, at=[one // 1_000_000 for one in AT_US], power=[1, 2]))
    assert (stamps.us.tolist(), stamps.is_utc.all()) == (AT_US, True)
    stamps, _ = read(written(tmp_path, pyarrow, at=[one.date() for one in AT], power=[1, 2]))
    assert stamps.us.tolist() == [AT_US[0]] * 2


@pytest.mark.parametrize("power", [[[1], [2]], [True, False], [b"x", b"y"]])
def test_what_is_no_number_is_counted(tmp_path, pyarrow, power):
    _, numbers = read(written(tmp_path, pyarrow, at=AT, power=power))
    assert numbers.words == 2


def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path, pyarrow, monkeypatch):
    with pytest.raises(SettingError, match=r"'power': is not in site\.parquet once, which has: at; name"):
        read(written(tmp_path, pyarrow, at=AT))
    path = written(tmp_path, pyarrow, at=AT, power=[1, 2])
    monkeypatch.setattr(parquet_rows, "ROWS_MAX", 1)
    with pytest.raises(SettingError, match="more than 1 rows"):
        read(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(SettingError, match="cannot be read"):
        read(path)
    with pytest.raises(SettingError, match="cannot be read"):
        read(tmp_path / "none.parquet")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SettingError, match=r"install smartwatts-edge\[trainer\], or give CSV"):
        read(tmp_path / "site.parquet")
