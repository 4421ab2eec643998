from collections.abc import AsyncIterator

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_bridge.errors import ConflictError, Exit, SettingError
from gateway.contract.enrolment import CODE_RANDOM_BYTES, Enrolled, new_code, read_code
from gateway.shell.cloud_client import Cloud
from gateway.shell.enrolment import UnreachableError, UntrustedError, enrol, enrol_request, rotate
from gateway.shell.http_exchange import open_session
from gateway.shell.identity import IdentityFolder
from tests.sim.claims import ClaimServer, lose, say, say_another_gateway, say_another_site
from tests.sim.clock import SimClock
from tests.sim.cloud_server import BATCHES, ENROLL, NONCE, ROTATE, key_name

CODE = read_code(new_code(bytes(CODE_RANDOM_BYTES)))
OTHER_CODE = read_code(new_code(b"\1" * CODE_RANDOM_BYTES))


@pytest.fixture
async def server() -> AsyncIterator[ClaimServer]:
    cloud = ClaimServer()
    cloud.claims = {CODE: None, OTHER_CODE: None}
    async with cloud.listening():
        yield cloud


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session(None, 5.0) as one:
        yield one


class Site:
    """A gateway's folder, and the commands as they are given there."""

    def __init__(self, files: IdentityFolder, server: ClaimServer, session: aiohttp.ClientSession) -> None:
        self.files, self.server, self.session = files, server, session

    async def enrol(self, code: str = CODE, *, pinned: str | None = None, anew: bool = False) -> Enrolled:
        clock = SimClock()
        with self.files.locked():
            signer = self.files.enrolment_key(anew=anew)
            request = enrol_request(code, "gw-1", signer, "Raspberry Pi 4")
            enrolled = await enrol(self.session, self.server.url, request, signer, pinned, clock)
            self.files.take_in(enrolled, self.server.url, clock.utc_us(), anew=anew)
        return enrolled

    async def rotate(self) -> str:
        with self.files.locked():
            return await rotate(self.cloud(), self.server.url, self.files)

    def cloud(self) -> Cloud:
        return Cloud(self.server.url, self.files, SimClock(), self.session)

    @property
    def keys(self) -> list[str]:
        identity = self.files.load()
        return [] if identity is None else [signer.key_id for signer in identity.signers]


@pytest.fixture
def site(server, session, tmp_path) -> Site:
    return Site(IdentityFolder(tmp_path, "gw-1"), server, session)


# --- enrolment ----------------------------------------------------------------------------------------------------


async def test_a_gateway_with_a_code_becomes_one_of_the_clouds(site, server):
    enrolled = await site.enrol()
    assert (enrolled.gateway, enrolled.organisation, enrolled.site) == ("gw-1", "org", "site")
    assert list(server.gateways["gw-1"]) == site.keys
    assert (await site.cloud().post(BATCHES, b"", "application/msgpack")).status == 400, (
        "known, but that was no batch"
    )


async def test_after_a_lost_answer_the_same_code_works_once_more(site, server):
    server.losses = [lose]
    with pytest.raises(UnreachableError, match=r"sync.url = .*nothing was changed: give the same command again"):
        await site.enrol()
    assert site.keys == []
    assert server.claims[CODE] is not None, "the cloud has used it"
    await site.enrol()
    assert site.keys == [server.claims[CODE]]
    await site.enrol()
    assert site.keys == [server.claims[CODE]]


async def test_a_code_that_is_not_valid_is_refused_and_not_repeated(site):
    bad = read_code(new_code(b"\2" * CODE_RANDOM_BYTES))
    with pytest.raises(
        UntrustedError, match=r"code = \(not shown\): was refused: this code is not valid; ask for a new"
    ) as caught:
        await site.enrol(bad)
    assert caught.value.exit_code == Exit.NOT_VERIFIED
    assert bad not in str(caught.value)
    assert site.files.load() is None


async def test_a_code_that_another_key_has_used_is_a_conflict(site):
    await site.enrol()
    with pytest.raises(ConflictError, match="this code was used already"):
        await site.enrol(anew=True)
    assert len(site.keys) == 1, "the identity in use is as it was"


async def test_a_new_key_takes_over_with_a_code_of_its_own(site, server):
    await site.enrol()
    old = site.keys
    await site.enrol(OTHER_CODE, anew=True)
    assert site.keys == [server.claims[OTHER_CODE]] != old


async def test_a_pinned_cloud_is_believed(site, server):
    await site.enrol(pinned=key_name(server.public))
    assert len(site.keys) == 1


async def test_a_cloud_with_another_key_than_the_pinned_one_is_not(site, server):
    true = key_name(server.public)
    server.key = Ed25519PrivateKey.generate()
    with pytest.raises(
        UntrustedError, match=f"--server-key = {true}: is no key of the cloud that answered"
    ) as caught:
        await site.enrol(pinned=true)
    assert key_name(server.public) in str(caught.value), "what it has in place of it is told"
    assert caught.value.exit_code == Exit.NOT_VERIFIED
    assert site.files.load() is None


@pytest.mark.parametrize("pinned", [False, True])
async def test_an_answer_that_was_changed_on_its_way_is_none(site, server, pinned):
    server.losses = [say_another_site]
    with pytest.raises(UnreachableError, match="but not our cloud"):
        await site.enrol(pinned=key_name(server.public) if pinned else None)
    assert site.files.load() is None


ANSWERS = {
    "a portal": (say(200, b"<html>Welcome</html>"), UnreachableError, "is not our cloud"),
    "a portal elsewhere": (say(302, Location="/login"), UnreachableError, "answered 302, and not as our cloud does"),
    "another program": (say(404), UnreachableError, "answered 404, and not as our cloud does"),
    "one that is busy": (
        say(429, b'{"error":"too many"}', **{"Retry-After": "60"}),
        UnreachableError,
        "try again in 60 s",
    ),
    "one that is away": (say(503, b'{"error":"away"}'), UnreachableError, "away; try again later"),
    "a name that is taken": (say(409, b'{"error":"taken","hint":"x"}'), ConflictError, r"identity = .*: taken; x\."),
    "a wrong address": (say(401, b'{"error":"wrong"}'), UntrustedError, "the address that the cloud knows itself by"),
}


@pytest.mark.parametrize("who", ANSWERS)
async def test_every_other_answer_is_told_with_what_to_do(who, site, server):
    answer, kind, words = ANSWERS[who]
    server.losses = [answer, answer]
    with pytest.raises(SettingError, match=words) as caught:
        await site.enrol()
    assert type(caught.value) is kind
    assert site.files.load() is None


async def test_a_nonce_that_another_command_made_old_is_asked_for_again(site, server):
    server.losses = [say(401, b'{"error":"nonce"}')]
    await site.enrol()
    assert server.paths == [NONCE, ENROLL] * 2


async def test_an_answer_for_another_gateway_is_refused(site, server):
    server.losses = [say_another_gateway(server)]
    with pytest.raises(UntrustedError, match="answered for gw-2"):
        await site.enrol()
    assert site.files.load() is None


# --- rotation -------------------------------------------------------------------------------------------------------


async def test_another_key_is_used_with_the_next_upload_and_alone_from_then_on(site, server):
    await site.enrol()
    old = site.keys[0]
    new = await site.rotate()
    assert site.keys == [new, old]
    assert set(server.gateways["gw-1"]) == {old, new}
    await site.cloud().post(BATCHES, b"", "application/msgpack")
    assert site.keys == [new]


async def test_a_rotation_whose_answer_was_lost_goes_on_with_the_same_key(site, server):
    await site.enrol()
    server.losses = [lose]
    with pytest.raises(UnreachableError):
        await site.rotate()
    before = site.keys
    assert len(before) == 2
    assert await site.rotate() == before[1]
    assert len(server.gateways["gw-1"]) == 2


async def test_a_rotation_that_waits_for_the_next_upload_makes_no_third_key(site, server):
    await site.enrol()
    new = await site.rotate()
    asked = server.paths.count(ROTATE)
    assert await site.rotate() == new
    assert server.paths.count(ROTATE) == asked


async def test_a_gateway_that_is_not_enrolled_has_no_key_to_change(site):
    with pytest.raises(
        SettingError, match=r"identity = \(missing\): is needed; run `smartwatts-gateway enroll` first"
    ):
        await site.rotate()


async def test_a_stranger_changes_no_key(site, server):
    await site.enrol()
    before = site.keys
    server.losses = [say(200, b'{"key_id":"x"}')]
    with pytest.raises(UnreachableError, match="but not our cloud"):
        await site.rotate()
    assert site.keys[0] == before[0]
    identity = site.files.load()
    assert identity is not None
    assert identity.file.next_key_id is None
