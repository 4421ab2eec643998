"""What the gateway concludes: one verdict, one sentence, and from which model. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import AnomalyRecord, DecisionRecord, ForecastRecord
from gateway.core.forecast import energy_wh

# Less than this is no energy to plan with: panels in the dark, or a meter's own noise.
PRODUCTION_WH_MIN = 50


class Expected(NamedTuple):
    """What is acted on: a forecast of each kind that there is one of."""

    consumption: ForecastRecord | None = None
    production: ForecastRecord | None = None
    load: ForecastRecord | None = None


def decide(
    now_us: UtcUs,
    *,
    outage_since_us: UtcUs | None,
    expected: Expected,
    anomalies: Sequence[AnomalyRecord],
    zone: ZoneInfo,
) -> DecisionRecord:
    """The decision of this instant; an outage speaks before an anomaly, an anomaly before the forecast."""
    forecast = expected.consumption
    if outage_since_us is not None:
        verdict, sentence = "outage", f"The grid has been out since {_clock_time(outage_since_us, zone)}."
    elif anomalies:
        first = anomalies[0].sentence
        more = f" ({len(anomalies) - 1} more)" if len(anomalies) > 1 else ""
        verdict, sentence = "attention", first + more
    elif forecast is None:
        verdict, sentence = "normal", "All is well; too little is known yet for a forecast."
    else:
        verdict, sentence = "normal", f"All is well; {_outlook(forecast, expected, zone)}."
    return DecisionRecord(
        at_us=now_us,
        verdict=verdict,  # type: ignore[arg-type]  # one of the literals above
        sentence=sentence,
        rung="none" if forecast is None else forecast.rung,
        bundle=None if forecast is None else forecast.bundle,
        energy_next_day_wh=None if forecast is None else energy_wh(forecast),
        peak_next_day_w=None if forecast is None else max(forecast.p50),
        anomalies_active=len(anomalies),
    )


def _outlook(forecast: ForecastRecord, expected: Expected, zone: ZoneInfo) -> str:
    """What the next day takes and when most of it, what the sun gives, and how high the next hour goes."""
    peak_w = max(forecast.p50)
    peak_us = UtcUs(forecast.start_us + forecast.p50.index(peak_w) * forecast.step_us)
    parts = [
        f"about {energy_wh(forecast) / 1000:.1f} kWh are expected over the next day, "
        f"most at {_clock_time(peak_us, zone)} with {peak_w / 1000:.1f} kW"
    ]
    if expected.production is not None and (made_wh := energy_wh(expected.production)) >= PRODUCTION_WH_MIN:
        parts.append(f"the sun gives about {made_wh / 1000:.1f} kWh")
    if expected.load is not None and expected.load.peak:
        parts.append(f"the next hour peaks near {expected.load.peak[1] / 1000:.1f} kW")
    return "; ".join(parts)


def is_news(before: DecisionRecord | None, after: DecisionRecord) -> bool:
    """Whether a decision says something else than the last one stored."""
    return before is None or msgspec.structs.replace(before, at_us=after.at_us) != after


def _clock_time(at_us: UtcUs, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us / US_PER_S, UTC).astimezone(zone).strftime("%H:%M")
