"""How good forecasts were: by SQL, over those that were on the gateway's disk before their time. A shell.

The actual is the site's consumption as the cloud holds it: grid minus solar (which is negative while
producing), averaged over each step. A step counts where it stands on at least half of the polls of the
fullest step, as on the gateway. Model and baseline are compared on the same pairs of issue and step.
"""

from typing import LiteralString

import msgspec

from cloud_trainer.database import Connection
from gateway.contract.inputs import STEP_US

BASELINES = ("seasonal_naive", "daily_naive")

_SCORE: LiteralString = """
WITH power AS (  -- [step]: average and polls of each meter
    SELECT meter, date_bin(%(step)s * interval '1 microsecond', period_start, 'epoch') AS start_at,
           sum(mean * count) / sum(count) AS mean_w, sum(count) AS polls
    FROM reading
    WHERE gateway_id = %(gateway)s AND measurand = 'active_power_w' AND meter IN (%(grid)s, %(solar)s)
          AND count > 0
    GROUP BY meter, start_at
), full_enough AS (
    SELECT meter, start_at, mean_w FROM (SELECT *, max(polls) OVER (PARTITION BY meter) AS most FROM power)
    WHERE polls * 2 >= most
), actual AS (
    SELECT start_at, grid.mean_w - coalesce(solar.mean_w, 0) AS consumption_w
    FROM full_enough AS grid
    LEFT JOIN (SELECT * FROM full_enough WHERE meter = %(solar)s) AS solar USING (start_at)
    WHERE grid.meter = %(grid)s AND (%(solar)s::text IS NULL OR solar.mean_w IS NOT NULL)
), counted_from AS (
    SELECT min(first_at) + (%(from_day)s - 1) * interval '24 hours' AS at FROM reading WHERE gateway_id = %(gateway)s
), issued AS (  -- one forecast for each rung and issue: the first that was stored
    SELECT DISTINCT ON (rung, issued_at) rung, issued_at, recorded_at, start_at, step_s, p50
    FROM forecast
    WHERE gateway_id = %(gateway)s AND target = 'consumption_w' AND step_s * 1e6 = %(step)s
    ORDER BY rung, issued_at, recorded_at, sequence
), step AS (
    SELECT rung, issued_at, start_at + (number - 1) * step_s * interval '1 second' AS start_at, p50_w, recorded_at
    FROM issued, unnest(p50) WITH ORDINALITY AS value (p50_w, number)
), honest AS (
    SELECT rung, issued_at, start_at, p50_w FROM step, counted_from
    WHERE recorded_at < start_at AND start_at >= counted_from.at
)
SELECT baseline.rung, count(*), avg(abs(model.p50_w - consumption_w)), avg(abs(baseline.p50_w - consumption_w)),
       count(DISTINCT model.issued_at)
FROM honest AS model
JOIN honest AS baseline USING (issued_at, start_at)
JOIN actual USING (start_at)
WHERE model.rung = 'model' AND baseline.rung = ANY(%(baselines)s)
GROUP BY baseline.rung
ORDER BY baseline.rung DESC
"""


class Score(msgspec.Struct, frozen=True):
    """The model against one baseline, mean absolute errors of p50 in watts over `pairs` steps."""

    baseline: str
    issues: int
    pairs: int
    model_mae_w: float
    baseline_mae_w: float
    skill: float | None


def score(connection: Connection, gateway: str, *, grid: str, solar: str | None, from_day: int) -> list[Score]:
    """The model against each baseline it can be compared with; none where nothing was forecast in time.

    Args:
        connection: to the database.
        gateway: whose forecasts.
        grid: the meter whose active power is drawn from the grid.
        solar: the meter whose active power is negative while producing; None where there is none.
        from_day: the first day that counts; day 1 begins with the first reading.
    """
    # The planner knows nothing of what unnest will give and would join 100,000 steps one by one:
    # half a minute where hashing takes half a second.
    connection.execute("SET LOCAL enable_nestloop = off")
    found = connection.execute(
        _SCORE,
        {
            "gateway": gateway,
            "grid": grid,
            "solar": solar,
            "from_day": from_day,
            "step": STEP_US,
            "baselines": list(BASELINES),
        },
    )
    return [
        Score(baseline, issues, pairs, model_w, baseline_w, 1 - model_w / baseline_w if baseline_w else None)
        for baseline, pairs, model_w, baseline_w, issues in found
    ]
