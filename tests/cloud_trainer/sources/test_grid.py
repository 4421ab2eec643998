from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.sources.grid import grid
from cloud_trainer.sources.mapping import form_of_options
from firmware_bridge.errors import SettingError

FORM = form_of_options(time="at", value="x", cadence="15min")
STEP_US = FORM.cadence_us
# Saturday 29 March 2025 00:00: clocks go forward in Europe a day later
START_US = int(datetime(2025, 3, 29, tzinfo=UTC).timestamp()) * 1_000_000


def gridded(rows, form=FORM, *, by_wall_clock=True):
    """Rows as pairs of step and value, from `START_US` on."""
    us = np.array([START_US + round(step * STEP_US) for step, _ in rows], dtype=np.int64)
    made = grid(us, [np.array([value for _, value in rows], dtype=np.float64)], form, by_wall_clock=by_wall_clock)
    return made.columns[0], made.start_us, [(one.check, one.severity) for one in made.findings]


def test_steps_without_a_row_are_unknown():
    values, start_us, findings = gridded([(1, 5), (2, 6), (4, 7), (5, 8)])
    np.testing.assert_array_equal(values, [5, 6, np.nan, 7, 8])
    assert (start_us, findings) == (START_US + STEP_US, [])


def test_rows_may_come_in_any_order():
    np.testing.assert_array_equal(gridded([(2, 7), (0, 5), (1, 6)])[0], [5, 6, 7])


@given(st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True), st.randoms())
def test_what_is_there_is_at_its_step(steps, random):
    shuffled = sorted(steps)
    random.shuffle(shuffled)
    values, start_us, findings = gridded([(step, step) for step in shuffled], by_wall_clock=False)
    if findings:  # too thin to be of this cadence
        assert findings == [("cadence", "error")]
        return
    there = np.flatnonzero(np.isfinite(values))
    assert (there + (start_us - START_US) // STEP_US).tolist() == sorted(steps)
    assert values[there].tolist() == sorted(steps)


def test_rows_that_come_a_little_early_or_late_are_at_their_step():
    rows = [(0, 1), (1.001, 2), (1.998, 3), (3, 4), (4, 5)]
    np.testing.assert_array_equal(gridded(rows)[0], [1, 2, 3, 4, 5])


def test_rows_that_begin_between_steps_are_read_as_those_they_begin_in():
    values, start_us, findings = gridded([(step + 0.4, step) for step in range(4)])
    np.testing.assert_array_equal(values, [0, 1, 2, 3])
    assert (start_us, findings) == (START_US, [("cadence", "note")])


def test_another_cadence_than_was_said_is_an_error():
    for apart in (0.5, 4):
        _, _, findings = gridded([(step * apart, step) for step in range(20)])
        assert findings == [("cadence", "error")]


def test_a_few_rows_that_repeat_others_are_told_and_an_hour_of_them_is_an_error():
    rows = [(step, step) for step in range(40)]
    values, _, findings = gridded(rows + rows[5:8])
    assert findings == [("duplicated_hours", "warning")]
    assert values.tolist() == list(range(40))
    assert gridded(rows + rows[5:9])[2] == [("duplicated_hours", "error")]


def test_of_rows_that_contradict_each_other_none_is_believed():
    values, _, findings = gridded([(0, 1), (1, 2), (1, 3), (2, 4)])
    np.testing.assert_array_equal(values, [1, np.nan, 4])
    assert findings == [("duplicated_hours", "warning")]


def night_to_sunday(steps):
    """Two days, of which the steps of the night to Sunday from 02:00 on are given, as numbers from there."""
    first = 96 + 8
    return (
        [(step, 1) for step in range(first)]
        + [(first + one, 1) for one in steps]
        + [(first + one, 1) for one in range(4, 80)]
    )


def test_an_hour_that_is_missing_where_clocks_go_forward_asks_for_the_zone():
    assert gridded(night_to_sunday([]))[2] == [("missing_hours", "error")]
    assert gridded(night_to_sunday([]), replace(FORM, zone_is_named=True))[2] == [("missing_hours", "warning")]
    assert gridded(night_to_sunday([]), by_wall_clock=False)[2] == []
    assert gridded(night_to_sunday([0]))[2] == []
    assert gridded([(step + 30, value) for step, value in night_to_sunday([])])[2] == []


def test_an_hour_that_is_there_twice_where_clocks_go_back_asks_for_the_zone():
    made = grid(
        START_US + np.array([*range(96 + 12), *range(96 + 8, 120)]) * STEP_US,
        [np.ones(96 + 12 + 16)],
        FORM,
        by_wall_clock=True,
    )
    assert made.findings[0].check == "duplicated_hours"
    assert "name the site's time zone" in made.findings[0].next_step


def test_stamps_that_are_decades_apart_are_refused_before_they_take_memory():
    form = form_of_options(time="at", value="x", cadence="1s")
    us = START_US + np.array([0, 1_000_000, 2_000_000, 40 * 365 * 86_400_000_000])
    with pytest.raises(SettingError, match="reaches from 29 Mar 2025 to"):
        grid(us, [np.ones(4)], form, by_wall_clock=True)
