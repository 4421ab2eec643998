import asyncio
import hashlib
from datetime import UTC, datetime

import msgspec
import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_trainer.ingest.db import Connection, Known, OtherRecordError, store_batch
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Series, UtcUs
from gateway.contract.batches import BATCH_RECORDS_MAX, Acknowledgement, Batch, StoredRecord
from gateway.contract.raw import pack_raw
from gateway.contract.records import Record, encode_record
from tests.sim.cloud_records import GENERATION, POLL_US, START_US, batch, block, one_of_each, power

pytestmark = [
    pytest.mark.slow,
    pytest.mark.pg,
    pytest.mark.usefixtures("gateways"),
    pytest.mark.parametrize("server", ["postgres", "debian"], indirect=True),
]

KEPT = ("record", "forecast", "anomaly", "decision", "model_report", "status")
TABLES = (*KEPT, "reading")


async def counts(connection: Connection) -> dict[str, int]:
    found = {}
    for table in TABLES:
        cursor = await connection.execute(f"SELECT count(*) FROM {table}".encode())
        row = await cursor.fetchone()
        assert row is not None
        found[table] = row[0]
    await connection.commit()
    return found


async def only_row(connection: Connection, query: str) -> tuple[object, ...]:
    rows = await (await connection.execute(query.encode())).fetchall()
    await connection.commit()
    assert len(rows) == 1
    return tuple(rows[0])


def many(first: int, last: int) -> Batch:
    """Records `first` to `last`, one period each, with two series."""
    return batch([power(START_US + i * 5 * POLL_US, [float(i)], [-1.0]) for i in range(first, last + 1)], first=first)


async def test_a_record_of_each_kind_reaches_its_table(connection: Connection) -> None:
    acknowledgement = await store_batch(connection, batch(one_of_each()))
    assert (acknowledgement.acknowledged, acknowledgement.stored) == (6, 6)
    assert await counts(connection) == {
        "record": 6, "reading": 2, "forecast": 1, "anomaly": 1, "decision": 1, "model_report": 1, "status": 1,
    }  # fmt: skip


async def test_a_reading_stands_in_si_units_at_its_instants(connection: Connection) -> None:
    first_us = START_US + 2 * POLL_US
    await store_batch(
        connection, batch([block(START_US, {("grid", Measurand.VOLTAGE_L1_V): [230.0, 231.5]}, first_us=first_us)])
    )
    row = await only_row(
        connection,
        "SELECT gateway_id, meter, measurand, period_start, period_s, first_at, last_at, mean, minimum, maximum,"
        " count, quality, replace(generation::text, '-', ''), sequence FROM reading",
    )
    start = datetime(2024, 1, 1, tzinfo=UTC)
    assert row == (
        "gw-1", "grid", "voltage_l1_v", start, 300.0, start.replace(minute=2), start.replace(minute=3),
        230.75, 230.0, 231.5, 2, 0, GENERATION, 1,
    )  # fmt: skip


async def test_a_silent_meter_is_a_row_without_a_value(connection: Connection) -> None:
    await store_batch(connection, batch([block(START_US, {("grid", Measurand.VOLTAGE_V): []})]))
    row = await only_row(connection, "SELECT mean, minimum, maximum, count, quality FROM reading")
    assert row == (None, None, None, 0, 2)


async def test_a_forecast_keeps_its_quantiles_and_when_it_was_on_disk(connection: Connection) -> None:
    await store_batch(connection, batch([one_of_each()[1]]))
    row = await only_row(connection, "SELECT p10, p50, p90, step_s, instant_us(recorded_at), bundle FROM forecast")
    assert row == ([1.0, 2.0], [3.0, 4.0], [5.0, 60_000.0], 900.0, START_US, "ab" * 32)


async def test_the_same_batch_twice_is_stored_once(connection: Connection) -> None:
    first = await store_batch(connection, batch(one_of_each()))
    before = await counts(connection)
    again = await store_batch(connection, batch(one_of_each()))
    assert (first.stored, again.stored) == (6, 0)
    assert first.acknowledged == again.acknowledged
    assert await counts(connection) == before


async def test_overlapping_batches_add_only_what_is_new(connection: Connection) -> None:
    stored = [(await store_batch(connection, sent)).stored for sent in (many(1, 5), many(4, 9), many(2, 3))]
    assert stored == [5, 4, 0]
    assert (await counts(connection))["reading"] == 18


async def test_another_record_under_a_key_that_is_taken_is_refused_and_nothing_is_stored(
    connection: Connection,
) -> None:
    await store_batch(connection, many(1, 4))
    before = await counts(connection)
    copied = batch([power(START_US, [99.0]), power(START_US, [98.0]), power(START_US, [1.0])], first=3)
    with pytest.raises(OtherRecordError, match="sequence 3 of this store was sent before with other bytes") as told:
        await store_batch(connection, copied)
    assert told.value.conflict_from == 3
    assert await counts(connection) == before


async def test_what_is_the_same_before_a_conflict_is_not_part_of_it(connection: Connection) -> None:
    await store_batch(connection, many(1, 4))
    sent = many(1, 6).records
    sent[2] = many(9, 9).records[0]
    sent[2] = StoredRecord(3, sent[2].recorded_us, sent[2].body)
    with pytest.raises(OtherRecordError) as told:
        await store_batch(connection, Batch("gw-1", GENERATION, 0, sent))
    assert told.value.conflict_from == 3


async def test_a_gateway_that_nobody_knows_stores_nothing(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await store_batch(connection, batch(one_of_each(), gateway="stranger"))
    assert set((await counts(connection)).values()) == {0}


async def test_who_is_not_admitted_stores_nothing(connection: Connection) -> None:
    class SpentError(Exception):
        pass

    async def refuse(inside: Connection) -> None:
        await inside.execute("UPDATE gateway SET nonce_us = 7")
        raise SpentError

    with pytest.raises(SpentError):
        await store_batch(connection, batch(one_of_each()), admit=refuse)
    assert set((await counts(connection)).values()) == {0}
    assert await only_row(connection, "SELECT max(nonce_us) FROM gateway") == (0,)


async def test_a_database_put_back_asks_for_what_it_lost_until_it_gets_it(connection: Connection) -> None:
    async def send(first: int, last: int, acknowledged: int) -> tuple[int, int, int | None]:
        sent = Batch("gw-1", GENERATION, acknowledged, many(first, last).records)
        told = await store_batch(connection, sent)
        return told.acknowledged, told.stored, told.resume_after

    assert await send(1, 4, 0) == (4, 4, None)
    # 5 to 8 were taken, and lost with the disk
    assert await send(9, 10, 8) == (10, 2, 4)
    assert await send(9, 10, 8) == (10, 0, 4), "the answer may have been lost"
    assert await send(5, 9, 4) == (9, 4, None)
    assert await send(10, 12, 9) == (12, 2, None)
    assert (await counts(connection))["record"] == 12


async def test_a_generation_that_was_lost_as_a_whole_is_asked_for_from_its_beginning(connection: Connection) -> None:
    sent = Batch("gw-1", GENERATION, 40, many(41, 42).records)
    assert (await store_batch(connection, sent)).resume_after == 0


async def test_sequences_that_stay_at_home_are_no_loss(connection: Connection) -> None:
    await store_batch(connection, many(1, 2))
    sent = Batch("gw-1", GENERATION, 2, many(7, 8).records)
    assert await store_batch(connection, sent) == Acknowledgement(GENERATION, 8, 2, None)
    sent = Batch("gw-1", GENERATION, 8, many(11, 11).records)
    assert await store_batch(connection, sent) == Acknowledgement(GENERATION, 11, 1, None)


async def test_a_raw_window_is_kept_packed_with_its_extent(connection: Connection) -> None:
    ticks = [UtcUs(START_US + i * 1_000_000) for i in range(90)]
    series = [Series(MeterId("grid"), Measurand.VOLTAGE_V), Series(MeterId("grid"), Measurand.ACTIVE_POWER_W)]
    values = np.arange(180, dtype=np.float64).reshape(2, 90)
    (window,) = pack_raw(ticks, series, values, np.zeros((2, 90), dtype=np.uint8), "anomaly")
    await store_batch(connection, batch([window]))
    *facts, body = await only_row(
        connection, "SELECT instant_us(start_at), instant_us(end_at), reason, series, ticks, body FROM raw_window"
    )
    assert facts == [START_US, START_US + 89_000_000, "anomaly", 2, 90]
    assert body == encode_record(window)
    assert await only_row(connection, "SELECT kind, body FROM record") == ("raw", None)


async def test_what_one_process_knows_serves_batch_after_batch(connection: Connection) -> None:
    known = Known()
    for number in range(1, 6):
        await store_batch(connection, many(number, number), known=known)
    means = "SELECT meter, array_agg(mean ORDER BY sequence) FROM reading GROUP BY meter"
    found = await (await connection.execute(means)).fetchall()
    assert dict(found) == {"grid": [1.0, 2.0, 3.0, 4.0, 5.0], "solar": [-1.0] * 5}


async def test_sequences_of_another_generation_or_gateway_are_other_records(connection: Connection) -> None:
    for gateway, generation in (("gw-1", "0" * 32), ("gw-1", "1" * 32), ("gw-2", "0" * 32)):
        sent = batch([power(START_US, [1.0])], gateway=gateway, generation=generation)
        assert (await store_batch(connection, sent)).stored == 1
    assert (await counts(connection))["reading"] == 3


async def test_the_largest_batch_is_stored_like_any_other(connection: Connection) -> None:
    whole = many(1, BATCH_RECORDS_MAX)
    assert (await store_batch(connection, whole)).stored == BATCH_RECORDS_MAX
    assert (await store_batch(connection, whole)).stored == 0
    assert (await counts(connection))["reading"] == 2 * BATCH_RECORDS_MAX


async def test_senders_at_the_same_time_add_up_to_one(dsn: str) -> None:
    sent = [many(1, 40), many(20, 60), many(1, 60), many(30, 40)]

    async def send(one: Batch) -> int:
        async with await psycopg.AsyncConnection.connect(dsn) as own:
            return (await store_batch(own, one)).stored

    async with asyncio.TaskGroup() as senders:
        tasks = [senders.create_task(send(one)) for one in sent * 2]
    assert sum(task.result() for task in tasks) == 60
    async with await psycopg.AsyncConnection.connect(dsn) as own:
        assert (await counts(own)) | {"record": 60, "reading": 120} == await counts(own)


async def test_what_cannot_be_decoded_is_kept_as_bytes(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    acknowledgement = await store_batch(connection, batch([power(START_US, [1.0]), b"\xff\x00?"]))
    assert acknowledgement.stored == 2
    row = await only_row(connection, "SELECT kind, body FROM record WHERE sequence = 2")
    assert row == ("undecodable", b"\xff\x00?")
    assert "gateway=gw-1" in caplog.text
    caplog.clear()
    await store_batch(connection, batch([power(START_US, [1.0]), b"\xff\x00?"]))
    assert not caplog.text, "told once, not at each repetition"


async def test_of_what_is_expanded_the_digest_remains(connection: Connection) -> None:
    records = one_of_each()
    await store_batch(connection, batch(records))
    found = await (await connection.execute("SELECT digest, body FROM record ORDER BY sequence")).fetchall()
    digests = [hashlib.sha256(encode_record(record)).digest()[:16] for record in records]
    assert found == [(digest, None) for digest in digests]


async def test_a_failure_in_the_middle_stores_nothing(connection: Connection) -> None:
    await connection.execute("ALTER TABLE status ADD CHECK (event <> 'started')")
    await connection.commit()
    with pytest.raises(psycopg.errors.CheckViolation):
        await store_batch(connection, batch(one_of_each()))
    assert set((await counts(connection)).values()) == {0}


TEXT = st.text(max_size=8)
NUMBER = st.one_of(st.integers(-(2**63), 2**64 - 1), st.integers(START_US, START_US + 10**9))


def changed(record: Record, data: st.DataObject) -> Record:
    """`record` with one field replaced by anything of its type."""
    name = data.draw(st.sampled_from(record.__struct_fields__))
    match getattr(record, name):
        case str():
            value: object = data.draw(TEXT)
        case float() | None:
            value = data.draw(st.none() | st.floats())
        case int():
            value = data.draw(NUMBER)
        case [int() | None, *_]:
            value = data.draw(st.lists(NUMBER, max_size=3))
        case [str(), *_]:
            value = data.draw(st.lists(TEXT, max_size=3))
        case other:
            value = other
    return msgspec.structs.replace(record, **{name: value})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_record_that_can_be_sent_stops_a_batch(connection: Connection, data: st.DataObject) -> None:
    records = [changed(record, data) for record in one_of_each()]
    await connection.execute(f"TRUNCATE generation, block, reading_row, rollup_15min, {', '.join(KEPT)}".encode())
    await connection.commit()
    acknowledgement = await store_batch(connection, batch(records))
    assert acknowledgement.stored == len(records)
