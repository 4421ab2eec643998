"""What the cloud holds of one gateway, in counts and events. A shell over PostgreSQL."""

from typing import LiteralString

import msgspec

from cloud_trainer.database import Connection

# Enough for a person or a check to read; the tables hold the rest.
EVENTS_MAX = 500


class AnomalySeen(msgspec.Struct, frozen=True):
    """One anomaly as the gateway reported it."""

    at_us: int
    since_us: int
    kind: str
    series: str
    sentence: str


class ModelEvent(msgspec.Struct, frozen=True):
    """One model bundle activated, refused or rolled back."""

    at_us: int
    event: str
    release: int | None
    bundle: str | None
    reason: str


class BundleInUse(msgspec.Struct, frozen=True):
    """How often, and since when, decisions rested on a bundle; None is the baseline."""

    bundle: str | None
    first_us: int
    decisions: int


class GatewayReport(msgspec.Struct, frozen=True):
    """The report of one gateway."""

    gateway: str
    records: dict[str, int]
    rows: int
    generations: int
    # of all sweeps, and how often the series that was read most was read
    first_us: int | None
    last_us: int | None
    polls: int
    anomalies: list[AnomalySeen]
    model_events: list[ModelEvent]
    decisions: list[BundleInUse]


_ANOMALIES: LiteralString = """
SELECT instant_us(occurred_at), instant_us(since_at), kind, series, sentence
FROM anomaly WHERE gateway_id = %s ORDER BY occurred_at, sequence LIMIT %s
"""
_MODEL_EVENTS: LiteralString = """
SELECT instant_us(occurred_at), event, release, bundle, reason
FROM model_report WHERE gateway_id = %s ORDER BY occurred_at, sequence LIMIT %s
"""
_DECISIONS: LiteralString = """
SELECT bundle, instant_us(min(occurred_at)), count(*)
FROM decision WHERE gateway_id = %s GROUP BY bundle ORDER BY 2
"""


def report(connection: Connection, gateway: str) -> GatewayReport:
    """Read the report of `gateway`.

    Raises:
        psycopg.Error: the database does not answer, or is not ours.
    """
    records = connection.execute(
        "SELECT kind, count(*) FROM record WHERE gateway_id = %s GROUP BY kind ORDER BY kind", (gateway,)
    ).fetchall()
    totals = connection.execute(
        "SELECT (SELECT count(*) FROM reading WHERE gateway_id = %(gateway)s),"
        " (SELECT count(DISTINCT generation) FROM record WHERE gateway_id = %(gateway)s),"
        " (SELECT instant_us(min(first_at)) FROM reading WHERE gateway_id = %(gateway)s),"
        " (SELECT instant_us(max(last_at)) FROM reading WHERE gateway_id = %(gateway)s),"
        " (SELECT coalesce(max(polls), 0)::bigint FROM (SELECT sum(count) AS polls FROM reading"
        "  WHERE gateway_id = %(gateway)s GROUP BY meter, measurand))",
        {"gateway": gateway},
    ).fetchone()
    assert totals is not None
    return GatewayReport(
        gateway=gateway,
        records=dict(records),
        rows=totals[0],
        generations=totals[1],
        first_us=totals[2],
        last_us=totals[3],
        polls=totals[4],
        anomalies=[AnomalySeen(*row) for row in connection.execute(_ANOMALIES, (gateway, EVENTS_MAX))],
        model_events=[ModelEvent(*row) for row in connection.execute(_MODEL_EVENTS, (gateway, EVENTS_MAX))],
        decisions=[BundleInUse(*row) for row in connection.execute(_DECISIONS, (gateway,))],
    )
