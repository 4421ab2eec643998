from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.sources.stamps import StampColumn
from firmware_bridge.errors import SettingError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, int(datetime(2099, 12, 31, tzinfo=UTC).timestamp()))


def column(*cells, form="iso") -> StampColumn:
    made = StampColumn(form)
    for cell in cells:
        made.add(cell)
    return made


def read(*cells, form="iso"):
    """What each cell says, as ISO 8601; None where it says nothing."""
    stamps = column(*cells, form=form).stamps()
    return [
        (EPOCH + timedelta(microseconds=us)).replace(tzinfo=None).isoformat() + "Z" * is_utc if known else None
        for us, is_utc, known in zip(stamps.us.tolist(), stamps.is_utc.tolist(), stamps.known.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("2025-03-01 00:15:00", "2025-03-01T00:15:00"),
        ("2025-03-01T00:15", "2025-03-01T00:15:00"),
        ("2025-03-01", "2025-03-01T00:00:00"),
        ("20250301 00:15", "2025-03-01T00:15:00"),
        ("2025/3/1 0:15", "2025-03-01T00:15:00"),
        ("2025-03-01T00:15:00Z", "2025-03-01T00:15:00Z"),
        ("2025-03-01 00:15:00 UTC", "2025-03-01T00:15:00Z"),
        ("2025-03-01T00:15:00.250+01:00", "2025-02-28T23:15:00.250000Z"),
        ("2025-03-01 00:15:00-0530", "2025-03-01T05:45:00Z"),
        ("31.03.2025 24:00", "2025-04-01T00:00:00"),
        ("1.2.2025 0:15", "2025-02-01T00:15:00"),
        ("31/03/25 0:15", "2025-03-31T00:15:00"),
        ("3/31/2025 11:45 PM", "2025-03-31T23:45:00"),
        ("3/31/2025 12:00 am", "2025-03-31T00:00:00"),
        ("1740787200", "2025-03-01T00:00:00Z"),
        ("1740787200000", "2025-03-01T00:00:00Z"),
        ("1740787200000000", "2025-03-01T00:00:00Z"),
        ("1740787200.5", "2025-03-01T00:00:00.500000Z"),
    ],
)
def test_stamps_tell_by_themselves_how_they_are_written(cell, says):
    assert read(cell) == [says]


@pytest.mark.parametrize(
    "cell",
    [
        *("", "yesterday", "2025-13-01", "2025-02-30 00:00", "2025-01-01 25:00", "2025-01-01 24:15", "12:15"),
        *("0001-01-01", "2525-01-01", "99999999", "2025-01-01 13:00 PM", "2025-01-01 00:60", "1" * 500, "１/２/2025"),
    ],
)
def test_what_is_no_stamp_says_nothing(cell):
    assert read("2025-01-01", cell) == ["2025-01-01T00:00:00", None]


def test_one_late_date_tells_day_from_month_in_all():
    assert read("01/02/2025 00:00", "13/02/2025 00:00") == ["2025-02-01T00:00:00", "2025-02-13T00:00:00"]
    assert read("02/01/2025 00:00", "02/13/2025 00:00") == ["2025-02-01T00:00:00", "2025-02-13T00:00:00"]


def test_where_all_days_are_early_the_one_reading_is_taken_in_which_they_follow_each_other():
    assert read("03/01/2025", "04/01/2025") == ["2025-01-03T00:00:00", "2025-01-04T00:00:00"]
    assert read("01/03/2025", "01/04/2025") == ["2025-01-03T00:00:00", "2025-01-04T00:00:00"]


def test_a_date_that_can_be_read_in_two_ways_is_asked_about():
    with pytest.raises(SettingError, match=r"time\.format = 1/2/2025: can be read in two ways"):
        read("01/02/2025 00:00")
    assert read("05/05/2025") == ["2025-05-05T00:00:00"]


@pytest.mark.parametrize(
    ("form", "cell", "says"),
    [
        ("%d/%m/%Y %H:%M", "01/02/2025 0:15", "2025-02-01T00:15:00"),
        ("%d/%m/%Y %H:%M", "01/02/2025 24:00", "2025-02-02T00:00:00"),
        ("%Y-%m-%dT%H:%M%z", "2025-02-01T00:15+0100", "2025-01-31T23:15:00Z"),
        ("%Y%m%d%H%M", "202502010015", "2025-02-01T00:15:00"),
        ("%b %d %Y %H:%M", "Feb 01 2025 00:15", "2025-02-01T00:15:00"),
        ("%d/%m/%Y", "01/02/2025", "2025-02-01T00:00:00"),
        ("%d/%m/%Y %H:%M", "2025-02-01 00:15", None),
        ("%d/%m/%Y %H:%M", "01/02/2025", None),
        ("hour", "24", "1970-01-02T00:00:00"),
        ("hour", "25", None),
        ("hour", "²", None),
    ],
)
def test_a_form_somebody_wrote_is_kept_to(form, cell, says):
    assert read(cell, form=form) == [says]


@given(st.lists(SECONDS, min_size=1, max_size=30))
def test_what_python_writes_is_read(seconds):
    plain = [(EPOCH + timedelta(seconds=one)).replace(tzinfo=None) for one in seconds]
    written = [at.isoformat() for at in plain]
    assert read(*map(str, plain)) == written
    assert read(*(f"{at:%d/%m/%Y %H:%M:%S}" for at in plain), form="%d/%m/%Y %H:%M:%S") == written
    late = [one for one in seconds if one >= 1e8]
    assert read(*map(str, late)) == [one.replace("+00:00", "Z") for one in map(utc_text, late)]


def utc_text(second):
    return (EPOCH + timedelta(seconds=second)).isoformat()


@given(
    st.lists(st.text(max_size=30), min_size=1, max_size=20), st.sampled_from(["iso", "hour", "%d/%m/%Y %H:%M", "%H"])
)
def test_any_text_is_a_stamp_or_none(cells, form):
    made = column(*cells, form=form)
    assert len(made) == len(cells)
    try:
        rows = len(made.stamps().us)
    except SettingError:
        return
    assert rows == len(cells)


def test_what_is_an_instant_already_is_taken_as_it_is():
    made = StampColumn("iso")
    made.extend(np.array([1_740_787_200_000_000, 5]), np.array([True, False]), is_utc=True)
    stamps = made.stamps()
    assert (stamps.us.tolist(), stamps.known.tolist(), stamps.is_utc.all()) == (
        [1_740_787_200_000_000, 0],
        [True, False],
        True,
    )
