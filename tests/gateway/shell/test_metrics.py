import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.shell.metrics import metrics_text
from tests.gateway.shell.test_status_page import HOSTILE, answer_to, sample_status


def samples(status: dict) -> dict[tuple[str, ...], float]:
    """Value by name and labels."""
    families = text_string_to_metric_families(metrics_text(status).decode())
    return {
        (one.name.removeprefix("smartwatts_"), *one.labels.values()): one.value
        for family in families
        for one in family.samples
    }


def test_the_figures_are_those_of_the_page():
    told = samples(sample_status())
    assert told["ticks_total",] == 86_400
    assert told["loss_window_seconds",] == 60
    assert told["queue_records",] == 12
    assert told["queue_oldest_seconds",] == 180
    assert told["upload_age_seconds",] == 190
    assert told["card", "ok"] == 1
    assert told["meter_reads_total", "main"] == 481_204
    assert (told["meter_silent", "main"], told["meter_silent", "roof"]) == (0, 1)
    assert told["sent_kind_bytes_total", "readings"] == 48_000_000
    assert told["anomalies_active",] == 1


def test_what_is_not_known_has_no_sample():
    status = sample_status() | {"upload": None}
    status["power"]["at_us"] = status["queue"]["oldest_us"] = None
    told = {name for name, *_ in samples(status)}
    assert not told & {
        "upload_age_seconds",
        "sweep_age_seconds",
        "queue_oldest_seconds",
        "enrolled",
        "sent_bytes_total",
    }


def test_a_name_from_outside_stays_a_label():
    status = sample_status()
    status["bus"][0]["meter"] = f'a"b\\c\n{HOSTILE}'
    assert samples(status)["meter_reads_total", status["bus"][0]["meter"]] == 481_204


@pytest.mark.slow
async def test_they_are_served_beside_the_page():
    async with answer_to("/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert "smartwatts_queue_records 12.0" in await answer.text()
