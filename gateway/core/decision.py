"""What the gateway concludes: one verdict, one sentence, and from which model. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import AnomalyRecord, DecisionRecord, ForecastRecord
from gateway.core.forecast import energy_wh


def decide(
    now_us: UtcUs,
    *,
    outage_since_us: UtcUs | None,
    forecast: ForecastRecord | None,
    anomalies: Sequence[AnomalyRecord],
    zone: ZoneInfo,
) -> DecisionRecord:
    """The decision of this instant; an outage speaks before an anomaly, an anomaly before the forecast."""
    energy = None if forecast is None else energy_wh(forecast)
    peak = None if forecast is None else max(forecast.p50)
    if outage_since_us is not None:
        verdict, sentence = "outage", f"The grid has been out since {_clock_time(outage_since_us, zone)}."
    elif anomalies:
        first = anomalies[0].sentence
        more = f" ({len(anomalies) - 1} more)" if len(anomalies) > 1 else ""
        verdict, sentence = "attention", first + more
    elif forecast is None:
        verdict, sentence = "normal", "All is well; too little is known yet for a forecast."
    else:
        at_us = UtcUs(forecast.start_us + forecast.p50.index(max(forecast.p50)) * forecast.step_us)
        verdict = "normal"
        sentence = (
            f"All is well; about {sum(forecast.p50) * forecast.step_us / 3.6e12:.1f} kWh are expected over the "
            f"next day, most at {_clock_time(at_us, zone)} with {max(forecast.p50) / 1000:.1f} kW."
        )
    return DecisionRecord(
        at_us=now_us,
        verdict=verdict,  # type: ignore[arg-type]  # one of the literals above
        sentence=sentence,
        rung="none" if forecast is None else forecast.rung,
        bundle=None if forecast is None else forecast.bundle,
        energy_next_day_wh=energy,
        peak_next_day_w=peak,
        anomalies_active=len(anomalies),
    )


def is_news(before: DecisionRecord | None, after: DecisionRecord) -> bool:
    """Whether a decision says something else than the last one stored."""
    return before is None or msgspec.structs.replace(before, at_us=after.at_us) != after


def _clock_time(at_us: UtcUs, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_us / US_PER_S, UTC).astimezone(zone).strftime("%H:%M")
