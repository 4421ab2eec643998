"""What the cloud holds of one gateway, in counts and events. A shell over PostgreSQL."""

from typing import LiteralString

import msgspec

from cloud_trainer.database import Connection, OwnedGateway

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


_RECORDS: LiteralString = """
SELECT kind, count(*) FROM record WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
GROUP BY kind ORDER BY kind
"""
_TOTALS: LiteralString = """
WITH owned AS MATERIALIZED (SELECT gateway_of(%(organisation)s, %(gateway)s) AS gateway_id),
of_series AS (
    SELECT count(*) AS rows, min(first_at) AS first_at, max(last_at) AS last_at, sum(count)::bigint AS polls
    FROM reading JOIN owned USING (gateway_id) GROUP BY meter, measurand
)
SELECT coalesce(sum(rows), 0)::bigint, (SELECT count(*) FROM generation JOIN owned USING (gateway_id)),
       instant_us(min(first_at)), instant_us(max(last_at)), coalesce(max(polls), 0)
FROM of_series
"""
_ANOMALIES: LiteralString = """
SELECT instant_us(occurred_at), instant_us(since_at), kind, series, sentence
FROM anomaly WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
ORDER BY occurred_at, sequence LIMIT %(most)s
"""
_MODEL_EVENTS: LiteralString = """
SELECT instant_us(occurred_at), event, release, bundle, reason
FROM model_report WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
ORDER BY occurred_at, sequence LIMIT %(most)s
"""
_DECISIONS: LiteralString = """
SELECT bundle, instant_us(min(occurred_at)), count(*)
FROM decision WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
GROUP BY bundle ORDER BY 2
"""


def report(connection: Connection, gateway: OwnedGateway) -> GatewayReport:
    """Read the report of `gateway`.

    Raises:
        psycopg.Error: the database does not answer, or is not ours.
    """
    whose = gateway._asdict() | {"most": EVENTS_MAX}
    totals = connection.execute(_TOTALS, whose).fetchone()
    assert totals is not None
    return GatewayReport(
        gateway=gateway.gateway,
        records=dict(connection.execute(_RECORDS, whose).fetchall()),
        rows=totals[0],
        generations=totals[1],
        first_us=totals[2],
        last_us=totals[3],
        polls=totals[4],
        anomalies=[AnomalySeen(*row) for row in connection.execute(_ANOMALIES, whose)],
        model_events=[ModelEvent(*row) for row in connection.execute(_MODEL_EVENTS, whose)],
        decisions=[BundleInUse(*row) for row in connection.execute(_DECISIONS, whose)],
    )
