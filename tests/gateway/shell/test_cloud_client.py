import re
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Batch, StoredRecord, decode_acknowledgement, encode_batch
from gateway.contract.enrolment import Enrolled, EnrolRequest, Rotated, encode_bytes, encode_message
from gateway.contract.signatures import Ed25519Signer, sign_request
from gateway.shell.cloud_client import Cloud, NotEnrolledError, fetch_nonce
from gateway.shell.http_exchange import CloudError, exchange, open_session
from gateway.shell.identity import INSTANCE, IdentityFolder
from tests.sim import cloud_faults as faults
from tests.sim.clock import SimClock
from tests.sim.cloud_server import BATCHES, ENROLL, NONCE, TIME_US, CloudServer, Exchange, claimed

MSGPACK = "application/msgpack"
BODY = encode_batch(Batch("gw-1", "0" * 32, 0, [StoredRecord(1, UtcUs(1), b"x"), StoredRecord(2, UtcUs(2), b"y")]))

Connect = Callable[..., Cloud]


class StrictCloud(CloudServer):
    """Tells a key that it does not know so, signed, as ingest does."""

    async def _take_batch(self, request: web.Request) -> web.StreamResponse:
        gateway, signed_by = claimed(request)
        if signed_by in self.gateways.get(gateway, {}):
            return await super()._take_batch(request)
        self.paths.append(request.path)
        found = re.search(r'nonce="([^"]*)"', request.headers["Signature-Input"])
        assert found is not None
        body = b'{"error":"no gateway of this name has this key"}'
        return web.Response(status=401, body=body, headers=self.signed_headers(request, found[1], 401, body))


@pytest.fixture
async def server() -> AsyncIterator[StrictCloud]:
    cloud = StrictCloud()
    async with cloud.listening():
        yield cloud


@pytest.fixture
def folder(server, tmp_path) -> IdentityFolder:
    """A gateway that is enrolled."""
    files = IdentityFolder(tmp_path, "gw-1")
    enrol(files, server)
    return files


def enrol(files: IdentityFolder, server: CloudServer) -> None:
    with files.locked():
        key = files.enrolment_key(anew=False)
        server.know("gw-1", key.public)
        enrolled = Enrolled("gw-1", "org", "site", [encode_bytes(server.public)], UtcUs(TIME_US))
        files.take_in(enrolled, server.url, UtcUs(TIME_US), anew=False)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(None, 5.0) as one:
        yield one


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def connect(server, folder, session, clock) -> Connect:
    def connect(timeout_s: float = 5.0) -> Cloud:
        return Cloud(server.url, folder, clock, session, timeout_s=timeout_s)

    return connect


async def test_a_signed_answer_comes_back_with_the_clouds_time(connect, server):
    reply = await connect().post(BATCHES, BODY, MSGPACK)
    assert reply.status == 200
    assert decode_acknowledgement(reply.body).acknowledged == 2
    assert (reply.time_us, reply.retry_after_s) == (TIME_US, None)
    assert server.instances == [INSTANCE]


async def test_a_nonce_is_asked_for_once_and_then_comes_with_each_answer(connect, server):
    cloud = connect()
    for _ in range(3):
        await cloud.post(BATCHES, BODY, MSGPACK)
    assert server.paths == [NONCE, BATCHES, BATCHES, BATCHES]


async def test_a_nonce_that_lay_too_long_is_not_worth_an_upload(connect, server, clock):
    cloud = connect()
    await cloud.post(BATCHES, BODY, MSGPACK)
    clock.advance(510.0)
    await cloud.post(BATCHES, BODY, MSGPACK)
    assert server.paths == [NONCE, BATCHES, NONCE, BATCHES]


async def test_a_cloud_that_forgot_its_nonces_is_sent_the_same_once_more(connect, server):
    cloud = connect()
    await cloud.post(BATCHES, BODY, MSGPACK)
    server.forget_nonces()
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
    assert server.paths == [NONCE, *[BATCHES] * 3]


async def test_a_nonce_that_is_never_good_enough_ends_in_an_answer(connect, server):
    server.faults = [faults.stale_nonce, faults.stale_nonce]
    reply = await connect().post(BATCHES, BODY, MSGPACK)
    assert reply.status == 401
    assert server.paths == [NONCE, BATCHES, BATCHES]


@pytest.mark.parametrize("status", [400, 403, 409, 413, 429, 500, 503])
async def test_a_signed_no_is_an_answer(connect, server, status):
    server.faults = [faults.signed(status, {"error": "no"}, **{"Retry-After": "7"})]
    reply = await connect().post(BATCHES, BODY, MSGPACK)
    assert (reply.status, reply.body, reply.retry_after_s) == (status, b'{"error": "no"}', 7.0)


class ManInBetween(StrictCloud):
    """A stranger on the way: he hands out a nonce of the cloud that he has had something signed with."""

    nonce, said = "", web.Response()

    async def _give_nonce(self, request: web.Request) -> web.Response:
        return web.json_response({"nonce": self.nonce}) if self.nonce else await super()._give_nonce(request)

    async def _take_batch(self, request: web.Request) -> web.StreamResponse:
        if not self.nonce:
            return await super()._take_batch(request)
        body, headers = self.said.body, dict(self.said.headers)
        return web.Response(status=self.said.status, body=body, headers=headers)


async def test_what_the_cloud_signed_to_somebody_else_is_no_answer_to_us_although_the_nonce_is_the_same(
    tmp_path, session, clock
):
    """An enrolment with a wrong code is refused by a signed 403: it must not turn a gateway away."""
    between, folder = ManInBetween(), IdentityFolder(tmp_path, "gw-1")
    async with between.listening():
        enrol(folder, between)
        nonce = await fetch_nonce(session, between.url, "gw-1")
        stranger = Ed25519Signer(Ed25519PrivateKey.generate())
        body = encode_message(EnrolRequest("0" * 20, "gw-1", encode_bytes(stranger.public), "", ""))
        asked = {"method": "POST", "target": f"{between.url}{ENROLL}", "body": body, "gateway": "gw-1"}
        signed = sign_request(stranger, **asked, instance=INSTANCE, nonce=nonce, created_s=0)
        answer = await exchange(session, "POST", asked["target"], headers=signed, body=body)
        assert answer.status == 403
        kept = {name: value for name, value in answer.headers.items() if name.startswith(("S", "Content-D"))}
        between.nonce = nonce
        between.said = web.Response(status=403, body=answer.body, headers=kept)
        with pytest.raises(CloudError, match="somebody answered 403, but not our cloud"):
            await Cloud(between.url, folder, clock, session).post(BATCHES, BODY, MSGPACK)


NO_ANSWERS = {
    "a portal": faults.unsigned(200),
    "a portal that sends us elsewhere": faults.unsigned(302, Location="/login"),
    "an unsigned 403": faults.unsigned(403, b'{"error": "revoked"}'),
    "an unsigned 401": faults.unsigned(401),
    "an unsigned acknowledgement": faults.unsigned_acknowledgement,
    "a stranger's signature": faults.wrong_signature,
    "a stranger under the cloud's name": faults.wrong_name_of_key,
    "another body": faults.wrong_digest,
    "an answer to another request": faults.wrong_nonce,
    "another status": faults.wrong_status(403),
    "no answer": faults.lose_the_reply,
    "a reset": faults.reset,
    "half an answer": faults.half_a_reply,
    "half of a packed one": faults.truncated_gzip,
    "a bomb": faults.gzip_bomb,
    "an endless one": faults.talk_for_ever,
}


@pytest.mark.parametrize("fault", NO_ANSWERS)
async def test_what_is_not_the_clouds_own_word_is_no_answer(fault, connect, server):
    cloud = connect()
    server.faults = [NO_ANSWERS[fault]]
    with pytest.raises(CloudError) as caught:
        await cloud.post(BATCHES, BODY, MSGPACK)
    assert str(caught.value).isprintable()
    assert "/login" not in server.paths
    before = len(server.paths)
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
    assert server.paths[before:] == [NONCE, BATCHES], "a nonce that may have been used is never used again"


@pytest.mark.parametrize("fault", [faults.stay_silent, faults.drip])
async def test_the_whole_exchange_has_one_deadline(fault, connect, server):
    server.faults = [fault]
    with pytest.raises(CloudError, match=r"no answer within 0.2 s"):
        await connect(timeout_s=0.2).post(BATCHES, BODY, MSGPACK)


async def test_what_a_stranger_asks_for_is_told_with_the_trouble(connect, server):
    """A proxy before the cloud is busy: nobody has proven it, and all that it can do is make us wait."""
    server.faults = [faults.unsigned(503, **{"Retry-After": "60"})]
    with pytest.raises(CloudError, match="somebody answered 503, but not our cloud") as caught:
        await connect().post(BATCHES, BODY, MSGPACK)
    assert caught.value.retry_after_s == 60.0


async def test_signed_headers_twice_are_no_answer(connect, server):
    async def twice(cloud: CloudServer, exchange: Exchange) -> web.StreamResponse:
        response = await faults.honest(cloud, exchange)
        response.headers.add("SmartWatts-Nonce", "other")
        return response

    server.faults = [twice]
    with pytest.raises(CloudError, match="more than once"):
        await connect().post(BATCHES, BODY, MSGPACK)


async def test_a_portal_before_the_nonce_is_told(session):
    portal = web.Application()

    async def welcome(_: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>")

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "9"})

    portal.router.add_get("/v1/nonce", welcome)
    portal.router.add_get("/busy/v1/nonce", busy)
    runner = web.AppRunner(portal)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        with pytest.raises(CloudError, match="somebody answered 200, but not our cloud"):
            await fetch_nonce(session, url, "gw-1")
        with pytest.raises(CloudError, match="somebody answered 503 when it was asked for a nonce") as caught:
            await fetch_nonce(session, f"{url}/busy", "gw-1")
        assert caught.value.retry_after_s == 9.0
    finally:
        await runner.cleanup()


# --- the identity -------------------------------------------------------------------------------------------------


async def test_a_gateway_that_is_enrolled_while_it_runs_goes_on_without_a_restart(server, session, clock, tmp_path):
    files = IdentityFolder(tmp_path, "gw-1")
    cloud = Cloud(server.url, files, clock, session)
    with pytest.raises(NotEnrolledError, match="smartwatts-gateway enroll"):
        await cloud.post(BATCHES, BODY, MSGPACK)
    assert cloud.identity is None
    assert server.paths == []
    enrol(files, server)
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
    assert cloud.identity is not None


async def test_an_identity_that_cannot_be_used_is_told_in_its_own_words(connect, tmp_path, server):
    cloud = connect()
    (tmp_path / "identity.key").chmod(0o644)
    with pytest.raises(CloudError, match="may be read by others"):
        await cloud.post(BATCHES, BODY, MSGPACK)
    (tmp_path / "identity.key").chmod(0o600)
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200


async def test_a_next_key_that_both_sides_know_is_used_first_and_then_alone(connect, folder, server):
    cloud = connect()
    await cloud.post(BATCHES, BODY, MSGPACK)
    old = folder.key_id
    with folder.locked():
        following = folder.next_key()
        server.know("gw-1", following.public)
        folder.confirm_next(Rotated(following.key_id, [encode_bytes(server.public)]))
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
    assert folder.key_id == following.key_id != old
    del server.gateways["gw-1"][str(old)]
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200


async def test_a_next_key_that_the_cloud_forgot_falls_back_on_the_old_one(connect, folder, server):
    """The cloud was put back from a backup made before the rotation."""
    with folder.locked():
        following = folder.next_key()
        folder.confirm_next(Rotated(following.key_id, [encode_bytes(server.public)]))
    old = folder.key_id
    assert (await connect().post(BATCHES, BODY, MSGPACK)).status == 200
    assert folder.key_id == old


async def test_a_next_key_whose_answer_was_lost_is_found_when_the_old_one_ended(connect, folder, server):
    with folder.locked():
        following = folder.next_key()
    server.gateways["gw-1"] = {following.key_id: following.public}
    assert (await connect().post(BATCHES, BODY, MSGPACK)).status == 200
    assert folder.key_id == following.key_id


@pytest.mark.parametrize("status", [401, 403])
async def test_what_the_cloud_says_to_the_key_it_knows_is_not_hidden_by_a_next_key_it_does_not(
    connect, folder, server, status
):
    """A revoked gateway that tried to rotate is still told that it was revoked."""
    with folder.locked():
        folder.next_key()
    refused = faults.signed(status, {"error": "for the first key"})
    server.faults = [refused] * (2 if status == 401 else 1)
    reply = await connect().post(BATCHES, BODY, MSGPACK)
    assert (reply.status, reply.body) == (status, b'{"error": "for the first key"}')


async def test_a_command_that_changes_the_identity_meanwhile_is_not_disturbed(connect, folder, server):
    with folder.locked():
        following = folder.next_key()
        server.know("gw-1", following.public)
        folder.confirm_next(Rotated(following.key_id, [encode_bytes(server.public)]))
        cloud = connect()
        assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
        assert folder.key_id != following.key_id, "it is settled by the next request"
    assert (await cloud.post(BATCHES, BODY, MSGPACK)).status == 200
    assert folder.key_id == following.key_id


@pytest.fixture
def secret(folder, tmp_path) -> str:
    """What must not be seen anywhere."""
    return (tmp_path / "identity.key").read_text().splitlines()[1]


async def test_what_is_logged_holds_no_key(connect, folder, server, secret, caplog):
    caplog.set_level("DEBUG")
    with folder.locked():
        following = folder.next_key()
        server.know("gw-1", following.public)
        folder.confirm_next(Rotated(following.key_id, [encode_bytes(server.public)]))
    cloud = connect()
    await cloud.post(BATCHES, BODY, MSGPACK)
    server.faults = [faults.wrong_signature]
    with pytest.raises(CloudError) as caught:
        await cloud.post(BATCHES, BODY, MSGPACK)
    assert "new key is in use" in caplog.text
    assert secret not in caplog.text + str(caught.value)
