import aiohttp
import pytest

from cloud_trainer.ingest.metrics import Metrics, serving_metrics
from firmware_bridge.errors import ConflictError


async def get(port: int, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text(), response.content_type


@pytest.mark.slow
async def test_the_figures_are_there_for_prometheus_and_health_beside_them() -> None:
    metrics, answers = Metrics(), [True, False]
    metrics.records.labels("stored").inc(6)

    async def is_healthy() -> bool:
        return answers.pop(0)

    async with serving_metrics(metrics, is_healthy, 0) as port:
        status, text, kind = await get(port, "/metrics")
        assert (status, kind) == (200, "text/plain")
        assert 'smartwatts_ingest_records_total{outcome="stored"} 6.0' in text
        assert "process_resident_memory_bytes" in text
        assert [(await get(port, "/healthz"))[0] for _ in range(2)] == [200, 503]
        with pytest.raises(ConflictError, match=f"--metrics-port = {port}"):
            async with serving_metrics(metrics, is_healthy, port):
                pass


def test_two_of_them_in_one_process_do_not_count_together() -> None:
    one, other = Metrics(), Metrics()
    one.suspects.inc()
    assert other.registry.get_sample_value("smartwatts_ingest_suspects_total") == 0
