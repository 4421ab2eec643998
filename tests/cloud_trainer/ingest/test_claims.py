import asyncio
import logging

import psycopg
import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.claims import claims, revoke_claim
from cloud_trainer.fleet.gateways import gateways, restore_gateway, revoke_gateway
from cloud_trainer.fleet.organisations import create_organisation
from cloud_trainer.ingest.claims import ClaimRefusedError, IdentityConflictError, Membership, enroll, rotate
from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.gateways import ENDED_KEYS_KEPT, OVERLAP_US, RevokedError, find_gateway, make_primary
from firmware_bridge.reading import US_PER_S
from gateway.contract.enrolment import CODE_RANDOM_BYTES, EnrolmentError, RotateRequest, new_code
from gateway.contract.signatures import SignatureError
from tests.sim.fleet import HOUR_US, NOW_US, SERVER_KEYS, claim, enrolled, new_key, request, rotated, wish

pytestmark = [pytest.mark.slow, pytest.mark.pg]

HOME = Membership("gw-1", "default", "home")


async def keys_of(connection: Connection, gateway: str = "gw-1") -> list[str]:
    known = await find_gateway(connection, gateway)
    assert known is not None
    await connection.commit()
    return sorted(known.public_keys(NOW_US + 1))


class TestEnrolment:
    async def test_a_code_lets_a_key_in_and_says_where_it_belongs(self, connection: Connection, dsn: str) -> None:
        key = new_key()
        assert await enrolled(connection, "gw-1", key, claim(dsn).code) == HOME
        known = await find_gateway(connection, "gw-1")
        assert known is not None
        assert (known.organisation, known.site, known.is_revoked) == ("default", "home", False)
        assert known.public_keys(NOW_US) == {key.key_id: key.public}

    async def test_the_same_key_with_the_same_code_gets_the_same_answer_even_after_its_end(
        self, connection: Connection, dsn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        key, code = new_key(), claim(dsn, valid_hours=1).code
        for now_us in (NOW_US, NOW_US + 1, NOW_US + 100 * HOUR_US):
            assert await enrolled(connection, "gw-1", key, code, now_us) == HOME
        assert await keys_of(connection) == [key.key_id]
        assert not [record for record in caplog.records if record.levelno > logging.INFO]

    async def test_another_key_with_a_used_code_is_a_conflict_and_an_alarm(
        self, connection: Connection, dsn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        first, made = new_key(), claim(dsn)
        await enrolled(connection, "gw-1", first, made.code)
        for gateway in ("gw-1", "gw-2"):
            with pytest.raises(IdentityConflictError, match="used already"):
                await enrolled(connection, gateway, new_key(), made.code, NOW_US + 5)
        assert await keys_of(connection) == [first.key_id]
        assert await find_gateway(connection, "gw-2") is None
        with connect(dsn) as operator:
            (seen,) = claims(operator, "default", NOW_US)
        assert (seen.state, seen.contested_us) == ("used", NOW_US + 5)
        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
        assert made.code not in caplog.text

    async def test_unknown_expired_and_revoked_codes_get_the_same_words(
        self, connection: Connection, dsn: str
    ) -> None:
        revoked, expired = claim(dsn), claim(dsn, valid_hours=1)
        with connect(dsn) as operator:
            revoke_claim(operator, "default", revoked.claim, NOW_US)
        words = set()
        for code, now_us in (
            (new_code(bytes(CODE_RANDOM_BYTES)), NOW_US),
            (revoked.code, NOW_US),
            (expired.code, NOW_US + HOUR_US),
        ):
            with pytest.raises(ClaimRefusedError) as refused:
                await enrolled(connection, "gw-1", new_key(), code, now_us)
            words.add(str(refused.value))
        assert len(words) == 1
        assert await find_gateway(connection, "gw-1") is None

    async def test_a_code_that_names_its_gateway_lets_no_other_in(self, connection: Connection, dsn: str) -> None:
        code = claim(dsn, gateway="gw-1").code
        with pytest.raises(IdentityConflictError, match="another name"):
            await enrolled(connection, "gw-2", new_key(), code)
        assert await enrolled(connection, "gw-1", new_key(), code) == HOME

    async def test_a_name_that_is_taken_needs_a_claim_that_replaces(self, connection: Connection, dsn: str) -> None:
        await enrolled(connection, "gw-1", new_key(), claim(dsn).code)
        code = claim(dsn).code
        with pytest.raises(IdentityConflictError, match="enrolled already") as caught:
            await enrolled(connection, "gw-1", new_key(), code)
        assert "--replaces" in caught.value.next_step
        assert (await enrolled(connection, "gw-2", new_key(), code)).gateway == "gw-2", "the code was not used up"

    async def test_a_replacement_takes_over_name_and_history_and_ends_every_key_before(
        self, connection: Connection, dsn: str
    ) -> None:
        lost, pending, fresh = new_key(), new_key(), new_key()
        await enrolled(connection, "gw-1", lost, claim(dsn).code)
        await rotated(connection, "gw-1", lost, pending)
        await connection.execute("UPDATE gateway SET suspect_since = now(), instance = 'a', nonce_us = %s", (2**60,))
        await connection.commit()
        with connect(dsn) as operator:
            revoke_gateway(operator, "default", "gw-1", NOW_US)
        code = claim(dsn, gateway="gw-1", replaces=True).code
        assert await enrolled(connection, "gw-1", fresh, code, NOW_US + 1) == HOME
        assert await keys_of(connection) == [fresh.key_id]
        with connect(dsn) as operator:
            (seen,) = gateways(operator, "default", NOW_US + 1)
        assert (seen.status, seen.suspect_since_us, seen.revoked_us) == ("active", None, None)
        row = await (await connection.execute("SELECT nonce_us, instance FROM gateway")).fetchone()
        assert row == (2**60, None), "what was signed before cannot be played again"

    @pytest.mark.parametrize("replaces", [True, False])
    async def test_a_key_that_was_in_use_cannot_come_back_by_another_code(
        self, connection: Connection, dsn: str, *, replaces: bool
    ) -> None:
        key = new_key()
        await enrolled(connection, "gw-1", key, claim(dsn).code)
        code = claim(dsn, gateway="gw-1", replaces=True).code if replaces else claim(dsn).code
        with pytest.raises(IdentityConflictError, match="used before"):
            await enrolled(connection, "gw-1" if replaces else "gw-2", key, code)
        assert await keys_of(connection) == [key.key_id], "a refusal leaves everything as it was"

    async def test_a_revoked_gateway_cannot_enrol_again_with_its_used_code(
        self, connection: Connection, dsn: str
    ) -> None:
        key, code = new_key(), claim(dsn).code
        await enrolled(connection, "gw-1", key, code)
        with connect(dsn) as operator:
            revoke_gateway(operator, "default", "gw-1", NOW_US)
        with pytest.raises(ClaimRefusedError):
            await enrolled(connection, "gw-1", key, code)

    async def test_of_many_that_come_at_once_with_one_code_one_gets_in(self, dsn: str) -> None:
        code = claim(dsn).code

        async def come(number: int) -> bool:
            async with await psycopg.AsyncConnection.connect(dsn) as own:
                try:
                    await enrolled(own, f"gw-{number}", new_key(), code)
                except IdentityConflictError:
                    return False
                return True

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(come(number)) for number in range(8)]
        assert [task.result() for task in tasks].count(True) == 1

    async def test_a_name_of_another_organisation_is_taken_too(self, connection: Connection, dsn: str) -> None:
        with connect(dsn) as operator:
            create_organisation(operator, "theirs", "Theirs")
        await enrolled(connection, "gw-1", new_key(), claim(dsn, "theirs").code)
        with pytest.raises(IdentityConflictError, match="enrolled already"):
            await enrolled(connection, "gw-1", new_key(), claim(dsn).code)

    async def test_what_a_stranger_says_of_itself_cannot_speak_to_a_terminal(
        self, connection: Connection, dsn: str
    ) -> None:
        asked = request("gw-1", new_key(), claim(dsn).code, hardware="a\0b \x1b]0;root\x07\n\x9bc")
        assert await enroll(connection, asked, nonce_us=NOW_US, now_us=NOW_US) == HOME
        row = await (await connection.execute("SELECT hardware FROM gateway")).fetchone()
        assert row == ("ab ]0;rootc",)


class TestRotation:
    async def test_both_keys_are_good_until_the_new_one_is_used_and_a_week_longer(
        self, connection: Connection, dsn: str
    ) -> None:
        old, new = new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code)
        told = await rotated(connection, "gw-1", old, new, NOW_US + 1)
        assert (told.key_id, told.server_keys) == (new.key_id, SERVER_KEYS)
        year_us = NOW_US + 365 * 24 * HOUR_US
        known = await find_gateway(connection, "gw-1")
        assert known is not None
        assert known.public_keys(year_us).keys() == {old.key_id, new.key_id}, "whoever was away has no cliff"
        assert known.primary == old.key_id
        assert (known.is_first_use(old.key_id), known.is_first_use(new.key_id)) == (False, True)
        promoted = await make_primary(connection, known, new.key_id, year_us)
        found = await find_gateway(connection, "gw-1")
        assert promoted == found
        assert promoted.primary == new.key_id
        assert promoted.public_keys(year_us + OVERLAP_US - 1).keys() == {old.key_id, new.key_id}
        assert promoted.public_keys(year_us + OVERLAP_US).keys() == {new.key_id}
        assert not promoted.is_first_use(new.key_id)

    async def test_the_same_wish_again_changes_nothing_and_another_takes_the_place_of_an_unused_key(
        self, connection: Connection, dsn: str
    ) -> None:
        old, lost, new = new_key(), new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code)
        for key in (lost, lost, new):
            await rotated(connection, "gw-1", old, key)
        assert await keys_of(connection) == sorted([old.key_id, new.key_id])

    async def test_an_old_key_in_its_last_week_cannot_ask_for_another(self, connection: Connection, dsn: str) -> None:
        old, new = new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code)
        await rotated(connection, "gw-1", old, new)
        await rotated(connection, "gw-1", new, new_key())
        with pytest.raises(IdentityConflictError, match="newer key"):
            await rotated(connection, "gw-1", old, new_key())
        with pytest.raises(IdentityConflictError, match="used before"):
            await rotated(connection, "gw-1", new, old)

    async def test_a_key_of_somebody_else_is_refused(self, connection: Connection, dsn: str) -> None:
        mine, theirs = new_key(), new_key()
        await enrolled(connection, "gw-1", mine, claim(dsn).code)
        await enrolled(connection, "gw-2", theirs, claim(dsn).code)
        with pytest.raises(IdentityConflictError, match="used before"):
            await rotated(connection, "gw-1", mine, theirs)

    async def test_who_does_not_hold_the_new_key_is_refused(self, connection: Connection, dsn: str) -> None:
        old, new = new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code)
        good = wish("gw-1", old, new)
        for bad, error in (
            (wish("gw-2", old, new), SignatureError),
            (RotateRequest(wish("gw-1", old, old).public_key, good.proof), SignatureError),
            (RotateRequest("A" * 43, good.proof), SignatureError),
            (RotateRequest(good.public_key, "B" * 86), (SignatureError, EnrolmentError)),
        ):
            with pytest.raises(error):
                await rotate(connection, bad, gateway="gw-1", signed_by=old.key_id, server_keys=[], now_us=NOW_US)
        assert await keys_of(connection) == [old.key_id]

    async def test_a_revoked_gateway_gets_no_other_key_until_it_is_restored(
        self, connection: Connection, dsn: str
    ) -> None:
        old, new = new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code)
        with connect(dsn) as operator:
            revoke_gateway(operator, "default", "gw-1", NOW_US)
        for gateway in ("gw-1", "gw-9"):
            with pytest.raises(RevokedError):
                await rotated(connection, gateway, old, new)
        with connect(dsn) as operator:
            restore_gateway(operator, "default", "gw-1", NOW_US)
        await rotated(connection, "gw-1", old, new)
        assert await keys_of(connection) == sorted([old.key_id, new.key_id])

    async def test_keys_that_ended_long_ago_are_forgotten(self, connection: Connection, dsn: str) -> None:
        key, now_us = new_key(), NOW_US
        await enrolled(connection, "gw-1", key, claim(dsn).code)
        for _ in range(ENDED_KEYS_KEPT + 5):
            now_us += OVERLAP_US + US_PER_S
            following = new_key()
            await rotated(connection, "gw-1", key, following, now_us)
            key = following
        known = await find_gateway(connection, "gw-1")
        assert known is not None
        # the one that signed last, the one that comes, the one in its last week
        assert len(known.keys) <= ENDED_KEYS_KEPT + 3

    async def test_keys_follow_each_other_even_when_the_clock_goes_back(
        self, connection: Connection, dsn: str
    ) -> None:
        old, new = new_key(), new_key()
        await enrolled(connection, "gw-1", old, claim(dsn).code, NOW_US + HOUR_US)
        await rotated(connection, "gw-1", old, new, NOW_US)
        known = await find_gateway(connection, "gw-1")
        assert known is not None
        assert known.primary == old.key_id
