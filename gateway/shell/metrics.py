"""The gateway's figures for Prometheus, made from the same facts as the page."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

US_PER_S = 1e6

# name | what it says | where it stands in the status; what is not known has no sample
_GAUGES = (
    ("tick_late_ms_max", "The most a tick was late since the start", ("tick", "late_ms_max")),
    ("loss_window_seconds", "What a power cut can take at most, while the card takes records", ("loss_window_s",)),
    ("clock_trusted", "Whether the time of day is known to be right", ("clock_is_trusted",)),
    ("queue_records", "Records that the cloud does not have yet", ("queue", "records")),
    ("queue_bytes", "Bytes of records that the cloud does not have yet", ("queue", "bytes")),
    ("queue_quarantined", "Records that the cloud refused three times", ("queue", "quarantined")),
    ("store_bytes", "Size of the store's file", ("queue", "file_bytes")),
    ("ring_records", "Records in memory because the card takes none", ("queue", "ring_records")),
    ("enrolled", "Whether the cloud knows this gateway", ("upload", "is_enrolled")),
    ("revoked", "Whether the cloud turned this gateway away", ("upload", "is_revoked")),
)
_COUNTERS = (
    ("ticks", "Sweeps of all meters since the start", ("tick", "count")),
    ("dropped_records", "Records deleted unsent for want of room", ("queue", "dropped_records")),
    ("ring_lost_records", "Records lost because the card was away too long", ("queue", "ring_lost")),
    ("sent_records", "Records that the cloud took since the start", ("upload", "records_sent")),
    ("sent_bytes", "Bytes sent since the start", ("upload", "bytes_sent")),
)


def metrics_text(status: dict[str, Any]) -> bytes:
    """The figures of `status` in Prometheus' text form."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(status))
    return generate_latest(registry)


class _Facts(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status
        for name, text, path in _GAUGES:
            gauge = GaugeMetricFamily(f"smartwatts_{name}", text)
            if (value := _at(status, path)) is not None:
                gauge.add_metric([], value)
            yield gauge
        for name, text, path in _COUNTERS:
            counter = CounterMetricFamily(f"smartwatts_{name}", text)
            if (value := _at(status, path)) is not None:
                counter.add_metric([], value)
            yield counter
        yield from _ages(status)
        yield from _meters(status)
        yield _labelled("card", "How the card fares: 1 for what it is", "state", {status["queue"]["card"]: 1})
        kinds = (status["upload"] or {}).get("bytes_by_kind", {})
        sent = CounterMetricFamily("smartwatts_sent_kind_bytes", "Bytes of records sent, by kind", labels=["kind"])
        for kind, count in sorted(kinds.items()):
            sent.add_metric([kind], count)
        yield sent
        active = sum(1 for one in status["anomalies"] if one["active"])
        yield GaugeMetricFamily("smartwatts_anomalies_active", "Anomalies at present", value=active)


def _at(status: dict[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = status
    for key in path:
        found = None if found is None else found[key]
    return None if found is None else float(found)


def _ages(status: dict[str, Any]) -> Iterator[Metric]:
    for name, text, path in (
        ("queue_oldest_seconds", "Age of the oldest record that the cloud does not have", ("queue", "oldest_us")),
        ("upload_age_seconds", "Since the last upload that succeeded", ("upload", "last_success_us")),
        ("sweep_age_seconds", "Since the last sweep of the meters", ("power", "at_us")),
    ):
        gauge = GaugeMetricFamily(f"smartwatts_{name}", text)
        if (at_us := _at(status, path)) is not None:
            gauge.add_metric([], max(status["now_us"] - at_us, 0) / US_PER_S)
        yield gauge


def _meters(status: dict[str, Any]) -> Iterator[Metric]:
    reads = CounterMetricFamily("smartwatts_meter_reads", "Sweeps that a meter answered", labels=["meter"])
    errors = CounterMetricFamily("smartwatts_meter_errors", "Sweeps that a meter did not answer", labels=["meter"])
    for meter in status["bus"]:
        reads.add_metric([meter["meter"]], meter["reads"])
        errors.add_metric([meter["meter"]], meter["errors"])
    silent = {meter["meter"]: meter["silent_since_us"] is not None for meter in status["bus"]}
    yield from (reads, errors, _labelled("meter_silent", "Whether a meter is silent", "meter", silent))


def _labelled(name: str, text: str, label: str, values: dict[str, Any]) -> Metric:
    gauge = GaugeMetricFamily(f"smartwatts_{name}", text, labels=[label])
    for key, value in values.items():
        gauge.add_metric([str(key)], float(value))
    return gauge
