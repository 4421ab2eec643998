import psycopg
import pytest

from cloud_trainer.database import OwnedGateway
from cloud_trainer.ingest.db import store_batch
from cloud_trainer.report import EVENTS_MAX, AnomalySeen, BundleInUse, GatewayReport, ModelEvent, report
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import AnomalyRecord, DecisionRecord, ModelReport, Record
from tests.sim.cloud_records import GATEWAY, START_US, batch, one_of_each, power

pytestmark = [pytest.mark.slow, pytest.mark.pg, pytest.mark.usefixtures("gateways")]

FIRST, SECOND = "aa" * 32, "bb" * 32


def at_us(second: int) -> UtcUs:
    return UtcUs(START_US + second * US_PER_S)


def anomaly(second: int) -> AnomalyRecord:
    return AnomalyRecord(
        at_us(second + 5), "spike", "main.active_power_w", at_us(second), 9e4, 0.0, 1e3, f"Spike {second}."
    )


def decision(second: int, bundle: str | None) -> DecisionRecord:
    rung = "daily_naive" if bundle is None else "model"
    return DecisionRecord(at_us(second), "normal", "All is well.", rung, bundle, 12_000, 3_000, 0)


async def stored(dsn: str, records: list[Record], **envelope: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await store_batch(connection, batch(records, **envelope))


def reported(dsn: str, gateway: str = GATEWAY, organisation: str = "default") -> GatewayReport:
    with psycopg.connect(dsn) as connection:
        return report(connection, OwnedGateway(organisation, gateway))


async def test_one_record_of_each_kind_is_counted(dsn: str):
    await stored(dsn, one_of_each())
    found = reported(dsn)
    kinds = ("anomaly", "decision", "forecast", "model_report", "readings", "status")
    assert found.records == dict.fromkeys(kinds, 1)
    assert (found.gateway, found.rows, found.generations) == (GATEWAY, 2, 1)


async def test_events_are_told_in_the_order_of_time_with_all_their_facts(dsn: str):
    refusal = ModelReport(at_us(60), "refused", None, None, "manifest.json is not what was signed")
    activation = ModelReport(at_us(30), "activated", 2, SECOND, "")
    await stored(dsn, [anomaly(20), anomaly(10), refusal, activation])
    found = reported(dsn)
    assert found.anomalies == [
        AnomalySeen(at_us(second + 5), at_us(second), "spike", "main.active_power_w", f"Spike {second}.")
        for second in (10, 20)
    ]
    assert found.model_events == [
        ModelEvent(at_us(30), "activated", 2, SECOND, ""),
        ModelEvent(at_us(60), "refused", None, None, "manifest.json is not what was signed"),
    ]


async def test_decisions_are_counted_by_the_bundle_they_rest_on_the_first_used_first(dsn: str):
    bundles = [None, None, FIRST, SECOND, FIRST, FIRST]
    await stored(dsn, [decision(second, bundle) for second, bundle in enumerate(bundles)])
    assert reported(dsn).decisions == [
        BundleInUse(None, at_us(0), 2),
        BundleInUse(FIRST, at_us(2), 3),
        BundleInUse(SECOND, at_us(3), 1),
    ]


async def test_a_report_is_of_one_gateway_and_of_all_its_generations(dsn: str):
    await stored(dsn, [power(START_US, [1.0]), anomaly(1)])
    await stored(dsn, [power(START_US, [2.0])], generation="f" * 32)
    await stored(dsn, [decision(1, FIRST), anomaly(2), anomaly(3)], gateway="gw-2")
    found = reported(dsn)
    assert (found.records, found.rows, found.generations) == ({"anomaly": 1, "readings": 2}, 2, 2)
    assert [one.sentence for one in found.anomalies] == ["Spike 1."]
    assert found.decisions == []


async def test_a_gateway_that_sent_nothing_has_an_empty_report(dsn: str):
    found = reported(dsn, "nobody")
    assert found == GatewayReport("nobody", {}, 0, 0, None, None, 0, [], [], [])


async def test_another_organisation_sees_nothing_of_it(dsn: str):
    await stored(dsn, one_of_each())
    assert reported(dsn, organisation="other") == GatewayReport(GATEWAY, {}, 0, 0, None, None, 0, [], [], [])


async def test_a_report_stays_short_and_the_counts_tell_the_rest(dsn: str):
    await stored(dsn, [anomaly(second) for second in range(EVENTS_MAX + 3)])
    found = reported(dsn)
    assert found.records == {"anomaly": EVENTS_MAX + 3}
    assert [one.sentence for one in found.anomalies] == [f"Spike {second}." for second in range(EVENTS_MAX)]
