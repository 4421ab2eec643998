"""A fleet before one ingest process: 10,000 gateways of 40 series, each minute a block, every five minutes an upload.

All of them have their turn at the same instant, which the phases of real gateways prevent; what keeps them apart is
the number of connections of the client. Two windows of real time follow each other: a gateway counts when both of
its uploads were acknowledged, signed, before their window was over. The bodies lie ready before a window begins;
signing, and believing what was signed, is the client's work within it. Rows are counted in PostgreSQL.

All gateways are new in the first window: 400,000 series get their numbers then. The second one is every later one.
"""

import asyncio
import contextlib
import math
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.embedded import EmbeddedPostgres
from cloud_trainer.ingest.migrate import migrate
from cloud_trainer.ingest.server_key import load_keys
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, Quality, Series, UtcUs
from gateway.contract.batches import Batch, StoredRecord, decode_acknowledgement, encode_batch
from gateway.contract.enrolment import NONCE_PATH, Nonce
from gateway.contract.readings import pack_block
from gateway.contract.records import Aggregate, encode_record
from gateway.contract.signatures import Ed25519Signer, SignedReply, sign_request, target_uri, verify_reply
from tests.bench.ingest import ingest_program

GATEWAYS = 10_000
WINDOW_S = 300.0
WINDOWS = 2
METERS, VALUES = 2, 20
SERIES = METERS * VALUES
BLOCKS = 5  # of an upload, one for each minute
# Connections of the client at one time: half of them wait for the disk while the others are being read.
CONNECTIONS = 16
# Sets of blocks; a gateway sends one of them under its own name.
VARIANTS = 50
PERIOD_US = 60 * US_PER_S
START_US = UtcUs(1_790_000_040 * US_PER_S)
DAY_S = 86_400
MB = 1_000_000
# What the question about 200 series is asked for.
LARGE_SERIES = 200
PATH = "/v1/batches"
INSTANCE = "0011223344556677"


@dataclass
class Gateway:
    """One of the fleet. `nonce` comes with each answer and is good for the next upload."""

    name: str
    bodies: list[bytes]
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(Ed25519PrivateKey.generate()))
    nonce: str | None = None
    acknowledged: int = 0


class Window(NamedTuple):
    """How one went: seconds from its begin to its last answer, of each upload, and bytes both ways."""

    busy_s: float
    request_s: list[float]
    wire_bytes: int
    database_bytes: int


def bench(gateways: int = GATEWAYS, window_s: float = WINDOW_S) -> Iterator[tuple[str, float, str, float | None]]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = stack.enter_context(EmbeddedPostgres(folder / "postgresql"))
        with psycopg.connect(dsn) as connection:
            migrate(connection)
            connection.execute("SELECT create_months(ARRAY[instant(%s)])", (START_US,))
        url = stack.enter_context(ingest_program(folder, dsn, 1))
        fleet = _fleet(gateways)
        _enrol(dsn, fleet)
        public_keys = {key.signer.key_id: key.signer.public for key in load_keys(folder / "keys")}
        windows = asyncio.run(_run(Client(url, public_keys), fleet, dsn, window_s))
        acknowledged = sum(gateway.acknowledged for gateway in fleet)
        # those that were cut off by the end of a window may be there, too
        for table, each in (("record", BLOCKS), ("reading_row", BLOCKS * SERIES)):
            rows = _count(dsn, f"SELECT count(*) FROM {table}")
            assert acknowledged * each <= rows <= gateways * WINDOWS * each, f"{rows} rows in {table}"
            assert rows == acknowledged * each or acknowledged < gateways * WINDOWS, f"{rows} rows in {table}"
    in_both = sum(gateway.acknowledged == WINDOWS for gateway in fleet)
    slowest_s = max(_p99(window.request_s) for window in windows)
    last = windows[-1]
    days = window_s / DAY_S
    rows_per_s = len(last.request_s) * BLOCKS * SERIES / last.busy_s
    yield "fleet.gateways", in_both, "gateways", gateways
    yield "fleet.request_ms_p99", round(1000 * slowest_s, 1), "ms", 2000
    yield "fleet.mb_per_gateway_day", round(last.wire_bytes / gateways / days / MB, 3), "MB", None
    yield "fleet.database_mb_per_gateway_day", round(last.database_bytes / gateways / days / MB, 3), "MB", None
    # no queue grows: the second window is not longer than the first one, and both are over in time
    yield "fleet.busy_s", round(last.busy_s, 1), "s", round(windows[0].busy_s, 1)
    yield "fleet.rows_per_s", round(rows_per_s), "rows/s", round(gateways * SERIES * BLOCKS / window_s)
    needed = gateways * LARGE_SERIES / 60 / rows_per_s
    yield f"fleet.processes_for_{LARGE_SERIES}_series", math.ceil(needed), "processes", None


async def _run(client: "Client", fleet: list[Gateway], dsn: str, window_s: float) -> list[Window]:
    """The windows, one after the other in real time; an answer that comes after its window does not count."""
    began_s = time.perf_counter()
    windows = []
    for number in range(WINDOWS):
        opens_s = began_s + number * window_s
        await asyncio.sleep(max(0.0, opens_s - time.perf_counter()))
        size_before = _count(dsn, "SELECT pg_database_size(current_database())")
        client.wire_bytes, client.request_s = 0, []
        waiting = iter(fleet)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(opens_s + window_s - time.perf_counter()), asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(client.upload_all(waiting, number))
        busy_s = time.perf_counter() - opens_s
        growth = _count(dsn, "SELECT pg_database_size(current_database())") - size_before
        windows.append(Window(busy_s, client.request_s, client.wire_bytes, growth))
    return windows


class Client:
    """What all gateways send, over a few connections; every byte on the wire is counted."""

    def __init__(self, url: str, public_keys: dict[str, bytes]) -> None:
        self._url, self._public_keys = url, public_keys
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self.wire_bytes = 0
        self.request_s: list[float] = []

    async def upload_all(self, waiting: Iterator[Gateway], window: int) -> None:
        """Upload for one gateway after another, over one connection."""
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        try:
            for gateway in waiting:
                await self._upload(reader, writer, gateway, window)
        finally:
            writer.close()

    async def _upload(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gateway: Gateway, window: int
    ) -> None:
        if gateway.nonce is None:
            target = f"{NONCE_PATH}?gateway={gateway.name}"
            _, _, answer = await self._exchange(reader, writer, f"GET {target} HTTP/1.1", {}, b"")
            gateway.nonce = msgspec.json.decode(answer, type=Nonce).nonce
        # good for one request, whatever becomes of it
        nonce, gateway.nonce = gateway.nonce, None
        body = gateway.bodies[window]
        headers = sign_request(
            gateway.signer,
            method="POST",
            target=target_uri(self._url, PATH),
            body=body,
            gateway=gateway.name,
            instance=INSTANCE,
            nonce=nonce,
            created_s=0,
        )
        began_s = time.perf_counter()
        status, told, answer = await self._exchange(
            reader, writer, f"POST {PATH} HTTP/1.1", headers | {"Content-Type": "application/msgpack"}, body
        )
        self.request_s.append(time.perf_counter() - began_s)
        reply: SignedReply = verify_reply(
            told,
            status=status,
            body=answer,
            nonce=nonce,
            request=headers["Signature"],
            public_keys=self._public_keys,
        )
        gateway.nonce = reply.next_nonce
        if status == 200 and decode_acknowledgement(answer).acknowledged == (window + 1) * BLOCKS:
            gateway.acknowledged += 1

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        line: str,
        headers: dict[str, str],
        body: bytes,
    ) -> tuple[int, dict[str, str], bytes]:
        told = {"Host": f"{self._host}:{self._port}", "Content-Length": str(len(body))} | headers
        lines = [line, *(f"{name}: {value}" for name, value in told.items()), "", ""]
        request = "\r\n".join(lines).encode() + body
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        found = dict(re.findall(r"^([!-9;-~]+): (.*)\r$", head, re.MULTILINE))
        answer = await reader.readexactly(int(found["Content-Length"]))
        self.wire_bytes += len(request) + len(head) + len(answer)
        return int(head.split(" ", 2)[1]), found, answer


def _fleet(gateways: int) -> list[Gateway]:
    """Gateways with the bodies of all their windows."""
    variants = [_records(seed) for seed in range(VARIANTS)]
    fleet = []
    for number in range(gateways):
        name, records = f"gw-{number:05}", variants[number % VARIANTS]
        windows = [records[first : first + BLOCKS] for first in range(0, WINDOWS * BLOCKS, BLOCKS)]
        bodies = [
            encode_batch(Batch(name, f"{number:032x}", window * BLOCKS, sent)) for window, sent in enumerate(windows)
        ]
        fleet.append(Gateway(name, bodies))
    return fleet


def _records(seed: int) -> list[StoredRecord]:
    """A block a minute, values that move as measured ones do: much in the power, little in the voltage."""
    chance = np.random.default_rng(seed)
    series = [
        Series(MeterId(f"meter-{meter}"), measurand)
        for meter in range(METERS)
        for measurand in list(Measurand)[:VALUES]
    ]
    level, records = chance.normal(1000, 300, SERIES), []
    for number in range(WINDOWS * BLOCKS):
        start_us = UtcUs(START_US + number * PERIOD_US)
        level += chance.normal(0, 20, SERIES)
        spread = chance.uniform(0, 20, (2, SERIES))
        aggregates = [
            Aggregate(one, mean, mean - low, mean + high, 60, Quality.GOOD)
            for one, mean, low, high in zip(series, level.tolist(), *spread.tolist(), strict=True)
        ]
        last_us = UtcUs(start_us + PERIOD_US - US_PER_S)
        block = pack_block(aggregates, start_us=start_us, period_us=PERIOD_US, first_us=start_us, last_us=last_us)
        records.append(StoredRecord(number + 1, UtcUs(start_us + PERIOD_US), encode_record(block)))
    return records


def _enrol(dsn: str, fleet: list[Gateway]) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY gateway (gateway_id, organisation_id, site_id) FROM STDIN") as copy:
            for gateway in fleet:
                copy.write_row((gateway.name, "default", "default"))
        with cursor.copy("COPY gateway_key (gateway_id, key_id, public_key) FROM STDIN") as copy:
            for gateway in fleet:
                copy.write_row((gateway.name, gateway.signer.key_id, gateway.signer.public))
        cursor.execute("ANALYZE gateway, gateway_key")


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[98]


def _count(dsn: str, query: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
