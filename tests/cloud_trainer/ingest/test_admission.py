import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.admission import INSTANCES_KEPT, Instances, StrangerError, UsedNonceError, admit
from cloud_trainer.ingest.db import Connection
from cloud_trainer.ingest.gateways import KnownGateway, RevokedError, find_gateway
from gateway.contract.signatures import Ed25519Signer, SignedRequest

NOW_US = 1_770_000_000_000_000
SIGNER = Ed25519Signer(Ed25519PrivateKey.generate())
REQUEST = SignedRequest("gw-1", "0" * 16, "nonce", SIGNER.key_id, 0)


def test_starts_one_after_another_are_nobodys_copy() -> None:
    seen = Instances(None)
    for number in range(20):
        assert not seen.is_back(str(number))
        seen = seen.seen(str(number)).seen(str(number))
    assert seen.before == tuple(map(str, range(19 - INSTANCES_KEPT, 19)))


def test_an_instance_whose_place_was_taken_is_back() -> None:
    seen = Instances("a").seen("b")
    assert seen.is_back("a")
    assert not seen.is_back("b")
    assert seen.seen("a") == Instances("a", ("b",))


@given(st.lists(st.sampled_from("abcdefghijkl"), max_size=60))
def test_a_copy_is_noticed_however_the_two_take_turns(order: list[str]) -> None:
    seen, was_noticed = Instances(None), False
    for at, instance in enumerate(order):
        was_noticed = was_noticed or seen.is_back(instance)
        seen = seen.seen(instance)
        assert seen.present == instance
        assert len(set(seen.before) - {instance}) == len(seen.before) <= INSTANCES_KEPT
        since = order[order.index(instance) : at]
        if len(set(since)) > 1 and len(set(order[: at + 1])) <= INSTANCES_KEPT:
            assert was_noticed


@pytest.mark.slow
@pytest.mark.pg
class TestInTheDatabase:
    @pytest.fixture
    async def known(self, connection: Connection, gateways: None) -> KnownGateway:
        await connection.execute(
            "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES ('gw-1', %s, %s)",
            (SIGNER.key_id, SIGNER.public),
        )
        known = await find_gateway(connection, "gw-1")
        await connection.commit()
        assert known is not None
        return known

    async def admitted(self, connection: Connection, known: KnownGateway, issued_us: int) -> bool:
        async with connection.transaction():
            return await admit(connection, known, REQUEST, issued_us=issued_us, now_us=NOW_US)

    async def test_each_nonce_passes_once_and_none_before_it(
        self, connection: Connection, known: KnownGateway
    ) -> None:
        assert not await self.admitted(connection, known, 5)
        for issued_us in (5, 4, 1):
            with pytest.raises(UsedNonceError) as raised:
                await self.admitted(connection, known, issued_us)
            assert raised.value.used_us == 5
        await self.admitted(connection, known, 6)

    async def test_a_transaction_that_fails_uses_up_nothing(
        self, connection: Connection, known: KnownGateway
    ) -> None:
        async with connection.transaction(force_rollback=True):
            await admit(connection, known, REQUEST, issued_us=5, now_us=NOW_US)
        await self.admitted(connection, known, 5)

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ("UPDATE gateway SET status = 'revoked'", RevokedError),
            ("UPDATE gateway_key SET valid_until = instant(0)", StrangerError),
            ("DELETE FROM gateway_key", StrangerError),
            ("DELETE FROM gateway", StrangerError),
        ],
    )
    async def test_what_was_remembered_of_a_gateway_does_not_count(
        self, connection: Connection, known: KnownGateway, change: str, error: type[Exception]
    ) -> None:
        await connection.execute(change.encode())
        with pytest.raises(error):
            await self.admitted(connection, known, 5)
