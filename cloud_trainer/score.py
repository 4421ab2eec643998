"""How good forecasts were: by SQL, over those that were on the gateway's disk before their time. A shell.

The actual is the site's consumption as the cloud holds it: grid minus solar (which is negative while
producing), averaged over each step. A step counts where it stands on at least half of the polls of the
fullest step, as on the gateway. Model and baseline are compared on the same pairs of issue and step.
"""

from typing import LiteralString

import msgspec

from cloud_trainer.database import Connection, OwnedGateway
from gateway.contract.inputs import STEP_US

BASELINES = ("seasonal_naive", "daily_naive")

_SCORE: LiteralString = """
WITH power AS (  -- [step]: average and polls of each meter
    SELECT meter, date_bin(%(step)s * interval '1 microsecond', period_start, 'epoch') AS start_at,
           sum(mean * count) / sum(count) AS mean_w, sum(count) AS polls
    FROM reading
    WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s) AND measurand = 'active_power_w'
          AND meter IN (%(grid)s, %(solar)s) AND count > 0
    GROUP BY meter, start_at
), full_enough AS (
    SELECT meter, start_at, mean_w FROM (SELECT *, max(polls) OVER (PARTITION BY meter) AS most FROM power)
    WHERE polls * 2 >= most
), actual AS MATERIALIZED (
    SELECT start_at, grid.mean_w - coalesce(solar.mean_w, 0) AS consumption_w
    FROM full_enough AS grid
    LEFT JOIN (SELECT * FROM full_enough WHERE meter = %(solar)s) AS solar USING (start_at)
    WHERE grid.meter = %(grid)s AND (%(solar)s::text IS NULL OR solar.mean_w IS NOT NULL)
), counted_from AS (
    SELECT min(first_at) + (%(from_day)s - 1) * interval '24 hours' AS at
    FROM reading WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
), issued AS (  -- one forecast for each rung and issue: the first that was stored
    SELECT DISTINCT ON (rung, issued_at) rung, issued_at, start_at, recorded_at, p50
    FROM forecast
    WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
          AND target = 'consumption_w' AND step_s * 1e6 = %(step)s
    ORDER BY rung, issued_at, recorded_at, sequence
), pair AS MATERIALIZED (  -- both for the same steps, known when the later of them was on disk
    SELECT baseline.rung, issued_at, start_at, greatest(model.recorded_at, baseline.recorded_at) AS known_at,
           model.p50 AS model, baseline.p50 AS baseline
    FROM issued AS model JOIN issued AS baseline USING (issued_at, start_at)
    WHERE model.rung = 'model' AND baseline.rung = ANY(%(baselines)s)
), step AS (
    SELECT rung, issued_at, known_at, model_w, baseline_w,
           start_at + (number - 1) * (%(step)s * interval '1 microsecond') AS start_at
    FROM pair, unnest(model, baseline) WITH ORDINALITY AS value (model_w, baseline_w, number)
    WHERE model_w IS NOT NULL AND baseline_w IS NOT NULL
)
SELECT rung, count(DISTINCT issued_at), count(*),
       avg(abs(model_w - consumption_w)), avg(abs(baseline_w - consumption_w))
FROM step JOIN actual USING (start_at)
WHERE known_at < start_at AND start_at >= (SELECT at FROM counted_from)
GROUP BY rung
ORDER BY rung DESC
"""


class Score(msgspec.Struct, frozen=True):
    """The model against one baseline, mean absolute errors of p50 in watts over `pairs` steps."""

    baseline: str
    issues: int
    pairs: int
    model_mae_w: float
    baseline_mae_w: float
    skill: float | None


def score(
    connection: Connection, gateway: OwnedGateway, *, grid: str, solar: str | None, from_day: int
) -> list[Score]:
    """The model against each baseline it can be compared with; none where nothing was forecast in time.

    Args:
        connection: to the database.
        gateway: whose forecasts.
        grid: the meter whose active power is drawn from the grid.
        solar: the meter whose active power is negative while producing; None where there is none.
        from_day: the first day that counts; day 1 begins with the first reading.
    """
    parameters = {
        **gateway._asdict(),
        "grid": grid,
        "solar": solar,
        "from_day": from_day,
        "step": STEP_US,
        "baselines": list(BASELINES),
    }
    with connection.transaction():
        # The planner knows nothing of what unnest will give and would join 100,000 steps one by one:
        # half a minute where hashing takes a tenth of a second.
        connection.execute("SET LOCAL enable_nestloop = off")
        found = connection.execute(_SCORE, parameters).fetchall()
    return [
        Score(baseline, issues, pairs, model_w, baseline_w, 1 - model_w / baseline_w if baseline_w else None)
        for baseline, issues, pairs, model_w, baseline_w in found
    ]
