from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.audit import Audit, Generation, Rows, audit, compare, overlapping
from cloud_trainer.database import OwnedGateway
from cloud_trainer.simulator_log import LoggedSeries
from firmware_bridge.reading import Quality
from tests.sim.audited_site import fill
from tests.sim.cloud_records import GATEWAY, POLL_US

POWER = ("grid", "active_power_w")
POLL_S = POLL_US / 1e6
OWNED = OwnedGateway("default", GATEWAY)
SOLAR = "(SELECT series_id FROM series WHERE meter = 'solar')"


def rows(
    first: list[int], last: list[int], of: Callable[[int, int], list[float]], quality: Quality = Quality.GOOD
) -> Rows:
    """Rows that cover the ticks `first..last`, with the statistics of the values that `of` gives for them."""
    values = [of(a, b) for a, b in zip(first, last, strict=True)]
    statistic = {
        "mean": [float(np.mean(v)) if v else np.nan for v in values],
        "minimum": [min(v, default=np.nan) for v in values],
        "maximum": [max(v, default=np.nan) for v in values],
    }
    return Rows(
        np.array(first, dtype=np.int64) * POLL_US,
        np.array(last, dtype=np.int64) * POLL_US,
        np.array([len(v) for v in values], dtype=np.int64),
        {column: np.array(v, dtype=np.float64) for column, v in statistic.items()},
        np.full(len(values), quality, dtype=np.int64),
    )


def logged(values: dict[int, float], first: dict[int, float] | None = None) -> LoggedSeries:
    ticks = sorted(values)
    last = np.array([values[tick] for tick in ticks], dtype=np.float64)
    earlier = np.array([(first or values).get(tick, values[tick]) for tick in ticks], dtype=np.float64)
    return LoggedSeries(np.array(ticks, dtype=np.int64), earlier, last)


VALUES = st.dictionaries(st.integers(0, 30), st.floats(-1e4, 1e4), max_size=25)
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), min_size=1, max_size=8)


@given(values=VALUES, spans=SPANS)
def test_rows_made_of_the_log_fit_it(values: dict[int, float], spans: list[tuple[int, int]]) -> None:
    stored = rows(
        [first for first, _ in spans],
        [first + more for first, more in spans],
        lambda a, b: [values[tick] for tick in range(a, b + 1) if tick in values],
    )
    assert compare(POWER, stored, logged(values), POLL_US) == ([], 0)


@given(values=VALUES.filter(bool), data=st.data())
def test_a_row_with_one_value_off_does_not_fit(values: dict[int, float], data: st.DataObject) -> None:
    ticks = sorted(values)
    stored = rows(ticks, ticks, lambda a, _: [values[a]])
    row = data.draw(st.integers(0, len(ticks) - 1))
    column = data.draw(st.sampled_from(("mean", "minimum", "maximum")))
    stored.statistics[column][row] += data.draw(st.sampled_from((-0.3, 0.3)))
    ((found,), _) = compare(POWER, stored, logged(values), POLL_US)
    assert (found.first_us, found.column) == (ticks[row] * POLL_US, column)
    assert found.logged == values[ticks[row]]


def test_a_difference_within_the_resolution_fits() -> None:
    stored = rows([1], [1], lambda *_: [100.04])
    assert compare(POWER, stored, logged({1: 100.0}), POLL_US) == ([], 0)


@given(values=st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=8), data=st.data())
def test_a_suspect_row_may_leave_out_what_was_not_believed_and_only_that(values: list[float], data: st.DataObject):
    given_out = logged(dict(enumerate(values)))
    kept = data.draw(st.lists(st.sampled_from(range(len(values))), min_size=1, max_size=len(values) - 1, unique=True))
    last = len(values) - 1
    suspect = rows([0], [last], lambda *_: [values[place] for place in kept], Quality.SUSPECT)
    assert compare(POWER, suspect, given_out, POLL_US) == ([], len(values) - len(kept))
    good = rows([0], [last], lambda *_: [values[place] for place in kept])
    assert len(compare(POWER, good, given_out, POLL_US)[0]) == 1
    suspect.statistics["maximum"][0] += 30_000
    assert len(compare(POWER, suspect, given_out, POLL_US)[0]) == 1


def test_a_value_where_none_was_given_out_does_not_fit() -> None:
    ((found,), _) = compare(POWER, rows([1], [1], lambda *_: [5.0]), logged({}), POLL_US)
    assert (found.column, found.stored, found.logged) == ("count", 1.0, 0.0)


@pytest.mark.parametrize(("value", "fits"), [(1.0, True), (2.0, True), (1.5, False)])
def test_a_tick_answered_twice_fits_its_first_or_its_last_answer(value: float, *, fits: bool) -> None:
    found, _ = compare(POWER, rows([7], [7], lambda *_: [value]), logged({7: 2.0}, first={7: 1.0}), POLL_US)
    assert (found == []) == fits


def test_ticks_in_two_rows_are_found() -> None:
    stored = rows([1, 6, 10, 11], [5, 10, 12, 11], lambda *_: [])
    assert overlapping(stored).tolist() == [2, 3]


@pytest.mark.parametrize(
    ("stretches", "is_gapless"),
    [
        ([(1, 4, 4)], True),
        ([(1, 4, 3)], False),
        ([(2, 4, 3)], False),
        ([(5, 9, 5), (1, 4, 4)], True),
        ([(1, 4, 4), (6, 9, 4)], False),
        # an old copy of the store was put back: what was sent since is there twice, by other names
        ([(1, 9, 9), (4, 12, 9)], True),
        ([], False),
    ],
)
def test_generations_are_stretches_of_one_count(stretches: list[tuple[int, int, int]], *, is_gapless: bool) -> None:
    generations = [Generation(str(i), records, first, last) for i, (first, last, records) in enumerate(stretches)]
    assert Audit(GATEWAY, generations, {}, 0).is_gapless == is_gapless


@pytest.fixture
async def audited(dsn: str, gateways: None, tmp_path: Path) -> Callable[[], Audit]:
    """A database and a log that agree; the result of an audit when called."""
    log = await fill(dsn, tmp_path)

    def run() -> Audit:
        with psycopg.connect(dsn) as connection:
            return audit(connection, OWNED, log, POLL_S)

    return run


def plant(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(statement.encode())


@pytest.mark.slow
@pytest.mark.pg
class TestOnTheDatabase:
    def test_what_agrees_passes(self, audited: Callable[[], Audit]) -> None:
        result = audited()
        assert result.passed
        assert (result.rows, result.values, result.values_logged, result.records) == (8, 40, 40, {"readings": 4})

    def test_another_organisation_finds_nothing_to_audit(
        self, audited: Callable[[], Audit], dsn: str, tmp_path: Path
    ) -> None:
        assert audited().passed
        with psycopg.connect(dsn) as connection:
            found = audit(connection, OwnedGateway("other", GATEWAY), tmp_path / "log", POLL_S)
        assert (found.generations, found.rows) == ([], 0)

    @pytest.mark.parametrize(
        ("statement", "field", "number"),
        [
            (f"UPDATE reading_row SET mean = mean + 1 WHERE sequence = 2 AND series_id = {SOLAR}", "mismatches", 1),
            ("UPDATE reading_row SET minimum = minimum - 1 WHERE sequence = 2", "mismatches", 2),
            ("UPDATE reading_row SET count = count + 1 WHERE sequence = 3", "mismatches", 2),
            (f"UPDATE reading_row SET mean = NULL WHERE sequence = 3 AND series_id = {SOLAR}", "mismatches", 1),
            ("DELETE FROM reading_row WHERE sequence = 4", "unexpanded", 1),
            ("INSERT INTO reading_row SELECT * FROM reading_row", "twice", 8),
        ],
        ids=["mean", "minimum", "count", "value missing", "rows missing", "rows twice"],
    )
    def test_each_kind_of_wrong_row_is_found(
        self, audited: Callable[[], Audit], dsn: str, statement: str, field: str, number: int
    ) -> None:
        plant(dsn, statement)
        result = audited()
        assert not result.passed
        assert getattr(result, field) == number

    @pytest.mark.parametrize("sequence", [1, 2])
    def test_a_record_that_is_missing_is_a_gap(self, audited: Callable[[], Audit], dsn: str, sequence: int) -> None:
        plant(dsn, f"DELETE FROM record WHERE sequence = {sequence}")
        plant(dsn, f"DELETE FROM reading_row WHERE sequence = {sequence}")
        result = audited()
        assert not result.is_gapless
        assert not result.passed
        assert result.mismatches == 0

    def test_a_record_kept_undecoded_fails_the_audit(self, audited: Callable[[], Audit], dsn: str) -> None:
        plant(dsn, "UPDATE record SET kind = 'undecodable', body = '' WHERE sequence = 4")
        assert not audited().passed

    def test_an_empty_database_fails(self, dsn: str, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("")
        with psycopg.connect(dsn) as connection:
            assert not audit(connection, OWNED, tmp_path / "log", POLL_S).passed
