"""What ingest takes in, end to end: signed HTTP, signatures, unpacking, exactly once, rollups, commit with fsync.

Bodies are made and signed beforehand, each with a nonce of its own; a client of a few connections writes them to
`smartwatts-trainer ingest` on the same machine and counts what was acknowledged. Rows are counted in PostgreSQL.

Baseline: the rows alone, of as many records, by one connection into the same table: parameters prepared outside
the timer, binary arrays, 2,000 rows a commit. What nothing but rows could do at best, one binary COPY of bytes that
lie ready, is printed beside. The rounds take turns, so that whatever else the machine does is done to all.
"""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.arrays import ArrayDumper
from cloud_trainer.ingest.entry import read_entries
from cloud_trainer.ingest.migrate import migrate
from cloud_trainer.ingest.reading_rows import COPY_READINGS, ReadingRows, copy_bytes, reading_rows
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.contract.batches import Batch, StoredRecord, decode_acknowledgement, encode_batch
from gateway.contract.enrolment import NONCE_PATH, Nonce
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, ReadingsBlock, encode_record
from gateway.contract.signatures import Ed25519Signer, sign_request, target_uri

METERS, VALUES = 10, 20
SERIES = METERS * VALUES
BLOCKS = 10  # of a body: 2,000 rows, as many as the baseline commits at once
GATEWAYS = 20
BODIES = 6  # of a gateway, in a round: within what it may send at once
ROUNDS = 5
ROWS = GATEWAYS * BODIES * BLOCKS * SERIES
CONNECTIONS = 8
PERIOD_US = 60 * US_PER_S
START_US = UtcUs(1_790_000_040 * US_PER_S)
INSTANCE = "0011223344556677"

INSERT_ROWS = """
INSERT INTO reading_row (sequence, period_start, series_id, mean, minimum, maximum, count, quality, generation_id)
SELECT sequence, instant(start_us), series_id, mean, minimum, maximum, count, quality, %b
FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::double precision[], %b::double precision[],
            %b::double precision[], %b::bigint[], %b::bigint[])
     AS sent (sequence, start_us, series_id, mean, minimum, maximum, count, quality)
"""


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgresql"))
        with psycopg.connect(dsn) as connection:
            migrate(connection)
            connection.execute("SELECT create_months(ARRAY[instant(%s)])", (START_US,))
        servers = {count: stack.enter_context(ingest_program(folder, dsn, count)) for count in (1, 2)}
        batches = _batches()
        rates: dict[str, list[float]] = {"insert": [], "copy": [], "1": [], "2": []}
        replayed = 0
        for number in range(ROUNDS):
            for how in ("insert", "copy"):
                rates[how].append(_bare(dsn, batches, how))
            for count, url in servers.items():
                gateways = [Gateway(f"gw-{count}-{number}-{i}", url) for i in range(GATEWAYS)]
                _enrol(dsn, gateways)
                before = _rows(dsn)
                spent_s, stored = asyncio.run(_send(_signed(gateways, batches), url))
                assert stored == GATEWAYS * BODIES * BLOCKS
                assert _rows(dsn) - before == ROWS
                rates[str(count)].append(ROWS / spent_s)
                if number == 0:
                    replayed += asyncio.run(_send(_signed(gateways, batches), url))[1]
                    assert _rows(dsn) - before == ROWS
    found = {name: round(median(values)) for name, values in rates.items()}
    yield "ingest.rows_per_s_1", found["1"], "rows/s", found["insert"]
    yield "ingest.rows_per_s_2", found["2"], "rows/s", found["insert"]
    yield "ingest.bare_copy_rows_per_s", found["copy"], "rows/s", found["insert"]
    yield "ingest.replayed_records_stored", replayed, "records", None


@dataclass(frozen=True)
class Gateway:
    """One that is enrolled; its key signs what it sends."""

    name: str
    url: str
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(Ed25519PrivateKey.generate()))


@contextlib.contextmanager
def ingest_program(folder: Path, dsn: str, processes: int) -> Iterator[str]:
    """The production command in processes of its own; gives its address."""
    (folder / "dsn").write_text(dsn)
    port_file = folder / f"port-{processes}"
    command = [
        *(sys.executable, "-m", "cloud_trainer", "ingest", "--dsn", f"@{folder / 'dsn'}", "--keys", folder / "keys"),
        *("--port", "0", "--port-file", port_file, "--processes", str(processes)),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while not port_file.exists():
                assert process.poll() is None, "ingest did not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()


def _batches() -> list[Batch]:
    """What each gateway sends in a round."""
    chance = np.random.default_rng(1)
    series = [
        Series(MeterId(f"meter-{meter}"), measurand)
        for meter in range(METERS)
        for measurand in list(Measurand)[:VALUES]
    ]
    records = []
    for number in range(BODIES * BLOCKS):
        start_us = UtcUs(START_US + number * PERIOD_US)
        aggregates = [
            Aggregate(one, mean, mean - low, mean + high, 60, Quality.GOOD)
            for one, mean, low, high in zip(
                series,
                *(chance.normal(1000, 300, SERIES).tolist(), *chance.uniform(0, 20, (2, SERIES)).tolist()),
                strict=True,
            )
        ]
        last_us = UtcUs(start_us + PERIOD_US - US_PER_S)
        block = pack_block(aggregates, start_us=start_us, period_us=PERIOD_US, first_us=start_us, last_us=last_us)
        records.append(StoredRecord(number + 1, UtcUs(start_us + PERIOD_US), encode_record(block)))
    return [
        Batch("", "0" * 32, first, records[first : first + BLOCKS]) for first in range(0, BODIES * BLOCKS, BLOCKS)
    ]


# --- the baseline -----------------------------------------------------------------------------------


def _bare(dsn: str, batches: list[Batch], how: str) -> float:
    """Rows a second of as many rows as a round has."""
    prepared = [_prepared(batch, gateway, how) for gateway in range(GATEWAYS) for batch in batches]
    with psycopg.connect(dsn) as connection:
        connection.adapters.register_dumper(np.ndarray, ArrayDumper)
        began_s = time.perf_counter()
        for parameters in prepared:
            if isinstance(parameters, bytes):
                with connection.cursor() as cursor, cursor.copy(COPY_READINGS) as copy:
                    copy.write(parameters)
            else:
                connection.execute(INSERT_ROWS, parameters)
            connection.commit()
        return ROWS / (time.perf_counter() - began_s)


def _prepared(batch: Batch, gateway: int, how: str) -> bytes | tuple[object, ...]:
    generation_id = 1_000_000 + gateway
    rows = _rows_of(batch, generation_id)
    if how == "copy":
        return copy_bytes(rows, generation_id)
    values = (rows.mean, rows.minimum, rows.maximum, rows.count, rows.quality.astype(np.int64))
    return generation_id, rows.sequence, rows.period_start_us, rows.series_id, *values


def _rows_of(batch: Batch, generation_id: int) -> ReadingRows:
    numbers = np.arange(SERIES) + SERIES * generation_id % 2**30
    return reading_rows(
        [
            (entry.sequence, entry.record, entry.columns, numbers)
            for entry in read_entries(batch)
            if isinstance(entry.record, ReadingsBlock) and entry.columns is not None
        ]
    )


# --- the client -------------------------------------------------------------------------------------


def _enrol(dsn: str, gateways: list[Gateway]) -> None:
    with psycopg.connect(dsn) as connection:
        for gateway in gateways:
            connection.execute("INSERT INTO gateway VALUES (%s, 'default', 'default')", (gateway.name,))
            connection.execute(
                "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES (%s, %s, %s)",
                (gateway.name, gateway.signer.key_id, gateway.signer.public),
            )


def _signed(gateways: list[Gateway], batches: list[Batch]) -> list[list[bytes]]:
    """The requests of each gateway, ready for the wire."""
    return [[_request(gateway, batch) for batch in batches] for gateway in gateways]


def _request(gateway: Gateway, batch: Batch) -> bytes:
    with urllib.request.urlopen(f"{gateway.url}{NONCE_PATH}?gateway={gateway.name}") as answer:
        nonce = msgspec.json.decode(answer.read(), type=Nonce).nonce
    path, body = "/v1/batches", encode_batch(msgspec.structs.replace(batch, gateway=gateway.name))
    headers = sign_request(
        gateway.signer,
        method="POST",
        target=target_uri(gateway.url, path),
        body=body,
        gateway=gateway.name,
        instance=INSTANCE,
        nonce=nonce,
        created_s=0,
    )
    headers |= {"Host": gateway.url.removeprefix("http://"), "Content-Type": "application/msgpack"}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _send(requests: list[list[bytes]], url: str) -> tuple[float, int]:
    """Send all requests, those of a gateway one after the other; how long it took, and how many records were new."""
    host, _, port = url.removeprefix("http://").partition(":")
    waiting = list(requests)
    stored = 0

    async def connection() -> None:
        nonlocal stored
        reader, writer = await asyncio.open_connection(host, int(port))
        while waiting:
            for request in waiting.pop():
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                stored += decode_acknowledgement(await reader.readexactly(length)).stored
        writer.close()

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as connections:
        for _ in range(CONNECTIONS):
            connections.create_task(connection())
    return time.perf_counter() - began_s, stored


def _rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM reading_row").fetchone()
    assert row is not None
    return int(row[0])
