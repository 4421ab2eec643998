import psycopg
import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.gateways import gateways, restore_gateway, revoke_gateway
from cloud_trainer.ingest.gateways import OVERLAP_US
from firmware_bridge.errors import ConflictError, NotFoundError
from tests.sim.fleet import HOUR_US, NOW_US, claim, enrolled, new_key, rotated

pytestmark = [pytest.mark.slow, pytest.mark.pg]


async def test_a_gateway_is_shown_with_the_keys_it_may_sign_with(dsn: str) -> None:
    first, second, third = new_key(), new_key(), new_key()
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await enrolled(writer, "gw-1", first, claim(dsn).code)
        await rotated(writer, "gw-1", first, second, NOW_US + 1)
        await rotated(writer, "gw-1", second, third, NOW_US + HOUR_US)
    with connect(dsn) as connection:
        (seen,) = gateways(connection, "default", NOW_US + HOUR_US)
        assert (seen.gateway, seen.site, seen.status, seen.enrolled_us) == ("gw-1", "home", "active", NOW_US)
        assert (seen.software, seen.hardware) == ("0.1.0", "a board")
        assert seen.keys == [second.key_id, third.key_id, first.key_id]
        (later,) = gateways(connection, "default", NOW_US + HOUR_US + OVERLAP_US)
        assert later.keys == [second.key_id, third.key_id]


async def test_what_is_revoked_can_be_restored_and_what_is_suspect_believed_again(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as writer:
        await enrolled(writer, "gw-1", new_key(), claim(dsn).code)
    with connect(dsn) as connection:
        revoke_gateway(connection, "default", "gw-1", NOW_US + 1)
        (seen,) = gateways(connection, "default", NOW_US)
        assert (seen.status, seen.revoked_us) == ("revoked", NOW_US + 1)
        with pytest.raises(ConflictError, match="is revoked already"):
            revoke_gateway(connection, "default", "gw-1", NOW_US)
        restore_gateway(connection, "default", "gw-1", NOW_US)
        connection.execute("UPDATE gateway SET suspect_since = now(), instances_before = '{a}'")
        restore_gateway(connection, "default", "gw-1", NOW_US)
        (seen,) = gateways(connection, "default", NOW_US)
        assert (seen.status, seen.revoked_us, seen.suspect_since_us) == ("active", None, None)
        with pytest.raises(ConflictError, match="neither revoked nor suspect"):
            restore_gateway(connection, "default", "gw-1", NOW_US)


def test_a_gateway_that_is_not_there_is_told(dsn: str) -> None:
    with connect(dsn) as connection:
        for change in (revoke_gateway, restore_gateway):
            with pytest.raises(NotFoundError, match="is no gateway of default"):
                change(connection, "default", "gw-1", NOW_US)
