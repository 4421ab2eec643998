"""What an export holds of each table: columns for people, without what only we count by. Pure."""

from dataclasses import dataclass
from typing import LiteralString


@dataclass(frozen=True, slots=True)
class Table:
    """A file of the export: its name, its columns, and the statement that gives them."""

    name: str
    columns: tuple[str, ...]
    select: LiteralString


LIST_MONTHS: LiteralString = """
SELECT DISTINCT gateway_id, date_trunc('month', period_start, 'UTC')
FROM block JOIN generation USING (generation_id) JOIN gateway USING (gateway_id)
WHERE organisation_id = %(organisation)s AND site_id = %(site)s
ORDER BY 1, 2
"""

READINGS = Table(
    "readings",
    (
        *("gateway_id", "meter", "measurand", "period_start", "period_s", "first_at", "last_at"),
        *("mean", "minimum", "maximum", "count", "quality"),
    ),
    """
    SELECT gateway_id, meter, measurand, period_start, period_s, first_at, last_at, mean, minimum, maximum, count,
           quality
    FROM reading JOIN gateway USING (gateway_id)
    WHERE organisation_id = %(organisation)s AND site_id = %(site)s AND gateway_id = %(gateway)s
      AND period_start >= %(month)s AND period_start < %(month)s + interval '1 month'
    ORDER BY period_start, first_at, meter, measurand
    """,
)

RAW = Table(
    "raw",
    ("gateway_id", "reason", "meter", "measurand", "at", "value", "quality"),
    """
    SELECT gateway_id, recorded_at, body FROM raw_window JOIN gateway USING (gateway_id)
    WHERE organisation_id = %(organisation)s AND site_id = %(site)s
    ORDER BY gateway_id, start_at, sequence
    """,
)

TABLES = (
    Table(
        "forecasts",
        (
            *("gateway_id", "issued_at", "recorded_at", "kind", "target", "rung", "bundle", "start_at", "step_s"),
            *("p10_w", "p50_w", "p90_w", "p95_w", "peak_w"),
        ),
        """
        SELECT gateway_id, issued_at, recorded_at, kind, target, rung, bundle, start_at, step_s, to_json(p10),
               to_json(p50), to_json(p90), to_json(p95), to_json(peak)
        FROM forecast JOIN gateway USING (gateway_id)
        WHERE organisation_id = %(organisation)s AND site_id = %(site)s
        ORDER BY gateway_id, issued_at, sequence
        """,
    ),
    Table(
        "anomalies",
        (
            *("gateway_id", "occurred_at", "recorded_at", "kind", "series", "since_at"),
            *("observed", "expected_low", "expected_high", "sentence"),
        ),
        """
        SELECT gateway_id, occurred_at, recorded_at, kind, series, since_at, observed, expected_low, expected_high,
               sentence
        FROM anomaly JOIN gateway USING (gateway_id)
        WHERE organisation_id = %(organisation)s AND site_id = %(site)s
        ORDER BY gateway_id, occurred_at, sequence
        """,
    ),
    Table(
        "decisions",
        (
            *("gateway_id", "occurred_at", "recorded_at", "verdict", "sentence", "rung", "bundle"),
            *("energy_next_day_wh", "peak_next_day_w", "anomalies_active"),
        ),
        """
        SELECT gateway_id, occurred_at, recorded_at, verdict, sentence, rung, bundle, energy_next_day_wh,
               peak_next_day_w, anomalies_active
        FROM decision JOIN gateway USING (gateway_id)
        WHERE organisation_id = %(organisation)s AND site_id = %(site)s
        ORDER BY gateway_id, occurred_at, sequence
        """,
    ),
    Table(
        "status",
        ("gateway_id", "occurred_at", "recorded_at", "event", "software", "detail"),
        """
        SELECT gateway_id, occurred_at, recorded_at, event, status.software, detail
        FROM status JOIN gateway USING (gateway_id)
        WHERE organisation_id = %(organisation)s AND site_id = %(site)s
        ORDER BY gateway_id, occurred_at, sequence
        """,
    ),
    Table(
        "model_reports",
        ("gateway_id", "occurred_at", "recorded_at", "event", "release", "bundle", "reason"),
        """
        SELECT gateway_id, occurred_at, recorded_at, event, release, bundle, reason
        FROM model_report JOIN gateway USING (gateway_id)
        WHERE organisation_id = %(organisation)s AND site_id = %(site)s
        ORDER BY gateway_id, occurred_at, sequence
        """,
    ),
)

# What came and could not be read is the site's all the same.
UNDECODABLE = Table(
    "undecodable",
    ("gateway_id", "recorded_at", "received_at", "body_hex"),
    """
    SELECT gateway_id, recorded_at, received_at, encode(body, 'hex')
    FROM record JOIN gateway USING (gateway_id)
    WHERE organisation_id = %(organisation)s AND site_id = %(site)s AND body IS NOT NULL
    ORDER BY gateway_id, received_at, sequence
    """,
)
