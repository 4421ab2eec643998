"""What stands between a stranger and the database: headers, sizes, deadlines, signatures, rates."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import aiohttp
import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict

from cloud_trainer.ingest.limits import Limits, Rate
from cloud_trainer.ingest.settings import Settings
from gateway.contract.batches import BATCH_BYTES_MAX, encode_batch
from gateway.contract.signatures import Ed25519Signer
from tests.sim.cloud_records import batch, one_of_each
from tests.sim.signed_sender import BATCHES, Reply, Sender, before_an_ingest, know, unsigned

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BODY = encode_batch(batch(one_of_each()))


def records(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM record").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize(
    ("headers", "status", "word"),
    [
        ({"Content-Type": "application/json"}, 415, "content type application/json is not"),
        ({"Content-Encoding": "gzip"}, 415, "content encoding"),
        ({"Content-Encoding": "x"}, 415, "content encoding"),
        ({"Content-Encoding": "identity"}, 200, ""),
        ({"Content-Length": str(BATCH_BYTES_MAX + 1)}, 413, "larger than 4194304 bytes"),
    ],
)
async def test_what_cannot_be_a_batch_is_refused_before_it_is_read(
    sender: Sender, dsn: str, headers: dict[str, str | None], status: int, word: str
) -> None:
    reply = await sender.post(BODY, headers=headers)
    assert reply.status == status
    if word:
        assert word in reply.refusal.error
        assert records(dsn) == 0


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Signature": None}, "there is no header signature"),
        ({"Signature-Input": None}, "signature-input"),
        ({"SmartWatts-Gateway": "GW 1"}, "smartwatts-gateway"),
        ({"SmartWatts-Instance": "x"}, "smartwatts-instance"),
        ({"Content-Digest": "md5=:AA==:"}, "content-digest"),
    ],
)
async def test_a_request_that_does_not_say_who_sent_it_gets_an_answer_that_nobody_signed(
    sender: Sender, dsn: str, headers: dict[str, str | None], word: str
) -> None:
    signed: dict[str, str | None] = {**sender.signed(BODY, BATCHES, await sender.nonce())}
    told = {name: value for name, value in (signed | headers).items() if value is not None}
    async with sender.session.post(sender.url + BATCHES, data=io.BytesIO(BODY), headers=told) as response:
        assert response.status == 400
        assert word in str(unsigned(await response.read())["error"])
        assert "Signature" not in response.headers
    assert records(dsn) == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/batches", 404),
        ("GET", BATCHES, 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/nonce?gateway=A", 400),
    ],
)
async def test_there_is_nothing_else(sender: Sender, method: str, path: str, status: int) -> None:
    async with sender.session.request(method, sender.url + path) as response:
        assert response.status == status
        assert set(unsigned(await response.read())) == {"error", "hint", "conflict_from"}


async def refused(sender: Sender, dsn: str, reply: Reply, word: str) -> None:
    """It is a 401 that says why, nothing was stored, and the next nonce is in it."""
    assert reply.status == 401
    assert word in reply.refusal.error
    assert records(dsn) == 0


async def test_a_body_altered_on_the_way_is_refused(sender: Sender, dsn: str) -> None:
    altered = bytearray(BODY)
    altered[-1] ^= 1
    reply = await sender.post(BODY, sent_as=bytes(altered))
    await refused(sender, dsn, reply, "the body is not the one that was signed")
    assert (await sender.post(BODY, nonce=reply.next_nonce)).acknowledgement.stored == 6


async def test_a_digest_made_to_fit_an_altered_body_does_not_help(sender: Sender, dsn: str) -> None:
    other = encode_batch(batch(one_of_each()[:1]))
    nonce = await sender.nonce()
    digest = sender.signed(other, BATCHES, nonce)["Content-Digest"]
    reply = await sender.post(BODY, nonce=nonce, sent_as=other, headers={"Content-Digest": digest})
    await refused(sender, dsn, reply, "the signature is not by that key")


async def test_a_request_for_another_address_is_refused(sender: Sender, dsn: str) -> None:
    nonce = await sender.nonce()
    elsewhere = replace(sender, url="https://elsewhere.example").signed(BODY, BATCHES, nonce)
    reply = await sender.post(BODY, nonce=nonce, headers=dict(elsewhere))
    await refused(sender, dsn, reply, "the signature is not by that key")
    assert "public address" in reply.refusal.hint


async def test_a_query_is_part_of_the_address(sender: Sender, dsn: str) -> None:
    signed = sender.signed(BODY, BATCHES, await sender.nonce()) | {"Content-Type": "application/msgpack"}
    async with sender.session.post(f"{sender.url}{BATCHES}?a=b", data=io.BytesIO(BODY), headers=signed) as response:
        assert response.status == 401
    assert records(dsn) == 0


async def test_a_nonce_of_another_gateway_or_of_nobody_is_refused_and_the_answer_brings_one(
    sender: Sender, dsn: str
) -> None:
    for nonce in (await replace(sender, gateway="gw-2").nonce(), "made-up", "a.b"):
        reply = await sender.post(BODY, nonce=nonce)
        await refused(sender, dsn, reply, "the nonce was not given to this gateway")
    assert (await sender.post(BODY, nonce=reply.next_nonce)).status == 200


async def test_an_unknown_gateway_and_an_unknown_key_get_the_same_answer(sender: Sender, dsn: str) -> None:
    strangers = [
        replace(sender, gateway="gw-9"),
        replace(sender, signer=Ed25519Signer(Ed25519PrivateKey.generate())),
    ]
    replies = [await stranger.post(BODY) for stranger in strangers]
    assert replies[0].body == replies[1].body
    await refused(sender, dsn, replies[0], "no gateway of this name has this key")


async def test_the_key_of_one_gateway_does_not_open_for_another(sender: Sender, dsn: str) -> None:
    other = know(dsn, replace(sender, gateway="gw-2", signer=Ed25519Signer(Ed25519PrivateKey.generate())))
    await refused(sender, dsn, await replace(other, gateway="gw-1").post(BODY), "no gateway of this name")
    reply = await other.post(BODY)
    assert reply.status == 422
    assert reply.refusal.error == "the batch is of gw-1, and gw-2 sent it"
    assert records(dsn) == 0


@pytest.mark.parametrize("body", [b"", b"\x01\x02", BODY[:-1], gzip.compress(bytes(10_000_000))])
async def test_a_signed_body_that_is_no_batch_is_a_data_fault(sender: Sender, dsn: str, body: bytes) -> None:
    reply = await sender.post(body)
    assert reply.status == 400
    assert "batch cannot be decoded" in reply.refusal.error
    assert records(dsn) == 0


async def in_chunks(chunks: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(chunks):
        yield bytes(size)


async def test_a_body_of_unknown_length_ends_at_the_limit(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(batch_bytes_max=100_000)) as sender:
        signed = sender.signed(BODY, BATCHES, await sender.nonce()) | {"Content-Type": "application/msgpack"}
        async with (
            aclosing(in_chunks(11, 10_000)) as chunks,
            sender.session.post(sender.url + BATCHES, data=chunks, headers=signed) as response,
        ):
            assert response.status == 413
            assert "larger than 100000 bytes" in str(unsigned(await response.read())["error"])
        assert (await sender.post(BODY)).status == 200


def head(sender: Sender, nonce: str, length: int) -> bytes:
    told = sender.signed(BODY, BATCHES, nonce) | {
        "Content-Type": "application/msgpack",
        "Content-Length": str(length),
    }
    lines = [f"POST {BATCHES} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_body_that_comes_too_slowly_is_given_up(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(body_s=0.2, body_bytes_per_s=1e9)) as sender:
        assert sender.ports is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", sender.ports.port)
        writer.write(head(sender, await sender.nonce(), len(BODY)) + BODY[:-1])
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"Signature: " in answer
        writer.close()
        assert (await sender.post(BODY)).status == 200
    assert records(dsn) == 6


@pytest.mark.parametrize("ending", [b"", b"zz\r\n"], ids=["cut off", "no chunk"])
async def test_a_body_that_ends_in_the_middle_stores_nothing(sender: Sender, dsn: str, ending: bytes) -> None:
    assert sender.ports is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", sender.ports.port)
    start = head(sender, await sender.nonce(), len(BODY))
    if ending:
        start = start.replace(f"Content-Length: {len(BODY)}".encode(), b"Transfer-Encoding: chunked")
    writer.write(start + (ending or BODY[:-5]))
    writer.write_eof()
    assert b" 200 " not in await reader.read()
    writer.close()
    await writer.wait_closed()
    assert records(dsn) == 0
    assert (await sender.post(BODY)).status == 200


async def test_a_sender_that_is_gone_in_the_middle_is_no_fault_of_ours(
    sender: Sender, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert sender.ports is not None
    _, writer = await asyncio.open_connection("127.0.0.1", sender.ports.port)
    writer.write(head(sender, await sender.nonce(), len(BODY)) + BODY[:-5])
    async with asyncio.timeout(10):
        while not await sender.metric("smartwatts_ingest_bodies_held_bytes"):
            pass
        writer.transport.abort()
        while await sender.metric("smartwatts_ingest_bodies_held_bytes"):
            pass
    assert (await sender.post(BODY)).status == 200
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


async def test_bodies_that_never_end_leave_room_for_others(settings: Settings, dsn: str) -> None:
    limits = Limits(bodies_bytes_max=1_000_000, address_bodies_bytes_max=100_000)
    async with before_an_ingest(settings, limits) as sender:
        assert sender.ports is not None
        slow = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", sender.ports.port, local_addr=("127.0.2.1", 0)
            )
            writer.write(head(sender, await sender.nonce(), 90_000))
            slow.append((reader, writer))
        # the second one is more than the share of this address
        async with asyncio.TaskGroup() as group:
            first = [group.create_task(reader.readuntil(b"\r\n\r\n")) for reader, _ in slow]
            done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            answer = done.pop().result()
            for task in first:
                task.cancel()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 10" in answer
        assert (await sender.post(BODY)).status == 200
        for _, writer in slow:
            writer.close()


async def test_a_gateway_that_sends_too_often_waits_and_others_do_not(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(gateway=Rate(burst=3, per_s=0.01))) as sender:
        other = know(dsn, replace(sender, gateway="gw-2", signer=Ed25519Signer(Ed25519PrivateKey.generate())))
        assert [(await sender.post(BODY)).status for _ in range(4)] == [200, 200, 200, 429]
        reply = await sender.post(BODY)
        assert 90 <= int(reply.headers["Retry-After"]) <= 100
        assert reply.refusal.error == "this gateway sends too often"
        assert (await other.send(msgspec.structs.replace(batch(one_of_each()), gateway="gw-2"))).status == 200


async def test_strangers_cannot_use_up_the_rate_of_a_gateway(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(gateway=Rate(burst=1, per_s=0.01))) as sender:
        for _ in range(5):
            assert (await sender.post(BODY, sent_as=BODY + b" ")).status == 401
        assert (await sender.post(BODY)).status == 200


async def test_an_address_that_fails_too_often_is_not_looked_at_any_more(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(failures=Rate(burst=3, per_s=0.01))) as sender:
        stranger = replace(sender, gateway="gw-9")
        assert [(await stranger.post(BODY)).status for _ in range(4)] == [401, 401, 401, 429]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.2.1", 0))) as session:
            assert (await replace(sender, session=session).post(BODY)).status == 200


async def test_behind_a_proxy_each_address_counts_for_itself(settings: Settings, dsn: str) -> None:
    behind = msgspec.structs.replace(settings, proxies=("127.0.0.1",))
    async with before_an_ingest(behind, Limits(failures=Rate(burst=1, per_s=0.01))) as sender:
        stranger = replace(sender, gateway="gw-9")
        bad: dict[str, str | None] = {"X-Forwarded-For": "1.1.1.1, 203.0.113.9"}
        assert [(await stranger.post(BODY, headers=bad)).status for _ in range(2)] == [401, 429]
        assert (await sender.post(BODY, headers={"X-Forwarded-For": "203.0.113.9, 203.0.113.8"})).status == 200


async def test_what_a_stranger_says_above_the_line_of_a_proxy_is_not_its_word(settings: Settings, dsn: str) -> None:
    behind = msgspec.structs.replace(settings, proxies=("127.0.0.1",))
    async with before_an_ingest(behind, Limits(failures=Rate(burst=1, per_s=0.01))) as sender:
        stranger = replace(sender, gateway="gw-9")
        statuses = []
        for number in range(2):
            headers = CIMultiDict(stranger.signed(BODY, BATCHES, await stranger.nonce()))
            headers.add("X-Forwarded-For", f"198.51.100.{number}")
            headers.add("X-Forwarded-For", "203.0.113.9")
            async with stranger.session.post(stranger.url + BATCHES, data=BODY, headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [401, 429]


async def test_without_a_proxy_nobody_can_say_to_be_somewhere_else(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(failures=Rate(burst=1, per_s=0.01))) as sender:
        stranger = replace(sender, gateway="gw-9")
        statuses = [
            (await stranger.post(BODY, headers={"X-Forwarded-For": f"203.0.113.{number}"})).status
            for number in range(2)
        ]
        assert statuses == [401, 429]


async def test_what_is_refused_is_counted(sender: Sender, dsn: str) -> None:
    await sender.post(BODY)
    await sender.post(BODY, sent_as=BODY + b" ")
    await sender.post(BODY, nonce="made-up")
    count = sender.metric
    assert await count("smartwatts_ingest_refusals_total", reason="signature") == 1
    assert await count("smartwatts_ingest_refusals_total", reason="nonce") == 1
    assert await count("smartwatts_ingest_requests_total", endpoint="batches", status="401") == 2
    assert await count("smartwatts_ingest_requests_total", endpoint="batches", status="200") == 1
    assert await count("smartwatts_ingest_records_total", outcome="stored") == 6
    assert await count("smartwatts_ingest_request_seconds_count", endpoint="batches") == 3
    assert await count("smartwatts_ingest_body_bytes_total") == len(BODY)
