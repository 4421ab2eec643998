"""Readings summed up by quarter hours, for training: what a batch adds to them. Pure.

Only records that are new are added, in their own transaction; so a replay adds nothing, late data finds its
step, and two blocks of one period (a gateway restarted within it) are both in. Means are weighted with the
values they are made of. A row that holds nothing but suspect values stays out, as it does on the gateway.
"""

from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray

from cloud_trainer.ingest.reading_rows import ReadingRows
from firmware_bridge.reading import US_PER_S
from gateway.contract.forecast_spec import ENERGY

# Sorted, so that two senders of one gateway wait for each other and never deadlock.
UPSERT_ROLLUP: LiteralString = """
INSERT INTO rollup_15min AS kept (gateway_id, series_id, step_start, total, minimum, maximum, count, covered_s)
SELECT %b, series_id, instant(step_us), total, minimum, maximum, count, covered_s
FROM unnest(%b::bigint[], %b::bigint[], %b::double precision[], %b::double precision[], %b::double precision[],
            %b::bigint[], %b::double precision[])
     AS added (series_id, step_us, total, minimum, maximum, count, covered_s)
ORDER BY series_id, step_us
ON CONFLICT (gateway_id, series_id, step_start) DO UPDATE SET
    total = kept.total + excluded.total,
    minimum = least(kept.minimum, excluded.minimum),
    maximum = greatest(kept.maximum, excluded.maximum),
    count = kept.count + excluded.count,
    covered_s = kept.covered_s + excluded.covered_s
"""

assert ENERGY.step_us == 900 * US_PER_S, "the table's name and the migration say 15 minutes"


def rollup_columns(rows: ReadingRows) -> tuple[NDArray[Any], ...]:
    """What `rows` add, column by column: series, step, sum, minimum, maximum, count, seconds covered."""
    which = np.flatnonzero(rows.building)
    step_us = rows.period_start_us - rows.period_start_us % ENERGY.step_us
    order = which[np.lexsort((step_us[which], rows.series_id[which]))]
    series_id, step_us, count = rows.series_id[order], step_us[order], rows.count[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (series_id[1:] != series_id[:-1]) | (step_us[1:] != step_us[:-1])
    first = np.flatnonzero(is_first)
    covered_us = np.minimum(count * rows.tick_us[order], rows.period_us[order])
    return (
        series_id[first],
        step_us[first],
        np.add.reduceat(rows.mean[order] * count, first),
        np.minimum.reduceat(rows.minimum[order], first),
        np.maximum.reduceat(rows.maximum[order], first),
        np.add.reduceat(count, first),
        np.add.reduceat(covered_us, first) / US_PER_S,
    )
