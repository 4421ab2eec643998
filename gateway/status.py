"""The gateway's state as one plain tree: what `/status.json` says and the page shows."""

from dataclasses import asdict
from datetime import datetime, timedelta
from math import isnan
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import Clock
from firmware_bridge.config import MeterConfig
from firmware_bridge.meter import MeterHealth
from firmware_bridge.reading import US_PER_S
from gateway import SOFTWARE
from gateway.config import Config
from gateway.contract.forecast_spec import DAY_US
from gateway.contract.records import AnomalyRecord, ForecastRecord
from gateway.core.footprint import footprint
from gateway.core.outlook import Outlook
from gateway.core.speech import sentence
from gateway.core.standing import SHARE_DAYS
from gateway.core.track import Track
from gateway.core.window import Window
from gateway.loop import Loop
from gateway.shell.model_service import ModelService
from gateway.shell.store import Queue
from gateway.shell.sync_client import SyncState

# Enough to look back over a bad day; a longer list is for the cloud.
ENDED_ANOMALIES_MAX = 20


def status_tree(
    config: Config,
    clock: Clock,
    loop: Loop,
    bridge: Bridge,
    models: ModelService,
    queue: Queue,
    sync: SyncState | None,
) -> dict[str, Any]:
    """Facts only, in SI units and microseconds UTC; nothing here waits for anything."""
    now = loop.now
    return {
        "site": config.site.gateway_id,
        "time_zone": config.site.time_zone,
        "now_us": clock.utc_us(),
        "software": SOFTWARE,
        "rate": clock.rate,
        "clock_is_trusted": clock.is_trusted,
        "verdict": None if now.decision is None else now.decision.verdict,
        "sentence": "Starting." if now.decision is None else now.decision.sentence,
        "power": _power(loop),
        "forecast": _forecast(now.expected.consumption),
        "forecast_before": _forecast(_forecast_before(loop)),
        "actual": _actual(loop.weeks.consumption),
        "production": _production(loop),
        "next_hour": _next_hour(now.next_hour),
        "outlook": _outlook(now.outlook, config.site.time_zone),
        "emissions": _emissions(config, loop),
        "standings": [_standing(track) for track in loop.forecaster.tracks],
        "anomalies": _anomalies(loop),
        "queue": _queue(queue),
        "upload": _upload(config, sync),
        "model": _model(loop, models),
        "bus": [_meter(meter, health) for meter, health in zip(config.meters, bridge.health(), strict=True)],
        "tick": {"count": now.ticks, "late_ms_max": round(now.late_ms_max, 1)},
        "loss_window_s": config.record.recording_period_s,
    }


def _meter(meter: MeterConfig, health: MeterHealth) -> dict[str, Any]:
    return {
        "meter": meter.name,
        "role": meter.role,
        "profile": meter.profile,
        "reads": health.reads_ok,
        "errors": health.reads_failed,
        "silent_since_us": health.silent_since_us,
        "last_error": health.last_error,
    }


def _power(loop: Loop) -> dict[str, float | int | None]:
    site, row = loop.now.site, loop.now.row
    if site is None or row is None:
        return {"consumption_w": None, "grid_w": None, "solar_w": None, "at_us": None}
    return {
        "consumption_w": site.consumption_w,
        "grid_w": site.grid_w,
        "solar_w": site.solar_w,
        "at_us": row.tick_us,
    }


def _forecast(record: ForecastRecord | None) -> dict[str, Any] | None:
    return None if record is None else msgspec.structs.asdict(record)


def _forecast_before(loop: Loop) -> ForecastRecord | None:
    """What was expected of the measured day when it began; of a younger gateway, its first word on it."""
    if (start_us := _actual_start_us(loop.weeks.consumption)) is None:
        return None
    return next((one for one in loop.now.forecasts if one.start_us >= start_us), None)


def _actual_start_us(window: Window) -> int | None:
    return None if window.end_us is None else window.end_us - DAY_US


def _actual(window: Window) -> dict[str, Any] | None:
    """The last day, step by step."""
    if (start_us := _actual_start_us(window)) is None:
        return None
    return {"start_us": start_us, "step_us": window.step_us, "values_w": window.recent_w(DAY_US // window.step_us)}


def _production(loop: Loop) -> dict[str, Any] | None:
    """What the sun gives; None where there is no meter for it."""
    if (window := loop.weeks.production) is None:
        return None
    return {"forecast": _forecast(loop.now.expected.production), "actual": _actual(window)}


def _next_hour(record: ForecastRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "rung": record.rung,
        "start_us": record.start_us,
        "step_us": record.step_us,
        "p50": record.p50,
        "p95": record.p95,
        "peak_w": record.peak,
    }


def _outlook(outlook: Outlook | None, time_zone: str) -> dict[str, Any] | None:
    """The next days, each with the instant it begins at."""
    if outlook is None:
        return None
    zone = ZoneInfo(time_zone)
    dates = [outlook.first + timedelta(days=number) for number in range(len(outlook.p50_wh))]
    return {
        "days": [
            {"start_us": round(datetime(one.year, one.month, one.day, tzinfo=zone).timestamp()) * US_PER_S}
            | {"p10_wh": low, "p50_wh": middle, "p90_wh": high}
            for one, low, middle, high in zip(dates, outlook.p10_wh, outlook.p50_wh, outlook.p90_wh, strict=True)
        ]
    }


def _emissions(config: Config, loop: Loop) -> dict[str, Any] | None:
    """CO2e of today and the next day; None where nobody said what a kWh emits."""
    if config.emissions is None:
        return None
    zone, weeks = ZoneInfo(config.site.time_zone), loop.weeks
    told = footprint(weeks.consumption, weeks.production, loop.now.expected, config.emissions.grid_factor, zone)
    return asdict(told)


def _standing(track: Track) -> dict[str, Any]:
    """Who speaks on a track, and why."""
    speaker = track.standing.speaker
    skill = track.standing.skill(SHARE_DAYS)
    return {
        "kind": track.spec.kind,
        "target": track.target,
        "voice": "baseline" if track.silence else speaker.voice,
        "model_share": 0.0 if track.silence else speaker.share,
        "baseline": speaker.baseline,
        "skill": None if isnan(skill) else round(skill, 4),
        "sentence": sentence(track),
    }


def _anomalies(loop: Loop) -> list[dict[str, Any]]:
    """What is wrong at present, then what was: each the newest first."""
    active = loop.rules.active[::-1]
    ended = [one for one in reversed(loop.now.onsets) if one not in active][:ENDED_ANOMALIES_MAX]
    return [_anomaly(one, is_active=True) for one in active] + [_anomaly(one, is_active=False) for one in ended]


def _anomaly(record: AnomalyRecord, *, is_active: bool) -> dict[str, Any]:
    return {
        "at_us": record.at_us,
        "since_us": record.since_us,
        "kind": record.kind,
        "series": record.series,
        "sentence": record.sentence,
        "active": is_active,
    }


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "records": queue.records,
        "bytes": queue.bytes,
        "oldest_us": queue.oldest_us,
        "acknowledged": queue.acknowledged,
        "quarantined": queue.quarantined,
        "dropped_records": queue.dropped_records,
        "card": queue.card,
        "ring_records": queue.ring_records,
        "ring_lost": queue.ring_lost,
        "file_bytes": queue.file_bytes,
    }


def _upload(config: Config, sync: SyncState | None) -> dict[str, Any] | None:
    """The way home; None when the site has none."""
    if config.sync is None or sync is None:
        return None
    return {
        "share": config.sync.share,
        "is_enrolled": sync.is_enrolled,
        "is_revoked": sync.is_revoked,
        "last_error": sync.last_error,
        "last_success_us": sync.last_success_us,
        "next_attempt_us": sync.next_attempt_us,
        "records_sent": sync.records_sent,
        "bytes_sent": sync.bytes_sent,
        "bytes_today": sync.bytes_today,
        "bytes_by_kind": dict(sync.bytes_by_kind),
        "bytes_by_kind_today": dict(sync.bytes_by_kind_today),
    }


def _model(loop: Loop, models: ModelService) -> dict[str, Any]:
    bundle, report, forecast = models.inference.bundle, models.last_report, loop.now.expected.consumption
    return {
        "bundle": None if bundle is None else bundle.digest,
        "release": None if bundle is None else bundle.release,
        "origin": None if bundle is None else bundle.origin,
        "rung": None if forecast is None else forecast.rung,
        "last_report_us": None if report is None else report.at_us,
        "last_report": None if report is None else f"{report.event}: {report.reason}".rstrip(": "),
    }
