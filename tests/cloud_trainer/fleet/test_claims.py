import re

import psycopg
import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.claims import COUNT_MAX, VALID_HOURS_MAX, Terms, claims, create_claims, revoke_claim
from cloud_trainer.fleet.sites import sites
from firmware_bridge.errors import ConflictError, NotFoundError, SettingError
from tests.sim.fleet import HOUR_US, NOW_US, SITE, claim, enrolled, new_key

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_a_code_is_shown_once_and_only_its_digest_is_kept(dsn: str) -> None:
    made = claim(dsn)
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]{4}", made.code)
    with connect(dsn) as connection:
        rows = connection.execute("SELECT claim::text, length(code_digest) FROM claim").fetchall()
    assert [length for _, length in rows] == [32]
    assert made.code not in str(rows)
    assert made.code.replace("-", "") not in str(rows)


def test_several_claims_have_a_code_each_and_make_their_site(dsn: str) -> None:
    with connect(dsn) as connection:
        made = create_claims(connection, "default", Terms(site="new-place", count=5), NOW_US)
        assert len({one.code for one in made}) == len({one.claim for one in made}) == 5
        assert [(one.site, one.gateways) for one in sites(connection, "default")] == [
            ("default", []),
            ("new-place", []),
        ]


async def test_a_claim_is_open_used_expired_or_revoked(dsn: str) -> None:
    still_open, used, expired, revoked = claim(dsn), claim(dsn), claim(dsn, valid_hours=1), claim(dsn)
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        key = new_key()
        await enrolled(writer, "gw-1", key, used.code)
    with connect(dsn) as connection:
        revoke_claim(connection, "default", revoked.claim, NOW_US)
        found = {one.claim: one for one in claims(connection, "default", NOW_US + HOUR_US)}
        assert {number: one.state for number, one in found.items()} == {
            still_open.claim: "open", used.claim: "used", expired.claim: "expired", revoked.claim: "revoked",
        }  # fmt: skip
        assert (found[used.claim].used_key, found[used.claim].used_us) == (key.key_id, NOW_US)
        with pytest.raises(ConflictError, match="revoke the gateway instead"):
            revoke_claim(connection, "default", used.claim, NOW_US)
        with pytest.raises(ConflictError, match="is revoked already"):
            revoke_claim(connection, "default", revoked.claim, NOW_US)
        with pytest.raises(NotFoundError, match="is no claim of default"):
            revoke_claim(connection, "default", 10**12, NOW_US)
        revoke_claim(connection, "default", expired.claim, NOW_US)


async def test_a_gateway_that_is_replaced_must_be_there_and_stays_at_its_site(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await enrolled(writer, "gw-1", new_key(), claim(dsn).code)
    with connect(dsn) as connection:
        create_claims(connection, "default", Terms(site=None, gateway="gw-1", replaces=True), NOW_US)
        assert claims(connection, "default", NOW_US)[-1].site == SITE
        for site, gateway in (("default", "gw-1"), (None, "gw-2"), (SITE, "gw-2")):
            with pytest.raises(NotFoundError, match="--replaces"):
                create_claims(connection, "default", Terms(site=site, gateway=gateway, replaces=True), NOW_US)
        with pytest.raises(ConflictError, match="enrolled already"):
            create_claims(connection, "default", Terms(site=SITE, gateway="gw-1"), NOW_US)


def test_terms_that_cannot_be_are_told_why(dsn: str) -> None:
    wrong = [
        (Terms(site=None), "--site"),
        (Terms(site="My Home"), "--site"),
        (Terms(site=SITE, gateway="GW"), "--gateway"),
        (Terms(site=SITE, gateway="GW", replaces=True), "--replaces"),
        (Terms(site=SITE, valid_hours=0), "--valid-hours"),
        (Terms(site=SITE, valid_hours=VALID_HOURS_MAX + 1), "--valid-hours"),
        (Terms(site=SITE, count=0), "--count"),
        (Terms(site=SITE, count=COUNT_MAX + 1), "--count"),
        (Terms(site=SITE, gateway="gw-1", count=2), "--count"),
    ]
    with connect(dsn) as connection:
        for terms, field in wrong:
            with pytest.raises(SettingError) as told:
                create_claims(connection, "default", terms, NOW_US)
            assert told.value.field == field
        assert claims(connection, "default", NOW_US) == []
