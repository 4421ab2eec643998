"""Is what the cloud holds what the meters gave out? Rows of PostgreSQL against a simulator's log. A shell.

Every row of `reading` says which ticks it covers; the log says what was given out in each. Count must
be equal; mean, minimum and maximum within the resolution in which the measurand is stored. Sequences
must run from 1 without a gap, which takes a gateway that shares all it records; every record be expanded,
and no tick stand in two rows of a series.

Where a tick has two answers in the log, a row is right when it fits the last answers or the first. A row
that the gateway calls suspect may leave out values it did not believe: it is right when it is made of the
others, and those left out are counted.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import msgspec
import numpy as np
from numpy.typing import NDArray

from cloud_trainer.database import Connection, OwnedGateway
from cloud_trainer.ingest.entry import UNDECODABLE
from cloud_trainer.simulator_log import F64, I64, LoggedSeries, SeriesName, read_log
from cloud_trainer.suspects import is_all_but_some
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, Quality

# Enough to see what kind of error it is; the rest is counted.
EXAMPLES_MAX = 10
# A float32 register carries 24 bits; what is summed up from them agrees to a millionth.
RELATIVE_TOLERANCE = 1e-6

_GENERATIONS: LiteralString = """
SELECT generation::text, count(*), min(sequence), max(sequence)
FROM record WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
GROUP BY generation ORDER BY min(received_at)
"""
_KINDS: LiteralString = """
SELECT kind, count(*) FROM record WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
GROUP BY kind ORDER BY kind
"""
_EXPANDED: LiteralString = """
WITH owned AS MATERIALIZED (SELECT gateway_of(%(organisation)s, %(gateway)s) AS gateway_id)
SELECT 'readings', count(DISTINCT (generation, sequence)) FROM reading JOIN owned USING (gateway_id)
UNION ALL SELECT 'raw', count(*) FROM raw_window JOIN owned USING (gateway_id)
UNION ALL SELECT 'forecast', count(*) FROM forecast JOIN owned USING (gateway_id)
UNION ALL SELECT 'anomaly', count(*) FROM anomaly JOIN owned USING (gateway_id)
UNION ALL SELECT 'decision', count(*) FROM decision JOIN owned USING (gateway_id)
UNION ALL SELECT 'model_report', count(*) FROM model_report JOIN owned USING (gateway_id)
UNION ALL SELECT 'status', count(*) FROM status JOIN owned USING (gateway_id)
"""
_ROWS: LiteralString = """
SELECT meter, measurand, instant_us(first_at), instant_us(last_at), count, quality, mean, minimum, maximum
FROM reading WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
ORDER BY first_at, sequence
"""

_NOTHING = LoggedSeries(np.empty(0, np.int64), np.empty(0), np.empty(0))


class Mismatch(msgspec.Struct, frozen=True):
    """One row that is not what was given out: in which column, what stands there and what should."""

    meter: str
    measurand: str
    first_us: int
    column: str
    stored: float | None
    logged: float | None


class Generation(msgspec.Struct, frozen=True):
    """The sequences of one life of a gateway's store: a stretch of the gateway's one count."""

    generation: str
    records: int
    first: int
    last: int

    @property
    def is_gapless(self) -> bool:
        """Without a gap in itself; the key forbids a sequence to stand twice."""
        return self.last - self.first + 1 == self.records


@dataclass(frozen=True, slots=True)
class Stored:
    """What PostgreSQL holds of one gateway."""

    generations: list[Generation]
    records: dict[str, int]
    unexpanded: int
    readings: "dict[SeriesName, Rows]"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one series, `[row]`, by first tick; NaN where nothing was measured."""

    first_us: I64
    last_us: I64
    count: I64
    statistics: dict[str, F64]
    quality: I64


@dataclass(slots=True)
class Audit:
    """The result; `passed` only when nothing at all is wrong."""

    gateway: str
    generations: list[Generation]
    records: dict[str, int]
    unexpanded: int
    rows: int = 0
    values: int = 0
    values_logged: int = 0
    # values of suspect rows that the gateway did not believe
    left_out: int = 0
    mismatches: int = 0
    twice: int = 0
    examples: list[Mismatch] = field(default_factory=list)

    @property
    def is_gapless(self) -> bool:
        """Whether there are records, from 1 on without a gap: each generation in itself, and from one to the next."""
        reach = 0
        for generation in sorted(self.generations, key=lambda one: one.first):
            if not generation.is_gapless or generation.first > reach + 1:
                return False
            reach = max(reach, generation.last)
        return reach > 0

    @property
    def passed(self) -> bool:
        """Whether the cloud holds exactly what was given out."""
        wrong = self.mismatches + self.twice + self.unexpanded + self.records.get(UNDECODABLE, 0)
        return self.is_gapless and self.values > 0 and not wrong


def audit(connection: Connection, gateway: OwnedGateway, log: Path, poll_s: float) -> Audit:
    """Compare what the database holds of `gateway` with the log at `log`.

    Raises:
        SettingError: the log cannot be read.
    """
    poll_us = round(poll_s * US_PER_S)
    logged = read_log(log, poll_us)
    stored = _read_stored(connection, gateway)
    result = Audit(gateway.gateway, stored.generations, stored.records, stored.unexpanded)
    result.values_logged = sum(len(logged[name].ticks) for name in stored.readings if name in logged)
    for name, rows in stored.readings.items():
        found, left_out = compare(name, rows, logged.get(name, _NOTHING), poll_us)
        twice = overlapping(rows)
        result.rows += len(rows.count)
        result.values += int(rows.count.sum())
        result.mismatches += len(found)
        result.left_out += left_out
        result.twice += len(twice)
        result.examples += found[:EXAMPLES_MAX]
        result.examples += [Mismatch(*name, int(rows.first_us[row]), "ticks", None, None) for row in twice[:2]]
    del result.examples[EXAMPLES_MAX:]
    return result


def compare(name: SeriesName, rows: Rows, logged: LoggedSeries, poll_us: int) -> tuple[list[Mismatch], int]:
    """The rows that fit neither the last nor the first answers of their ticks; how many values suspect ones lack."""
    low = np.searchsorted(logged.ticks, rows.first_us // poll_us, side="left")
    high = np.searchsorted(logged.ticks, rows.last_us // poll_us, side="right")
    expected = {"count": (high - low).astype(np.float64)}
    wrong = {"count": rows.count != high - low}
    if (logged.first != logged.last).any():
        fits_first = ~_any(_differs(name, rows, _statistics(logged.first, low, high)))
    else:
        fits_first = np.zeros(len(low), dtype=bool)
    of_last = _statistics(logged.last, low, high)
    wrong |= {column: bad & ~fits_first for column, bad in _differs(name, rows, of_last).items()}
    expected |= of_last
    stored = {"count": rows.count.astype(np.float64)} | rows.statistics
    mismatches, left_out = [], 0
    for row in np.flatnonzero(_any(wrong)).tolist():
        part = slice(int(low[row]), int(high[row]))
        if rows.quality[row] == Quality.SUSPECT and any(
            _leaves_out_some(name, rows, row, answers[part]) for answers in (logged.last, logged.first)
        ):
            left_out += int(high[row] - low[row] - rows.count[row])
        else:
            mismatches.append(_mismatch(name, rows, row, wrong, stored, expected))
    return mismatches, left_out


def _leaves_out_some(name: SeriesName, rows: Rows, row: int, answers: F64) -> bool:
    statistics = {column: float(values[row]) for column, values in rows.statistics.items()}
    resolution = Measurand(name[1]).facts.resolution
    return is_all_but_some(answers, int(rows.count[row]), statistics, rtol=RELATIVE_TOLERANCE, atol=resolution)


def overlapping(rows: Rows) -> NDArray[np.intp]:
    """The rows that begin before an earlier one has ended: ticks stored twice."""
    ended_us = np.maximum.accumulate(rows.last_us)
    return np.flatnonzero(rows.first_us[1:] <= ended_us[:-1]) + 1


def _statistics(values: F64, low: I64, high: I64) -> dict[str, F64]:
    """Mean, minimum and maximum of `values[low:high]` for each pair; NaN where it is empty."""
    some = high > low
    # reduceat wants pairs inside the array; the element between two pairs' ends is reduced in vain.
    pairs = np.stack([low[some], high[some]], axis=-1).ravel()
    padded = np.append(values, 0.0)

    def reduced(function: np.ufunc) -> F64:
        out = np.full(len(low), np.nan)
        if pairs.size:
            out[some] = function.reduceat(padded, pairs)[::2]
        return out

    return {
        "mean": reduced(np.add) / np.maximum(high - low, 1),
        "minimum": reduced(np.minimum),
        "maximum": reduced(np.maximum),
    }


def _differs(name: SeriesName, rows: Rows, expected: dict[str, F64]) -> dict[str, NDArray[np.bool_]]:
    resolution = Measurand(name[1]).facts.resolution
    return {
        column: ~np.isclose(
            rows.statistics[column], expected[column], rtol=RELATIVE_TOLERANCE, atol=resolution, equal_nan=True
        )
        for column in expected
    }


def _any(columns: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce(list(columns.values())))


def _mismatch(
    name: SeriesName,
    rows: Rows,
    row: int,
    wrong: dict[str, NDArray[np.bool_]],
    stored: dict[str, F64],
    expected: dict[str, F64],
) -> Mismatch:
    column = next(column for column, bad in wrong.items() if bad[row])
    values = (stored[column][row], expected[column][row])
    return Mismatch(
        *name, int(rows.first_us[row]), column, *(None if np.isnan(value) else float(value) for value in values)
    )


def _read_stored(connection: Connection, gateway: OwnedGateway) -> Stored:
    whose = gateway._asdict()
    generations = [Generation(*row) for row in connection.execute(_GENERATIONS, whose)]
    records: dict[str, int] = dict(connection.execute(_KINDS, whose).fetchall())
    expanded = dict(connection.execute(_EXPANDED, whose).fetchall())
    unexpanded = sum(abs(count - expanded[kind]) for kind, count in records.items() if kind != UNDECODABLE)
    return Stored(generations, records, unexpanded, _read_rows(connection, gateway))


def _read_rows(connection: Connection, gateway: OwnedGateway) -> dict[SeriesName, Rows]:
    found = connection.cursor(binary=True).execute(_ROWS, gateway._asdict())
    by_series: dict[SeriesName, list[tuple[object, ...]]] = defaultdict(list)
    for meter, measurand, *row in found:
        by_series[meter, measurand].append(tuple(row))
    return {name: _rows(rows) for name, rows in sorted(by_series.items())}


def _rows(rows: list[tuple[object, ...]]) -> Rows:
    first, last, count, quality, mean, minimum, maximum = zip(*rows, strict=True)
    floats = {"mean": mean, "minimum": minimum, "maximum": maximum}
    return Rows(
        np.array(first, dtype=np.int64),
        np.array(last, dtype=np.int64),
        np.array(count, dtype=np.int64),
        {column: np.array(values, dtype=np.float64) for column, values in floats.items()},
        np.array(quality, dtype=np.int64),
    )
