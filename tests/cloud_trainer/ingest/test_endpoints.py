"""What an ingest does for gateways it knows, and for those that want to be known."""

import logging
from dataclasses import replace
from pathlib import Path

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.database import connect
from cloud_trainer.fleet.claims import Terms, create_claims, revoke_claim
from cloud_trainer.fleet.gateways import restore_gateway, revoke_gateway
from cloud_trainer.ingest.limits import Limits, Rate
from cloud_trainer.ingest.server_key import create_key, load_keys
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.clock import SystemClock
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.enrolment import (
    Enrolled,
    EnrolRequest,
    Rotated,
    RotateRequest,
    decode_key,
    decode_message,
    encode_bytes,
    encode_message,
    read_code,
    rotation_message,
)
from gateway.contract.signatures import Ed25519Signer
from tests.sim.cloud_records import START_US, batch, one_of_each, power
from tests.sim.signed_sender import ENROLL, ROTATE, Reply, Sender, before_an_ingest

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BATCH = batch(one_of_each())
NOW_US = SystemClock().utc_us()


def new_signer() -> Ed25519Signer:
    return Ed25519Signer(Ed25519PrivateKey.generate())


def column(dsn: str, query: str) -> list[object]:
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(query.encode())]


# --- batches ------------------------------------------------------------------------------------------------


async def test_a_replayed_request_is_stored_once_and_the_answer_brings_a_nonce_that_works(
    sender: Sender, dsn: str
) -> None:
    nonce = await sender.nonce()
    assert (await sender.send(BATCH, nonce)).acknowledgement.stored == 6
    reply = await sender.send(BATCH, nonce)
    assert (reply.status, reply.refusal.error) == (401, "the nonce was used before")
    assert (await sender.send(BATCH, reply.next_nonce)).acknowledgement.stored == 0
    assert column(dsn, "SELECT count(*) FROM record") == [6]


async def test_of_two_nonces_the_older_one_is_spent_with_the_younger(sender: Sender) -> None:
    older, younger = await sender.nonce(), await sender.nonce()
    assert (await sender.send(BATCH, younger)).status == 200
    assert (await sender.send(BATCH, older)).status == 401


async def test_a_request_that_stored_nothing_leaves_its_nonce(sender: Sender, dsn: str) -> None:
    """Nonce and work are one transaction."""
    nonce = await sender.nonce()
    assert (await sender.post(b"no batch", nonce=nonce)).status == 400
    assert column(dsn, "SELECT nonce_us FROM gateway WHERE gateway_id = 'gw-1'") == [0]
    assert (await sender.send(BATCH, nonce)).status == 200
    assert column(dsn, "SELECT nonce_us > 0 FROM gateway WHERE gateway_id = 'gw-1'") == [True]


async def test_other_bytes_under_a_sequence_are_a_conflict_from_there_on(sender: Sender, dsn: str) -> None:
    first = batch([power(START_US + number * 300_000_000, [float(number)]) for number in range(4)])
    assert (await sender.send(first)).status == 200
    other = batch([power(START_US, [9.0]), power(START_US, [8.0])], first=3)
    reply = await sender.send(other)
    assert (reply.status, reply.refusal.conflict_from) == (409, 3)
    assert column(dsn, "SELECT count(*) FROM record") == [4]
    again = msgspec.structs.replace(other, generation="f" * 32)
    assert (await sender.send(again, reply.next_nonce)).acknowledgement.stored == 2


async def test_a_cloud_put_back_from_a_backup_asks_for_what_it_lost(sender: Sender, dsn: str) -> None:
    assert (await sender.send(batch(one_of_each()))).status == 200
    lost = batch([power(START_US, [1.0])], first=9)
    reply = await sender.send(msgspec.structs.replace(lost, acknowledged=8))
    assert reply.acknowledgement.resume_after == 6


async def test_a_revoked_gateway_gets_a_signed_word_and_nothing_in_however_fresh_it_was_looked_up(
    sender: Sender, dsn: str
) -> None:
    reply = await sender.send(batch(one_of_each()[:1]))
    with connect(dsn) as connection:
        revoke_gateway(connection, "default", "gw-1", NOW_US)
    for _ in range(2):
        reply = await sender.send(BATCH, reply.next_nonce)
        assert (reply.status, reply.refusal.error) == (403, "this gateway was revoked")
    assert column(dsn, "SELECT count(*) FROM record") == [1]
    with connect(dsn) as connection:
        restore_gateway(connection, "default", "gw-1", NOW_US)
    assert (await sender.send(BATCH, reply.next_nonce)).acknowledgement.stored == 5


async def test_a_revoked_gateway_is_told_so_only_when_it_proves_to_be_that_one(sender: Sender, dsn: str) -> None:
    with connect(dsn) as connection:
        revoke_gateway(connection, "default", "gw-1", NOW_US)
    assert (await sender.post(b"x", sent_as=b"y")).status == 401
    assert (await sender.send(BATCH)).status == 403


async def test_a_copy_of_a_gateway_makes_it_suspect_and_its_data_is_still_taken(
    sender: Sender, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    suspect = "SELECT suspect_since IS NOT NULL FROM gateway WHERE gateway_id = 'gw-1'"
    restarted = replace(sender, instance="1111111111111111")
    for one in (sender, restarted, restarted, replace(sender, instance="2222222222222222")):
        assert (await one.send(BATCH)).status == 200
        assert column(dsn, suspect) == [False]
    assert (await restarted.send(BATCH)).status == 200
    assert column(dsn, suspect) == [True]
    assert "gateway may be copied" in caplog.text
    assert "1111111111111111" in caplog.text
    assert (await sender.send(BATCH)).status == 200
    assert await sender.metric("smartwatts_ingest_suspects_total") == 1


# --- enrolment --------------------------------------------------------------------------------------------------


def new_claim(dsn: str, **terms: object) -> str:
    """A code, as a gateway reads it."""
    with connect(dsn) as connection:
        (claim,) = create_claims(connection, "default", Terms(site="home", **terms), NOW_US)  # type: ignore[arg-type]
    return read_code(claim.code)


async def enrol(sender: Sender, code: str, **change: object) -> Reply:
    request = EnrolRequest(code, sender.gateway, encode_bytes(sender.signer.public), "a board", "0.1.0")
    return await sender.post(encode_message(msgspec.structs.replace(request, **change)), ENROLL)


@pytest.fixture
def stranger(sender: Sender) -> Sender:
    return replace(sender, gateway="gw-new", signer=new_signer())


async def test_a_claim_makes_a_gateway_that_may_send(stranger: Sender, dsn: str) -> None:
    code = new_claim(dsn)
    reply = await enrol(stranger, code)
    enrolled = decode_message(reply.body, Enrolled)
    assert (enrolled.gateway, enrolled.organisation, enrolled.site) == ("gw-new", "default", "home")
    assert [decode_key(key) for key in enrolled.server_keys] == [
        key.signer.public for key in load_keys(stranger.server_keys)
    ]
    assert abs(enrolled.time_us - SystemClock().utc_us()) < 60 * US_PER_S
    mine = msgspec.structs.replace(BATCH, gateway="gw-new")
    assert (await stranger.send(mine, reply.next_nonce)).acknowledgement.stored == 6
    # a lost answer does not burn the code
    again = decode_message((await enrol(stranger, code)).body, Enrolled)
    assert msgspec.structs.replace(again, time_us=enrolled.time_us) == enrolled


async def test_unknown_expired_and_revoked_codes_get_the_same_words(stranger: Sender, dsn: str) -> None:
    revoked = new_claim(dsn)
    with connect(dsn) as connection:
        revoke_claim(connection, "default", 1, NOW_US)
    expired = new_claim(dsn)
    with connect(dsn) as connection:
        connection.execute("UPDATE claim SET expires_at = created_at WHERE claim_id = 2")
    replies = [await enrol(stranger, code) for code in ("0" * 20, revoked, expired)]
    assert {(reply.status, reply.body) for reply in replies} == {(403, replies[0].body)}
    assert column(dsn, "SELECT count(*) FROM gateway WHERE gateway_id = 'gw-new'") == [0]


async def test_a_used_code_with_another_key_is_a_conflict(stranger: Sender, dsn: str) -> None:
    code = new_claim(dsn)
    assert (await enrol(stranger, code)).status == 200
    reply = await enrol(replace(stranger, signer=new_signer(), gateway="gw-other"), code)
    assert (reply.status, reply.refusal.error) == (409, "this code was used already")
    assert reply.refusal.hint == "ask whoever runs the cloud for a new code"


async def test_nobody_enrols_a_key_that_it_does_not_hold(stranger: Sender, dsn: str) -> None:
    code = new_claim(dsn)
    reply = await enrol(stranger, code, public_key=encode_bytes(new_signer().public))
    assert reply.status == 401
    reply = await enrol(stranger, code, gateway="gw-other")
    assert (reply.status, reply.refusal.error) == (422, "the request names two gateways")
    assert column(dsn, "SELECT count(*) FROM claim WHERE used_at IS NOT NULL") == [0]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b"{" * 10_000, b'{"code": 1}'])
@pytest.mark.parametrize("path", [ENROLL, ROTATE])
async def test_a_message_that_is_none_is_refused(sender: Sender, body: bytes, path: str) -> None:
    assert (await sender.post(body, path)).status == 400


async def test_a_message_longer_than_any_is_not_read(sender: Sender) -> None:
    assert (await sender.post(bytes(20_000), ENROLL)).status == 413


async def test_whoever_tries_codes_waits(settings: Settings, dsn: str) -> None:
    async with before_an_ingest(settings, Limits(enrolments=Rate(burst=3, per_s=0.01))) as sender:
        stranger = replace(sender, gateway="gw-new", signer=new_signer())
        replies = [await enrol(stranger, f"{number:020}") for number in range(4)]
        assert [reply.status for reply in replies] == [403, 403, 403, 429]
        assert replies[-1].refusal.error == "too many enrolments from this address"
        assert (await sender.send(BATCH)).status == 200


# --- rotation -----------------------------------------------------------------------------------------------------


async def rotate(sender: Sender, new: Ed25519Signer, proof: bytes | None = None) -> Reply:
    message = rotation_message(sender.gateway, sender.signer.key_id, new.key_id)
    request = RotateRequest(encode_bytes(new.public), encode_bytes(proof or new.sign(message)))
    return await sender.post(encode_message(request), ROTATE)


async def test_after_a_rotation_both_keys_work_and_the_first_use_settles_it(sender: Sender, dsn: str) -> None:
    new = new_signer()
    reply = await rotate(sender, new)
    rotated = decode_message(reply.body, Rotated)
    assert rotated.key_id == new.key_id
    assert len(rotated.server_keys) == 1
    assert (await sender.send(BATCH)).status == 200
    renewed = replace(sender, signer=new)
    assert (await renewed.send(BATCH)).status == 200
    days = "SELECT round(extract(epoch FROM valid_until - now()) / 86400)::int FROM gateway_key"
    assert column(dsn, days + " WHERE valid_until > now()") == [7]
    assert (await sender.send(BATCH)).status == 200
    reply = await rotate(sender, new_signer())
    assert (reply.status, reply.refusal.error) == (409, "a newer key is in use already")
    assert decode_message((await rotate(renewed, new_signer())).body, Rotated)


async def test_nobody_gives_a_gateway_a_key_of_somebody_else(sender: Sender, dsn: str) -> None:
    reply = await rotate(sender, new_signer(), proof=sender.signer.sign(b"something"))
    assert reply.status == 401
    assert column(dsn, "SELECT count(*) FROM gateway_key") == [1]


async def test_a_gateway_is_answered_with_a_key_that_it_was_told(settings: Settings, dsn: str) -> None:
    """The newest one of the ingest is too new for this gateway until it enrols or rotates again."""
    folder = Path(settings.keys)
    old = create_key(folder, UtcUs(NOW_US - 90 * 86_400 * US_PER_S)).signer.key_id
    with psycopg.connect(dsn) as connection:
        connection.execute("ALTER TABLE gateway_key ALTER valid_from SET DEFAULT now() - interval '60 days'")
    new = create_key(folder, UtcUs(NOW_US - 30 * 86_400 * US_PER_S)).signer.key_id
    async with before_an_ingest(settings) as sender:
        assert f'keyid="{old}"' in (await sender.send(BATCH)).headers["Signature-Input"]
        renewed = replace(sender, signer=new_signer())
        reply = await rotate(sender, renewed.signer)
        assert f'keyid="{old}"' in reply.headers["Signature-Input"]
        assert len(decode_message(reply.body, Rotated).server_keys) == 2
        assert f'keyid="{new}"' in (await renewed.send(BATCH)).headers["Signature-Input"]


async def test_no_code_key_or_signature_stands_in_a_log(
    stranger: Sender, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    code = new_claim(dsn)
    await enrol(stranger, code)
    await enrol(replace(stranger, signer=new_signer(), gateway="gw-x"), code)
    await stranger.send(msgspec.structs.replace(BATCH, gateway="gw-new"))
    said = " ".join(record.getMessage() for record in caplog.records if not record.name.startswith("asyncio"))
    assert "gateway enrolled" in said
    assert code not in said
    assert encode_bytes(stranger.signer.public) not in said
