"""The gateway's state as one plain tree: what `/status.json` says and the page shows."""

from typing import Any

import msgspec

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import Clock
from firmware_bridge.config import MeterConfig
from firmware_bridge.meter import MeterHealth
from gateway import SOFTWARE
from gateway.config import Config
from gateway.contract.inputs import DAY_STEPS, STEP_US
from gateway.loop import Loop
from gateway.shell.model_service import ModelService
from gateway.shell.store import Queue
from gateway.shell.sync_client import SyncState


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
        "verdict": None if now.decision is None else now.decision.verdict,
        "sentence": "Starting." if now.decision is None else now.decision.sentence,
        "power": _power(loop),
        "forecast": None if now.forecast is None else msgspec.structs.asdict(now.forecast),
        "actual": _actual(loop),
        "anomalies": [
            {"at_us": one.at_us, "kind": one.kind, "series": one.series, "sentence": one.sentence}
            for one in loop.rules.active
        ],
        "queue": _queue(queue, sync),
        "model": _model(loop, models),
        "bus": [_meter(meter, health) for meter, health in zip(config.meters, bridge.health(), strict=True)],
        "tick": {"count": now.ticks, "late_ms_max": round(now.late_ms_max, 1)},
        "loss_window_s": config.record.recording_period_s,
    }


def _meter(meter: MeterConfig, health: MeterHealth) -> dict[str, Any]:
    return {
        "meter": meter.name,
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


def _actual(loop: Loop) -> dict[str, Any] | None:
    end_us = loop.window.end_us
    if end_us is None:
        return None
    values = loop.window.recent_w(DAY_STEPS)
    return {"start_us": end_us - len(values) * STEP_US, "step_us": STEP_US, "values_w": values}


def _queue(queue: Queue, sync: SyncState | None) -> dict[str, Any]:
    return {
        "records": queue.records,
        "oldest_us": queue.oldest_us,
        "acknowledged": queue.acknowledged,
        "last_error": None if sync is None else sync.last_error,
        "last_success_us": None if sync is None else sync.last_success_us,
    }


def _model(loop: Loop, models: ModelService) -> dict[str, Any]:
    bundle, report, forecast = models.inference.bundle, models.last_report, loop.now.forecast
    return {
        "bundle": None if bundle is None else bundle.digest,
        "release": None if bundle is None else bundle.release,
        "origin": None if bundle is None else bundle.origin,
        "rung": None if forecast is None else forecast.rung,
        "last_report": None if report is None else f"{report.event}: {report.reason}".rstrip(": "),
    }
