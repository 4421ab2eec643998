import numpy as np
import pytest

from gateway.contract.forecast_spec import ENERGY, LOAD, energy_spec
from gateway.core.under_way import ISSUE_EVERY_US, SavedIssues, UnderWay, UnderWayError, from_bytes, steps_of

START_US = 1_704_067_200_000_000
STEP_US = LOAD.step_us
SAID = np.arange(LOAD.rows, dtype=np.float64)[:, np.newaxis]


def hour(values: list[float]) -> list[tuple[int, float]]:
    return [(START_US + i * STEP_US, value) for i, value in enumerate(values)]


def test_each_step_tells_what_was_said_of_it():
    issues = UnderWay(LOAD, 1)
    issues.add(START_US, SAID)
    assert issues.observe(START_US - STEP_US, 5.0).rows.size == 0
    told = issues.observe(START_US + 3 * STEP_US, 5.0)
    assert (told.rows.tolist(), told.said_w.tolist(), told.came_w.tolist()) == ([3], [[3.0]], [5.0])


def test_a_step_is_told_once_and_what_is_not_known_not_at_all():
    issues = UnderWay(LOAD, 1)
    issues.add(START_US, SAID)
    assert issues.observe(START_US, np.nan).rows.size == 0
    assert issues.observe(START_US, 1.0).rows.size == 1
    assert issues.observe(START_US, 2.0).rows.size == 0


def test_the_peak_is_told_when_every_step_is_known():
    issues = UnderWay(LOAD, 1)
    issues.add(START_US, SAID)
    values = [3.0] * 5 + [9.0] + [4.0] * 6
    told = [issues.observe(at_us, value) for at_us, value in hour(values)]
    assert [one.rows.tolist() for one in told] == [[i] for i in range(11)] + [[11, 12]]
    assert told[-1].came_w.tolist() == [4.0, 9.0]
    assert told[-1].said_w[-1] == LOAD.rows - 1


def test_the_peak_of_an_hour_with_a_gap_is_not_known():
    issues = UnderWay(LOAD, 1)
    issues.add(START_US, SAID)
    told = [issues.observe(at_us, value) for at_us, value in hour([1.0] * 4 + [np.nan] + [1.0] * 7)]
    assert [one.rows.tolist() for one in told][-1] == [11]


def test_one_issue_an_hour_is_wanted():
    issues = UnderWay(ENERGY, 1)
    assert issues.wants(START_US)
    issues.add(START_US, np.zeros((96, 1)))
    assert not issues.wants(START_US)
    assert not issues.wants(START_US + ISSUE_EVERY_US - 1)
    assert issues.wants(START_US + ISSUE_EVERY_US)


def test_a_clock_that_was_set_back_begins_anew():
    issues = UnderWay(ENERGY, 1)
    issues.add(START_US, np.zeros((96, 1)))
    assert issues.wants(START_US - ISSUE_EVERY_US)
    assert issues.observe(START_US, 1.0).rows.size == 0


def test_no_more_issues_are_held_than_a_horizon_has_hours():
    issues = UnderWay(ENERGY, 3)
    for number in range(100):
        issues.add(START_US + number * ISSUE_EVERY_US, np.zeros((96, 3)))
    assert len(issues.save().start_us) == 8 * 24


def test_what_was_saved_goes_on_as_if_nothing_had_been():
    issues = UnderWay(LOAD, 1)
    issues.add(START_US, SAID)
    issues.observe(START_US, 7.0)
    again = UnderWay.restore(issues.save(), LOAD, 1)
    assert again.save() == issues.save()
    for at_us, value in hour([7.0] * 12):
        for one, other in zip(issues.observe(at_us, value), again.observe(at_us, value), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "saved",
    [
        SavedIssues(b"\0" * 8, b"", b""),
        SavedIssues(b"\0" * 7, b"", b""),
        SavedIssues(b"\0" * 16, b"\0" * (2 * 4 * 13), b"\0" * (2 * 4 * 12)),
    ],
    ids=["no steps", "half a number", "two at once"],
)
def test_what_cannot_be_issues_is_refused(saved: SavedIssues):
    with pytest.raises(UnderWayError):
        UnderWay.restore(saved, LOAD, 1)


def test_an_array_of_another_size_is_refused():
    with pytest.raises(UnderWayError, match="4 bytes where 8 are meant"):
        from_bytes(b"\0" * 4, "<i8", (1,))


def test_issues_that_overlap_have_each_step_once():
    spec = energy_spec(3_600_000_000, 3)
    issued_us = START_US + np.array([0, 1, 5]) * spec.step_us
    steps = steps_of(spec, np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]), issued_us)
    assert ((steps.start_us - START_US) // spec.step_us).tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert steps.came_w.tolist() == [0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0]
