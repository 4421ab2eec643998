"""What the rules of ingest/claims.py do with these is tested there."""

from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.gateways import GatewayKey, KnownGateway
from firmware_bridge.reading import UtcUs

ends = st.none() | st.integers(0, 30).map(UtcUs)
histories = st.lists(st.tuples(st.integers(0, 20), ends), max_size=5, unique_by=lambda key: key[0])


def known(history: list[tuple[int, UtcUs | None]]) -> KnownGateway:
    keys = {f"key-{start}": GatewayKey(b"", UtcUs(start), end) for start, end in history}
    return KnownGateway("gw-1", "default", "home", is_revoked=False, keys=keys)


@given(histories, st.integers(0, 40))
def test_every_key_is_taken_or_has_ended(history: list[tuple[int, UtcUs | None]], now_us: int) -> None:
    gateway = known(history)
    taken, ended = gateway.public_keys(now_us).keys(), gateway.ended(now_us)
    assert sorted([*taken, *ended]) == sorted(gateway.keys)
    assert [gateway.keys[name].valid_from_us for name in ended] == sorted(
        gateway.keys[name].valid_from_us for name in ended
    )


@given(histories)
def test_the_primary_key_is_one_without_an_end_and_only_a_later_one_can_take_its_place(
    history: list[tuple[int, UtcUs | None]],
) -> None:
    gateway = known(history)
    for name, key in gateway.keys.items():
        assert key.valid_until_us is None or not gateway.is_first_use(name)
        if gateway.is_first_use(name):
            assert gateway.primary is not None
            assert gateway.keys[gateway.primary].valid_from_us < key.valid_from_us
    assert (gateway.primary is None) == all(key.valid_until_us is not None for key in gateway.keys.values())
    assert not gateway.is_first_use("of somebody else")
