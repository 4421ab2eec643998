"""How good forecasts were: by SQL, over those that were on the gateway's disk before their time. A shell.

Each kind of forecast and each target for itself. The actual is what the cloud holds, averaged over each step:
consumption is grid minus solar (which is negative while producing), production is solar with its sign turned.
A step counts where it stands on at least half of the polls of the fullest step, as on the gateway; of
production, where at least one of the two said something: by day. Model and baseline are compared on the same
pairs of issue and step.
"""

from typing import LiteralString

import msgspec

from cloud_trainer.database import Connection, OwnedGateway
from firmware_bridge.reading import US_PER_S
from gateway.contract.forecast_spec import ForecastKind
from gateway.contract.manifest import ForecastTarget

BASELINES = ("smart_persistence", "seasonal_naive", "daily_naive", "last_value")

_FIND_KINDS: LiteralString = """
SELECT DISTINCT kind, target, step_s FROM forecast
WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s) AND rung = 'model'
ORDER BY kind, target, step_s
"""

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
), site AS (
    SELECT start_at, max(mean_w) FILTER (WHERE meter = %(grid)s) AS grid_w,
           max(mean_w) FILTER (WHERE meter = %(solar)s) AS solar_w
    FROM full_enough GROUP BY start_at
), actual AS MATERIALIZED (
    SELECT start_at, CASE WHEN %(target)s = 'production_w' THEN CASE WHEN solar_w > 0 THEN 0 ELSE -solar_w END
                          WHEN %(solar)s::text IS NULL THEN grid_w
                          ELSE grid_w - solar_w END AS actual_w
    FROM site
), counted_from AS (
    SELECT min(first_at) + (%(from_day)s - 1) * interval '24 hours' AS at
    FROM reading WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
), issued AS (  -- one forecast for each rung and issue: the first that was stored
    SELECT DISTINCT ON (rung, issued_at) rung, issued_at, start_at, recorded_at, p50
    FROM forecast
    WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)
          AND kind = %(kind)s AND target = %(target)s AND step_s * 1e6 = %(step)s
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
       avg(abs(model_w - actual_w)), avg(abs(baseline_w - actual_w))
FROM step JOIN actual USING (start_at)
WHERE known_at < start_at AND start_at >= (SELECT at FROM counted_from) AND actual_w IS NOT NULL
      AND (%(target)s <> 'production_w' OR model_w <> 0 OR baseline_w <> 0)
GROUP BY rung
ORDER BY rung DESC
"""


class Score(msgspec.Struct, frozen=True):
    """The model against one baseline, mean absolute errors of p50 in watts over `pairs` steps."""

    kind: ForecastKind
    target: ForecastTarget
    step_s: float
    baseline: str
    issues: int
    pairs: int
    model_mae_w: float
    baseline_mae_w: float
    skill: float | None


def score(
    connection: Connection, gateway: OwnedGateway, *, grid: str, solar: str | None, from_day: int
) -> list[Score]:
    """The models against each baseline they can be compared with; none where nothing was forecast in time.

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
        "baselines": list(BASELINES),
    }
    with connection.transaction():
        # The planner knows nothing of what unnest will give and would join 100,000 steps one by one:
        # half a minute where hashing takes a tenth of a second.
        connection.execute("SET LOCAL enable_nestloop = off")
        return [
            Score(kind, target, step_s, baseline, issues, pairs, model_w, baseline_w, _skill(model_w, baseline_w))
            for kind, target, step_s in connection.execute(_FIND_KINDS, parameters).fetchall()
            for baseline, issues, pairs, model_w, baseline_w in connection.execute(
                _SCORE, {**parameters, "kind": kind, "target": target, "step": round(step_s * US_PER_S)}
            ).fetchall()
        ]


def _skill(model_w: float, baseline_w: float) -> float | None:
    return 1 - model_w / baseline_w if baseline_w else None
