from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_trainer.sources.mapping import form_of_options
from cloud_trainer.sources.stamps import StampColumn
from cloud_trainer.sources.timeline import timeline
from firmware_bridge.errors import SettingError

HOURLY = form_of_options(time="at", value="x", cadence="1h")
BERLIN = replace(HOURLY, zone=ZoneInfo("Europe/Berlin"), zone_is_named=True)


def told(cells, form=HOURLY):
    """When each row begins, as it is written in UTC, which rows they are, and the findings by name."""
    stamps = StampColumn(form.time_format)
    for cell in cells:
        stamps.add(cell)
    lines = timeline(stamps.stamps(), form)
    begins = [f"{datetime.fromtimestamp(us // 1_000_000, UTC):%d %H:%M}" for us in lines.us.tolist()]
    return begins, lines.row.tolist(), [(one.check, one.severity) for one in lines.findings]


def test_stamps_name_the_beginning_unless_somebody_says_the_end():
    cells = ["2025-03-01 01:00", "2025-03-01 02:00"]
    assert told(cells) == (["01 01:00", "01 02:00"], [0, 1], [])
    assert told(cells, replace(HOURLY, stamps="end")) == (["01 00:00", "01 01:00"], [0, 1], [])


def test_rows_without_a_time_are_left_out():
    assert told(["2025-03-01 01:00", "total", "2025-03-01 02:00"])[1] == [0, 2]


def test_a_column_without_any_time_is_refused():
    with pytest.raises(SettingError, match="holds no stamps"):
        told(["a", "b"])
    with pytest.raises(SettingError, match="says no date"):
        told(["1", "2"], replace(HOURLY, time_format="hour"))


def test_a_file_with_its_newest_rows_first_is_turned_round():
    cells = ["2025-03-01 02:00", "2025-03-01 01:00", "2025-03-01 00:00"]
    assert told(cells) == (["01 00:00", "01 01:00", "01 02:00"], [2, 1, 0], [("clock_steps", "note")])


def test_a_clock_that_was_set_back_is_told():
    cells = [f"2025-03-01 {hour:02d}:00" for hour in (0, 1, 2, 3, 1, 2, 3, 4)]
    begins, rows, findings = told(cells)
    assert (len(begins), rows, findings) == (8, list(range(8)), [("clock_steps", "warning")])


class TestMidnightsWithTheOldDate:
    CELLS = ("2025-03-01 22:00", "2025-03-01 23:00", "2025-03-01 00:00", "2025-03-02 01:00")

    def test_end_the_day_they_name(self):
        begins, _, findings = told(self.CELLS)
        assert begins == ["01 21:00", "01 22:00", "01 23:00", "02 00:00"]
        assert findings == [("clock_steps", "note")]

    def test_at_the_end_of_a_file_too(self):
        assert told(self.CELLS[:3])[0] == ["01 21:00", "01 22:00", "01 23:00"]

    def test_are_no_day_that_was_written_twice(self):
        twice = [*self.CELLS[:3], "2025-03-01 01:00"]
        assert told(twice)[2] == [("clock_steps", "warning")]


class TestWallClocksThatChange:
    def test_are_followed_when_the_zone_is_known(self):
        night = ["2025-10-26 01:00", "2025-10-26 02:00", "2025-10-26 02:00", "2025-10-26 03:00"]
        begins, _, findings = told(night, BERLIN)
        assert begins == ["25 23:00", "26 00:00", "26 01:00", "26 02:00"]
        assert findings == [("duplicated_hours", "note")]

    def test_leave_out_what_cannot_be_told(self):
        begins, rows, findings = told(["2025-10-26 01:00", "2025-10-26 02:00", "2025-10-26 03:00"], BERLIN)
        assert (begins, rows) == (["25 23:00", "26 02:00"], [0, 2])
        assert findings == [("duplicated_hours", "warning")]

    def test_are_contradicted_by_an_hour_that_never_was(self):
        _, rows, findings = told(["2025-03-30 01:00", "2025-03-30 02:30", "2025-03-30 04:00"], BERLIN)
        assert (rows, findings) == ([0, 2], [("missing_hours", "error")])

    def test_do_not_touch_stamps_that_say_their_offset(self):
        cells = ["2025-10-26T02:00+02:00", "2025-10-26T02:00+01:00", "2025-10-26 03:00"]
        assert told(cells, BERLIN) == (["26 00:00", "26 01:00", "26 02:00"], [0, 1, 2], [])


class TestCountingFromTheFirstRow:
    FORM = replace(HOURLY, time_format="hour", rebuild_from="2025-03-01T23:00")

    def test_believes_the_times_of_day_alone(self):
        assert told(["23", "24", "1"], self.FORM) == (["01 23:00", "02 00:00", "02 01:00"], [0, 1, 2], [])

    def test_keeps_the_place_of_a_row_whose_time_is_unreadable(self):
        assert told(["23", "?", "1"], self.FORM)[0] == ["01 23:00", "02 00:00", "02 01:00"]

    def test_tells_a_row_that_does_not_fit(self):
        assert told(["23", "1", "2"], self.FORM)[2] == [("clock_steps", "error")]

    def test_asks_for_a_time_to_begin_with(self):
        with pytest.raises(SettingError, match="rebuild_from"):
            told(["23"], replace(self.FORM, rebuild_from="soon"))
