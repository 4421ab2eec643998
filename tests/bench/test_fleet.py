import pytest

from tests.bench import fleet


@pytest.mark.slow
@pytest.mark.pg
def test_a_small_fleet_is_acknowledged_in_both_windows() -> None:
    figures = {name: (value, baseline) for name, value, _, baseline in fleet.bench(gateways=20, window_s=3.0)}
    assert figures["fleet.gateways"] == (20, 20)
    assert set(figures) >= {"fleet.request_ms_p99", "fleet.mb_per_gateway_day", "fleet.processes_for_200_series"}
