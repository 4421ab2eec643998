import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.nonce import NONCE_S_MAX, NonceError, Nonces
from firmware_bridge.reading import US_PER_S

NOW_US = 1_770_000_000_000_000
NONCES = Nonces(bytes(32))


@given(now_us=st.integers(0, 2**53), used_us=st.integers(0, 2**53), gateway=st.from_regex(r"\A[a-z0-9-]{1,63}\Z"))
def test_a_nonce_is_known_again_and_later_than_any_that_was_used(now_us: int, used_us: int, gateway: str) -> None:
    nonce = NONCES.issue(gateway, now_us, used_us=used_us)
    issued_us = NONCES.issued_us(nonce, gateway, now_us)
    assert issued_us == max(now_us, used_us + 1)
    assert len(nonce) <= 64


def test_a_nonce_is_good_for_its_time_and_no_longer() -> None:
    nonce = NONCES.issue("gw-1", NOW_US)
    assert NONCES.issued_us(nonce, "gw-1", NOW_US + NONCE_S_MAX * US_PER_S) == NOW_US
    with pytest.raises(NonceError, match="older than 600 s"):
        NONCES.issued_us(nonce, "gw-1", NOW_US + NONCE_S_MAX * US_PER_S + 1)


def test_a_nonce_from_before_our_clock_was_set_back_still_passes() -> None:
    assert NONCES.issued_us(NONCES.issue("gw-1", NOW_US), "gw-1", NOW_US - 86_400 * US_PER_S) == NOW_US


@pytest.mark.parametrize("gateway", ["gw-2", "gw-", "gw-1\0", ""])
def test_the_nonce_of_another_gateway_is_refused(gateway: str) -> None:
    with pytest.raises(NonceError, match="not given to this gateway"):
        NONCES.issued_us(NONCES.issue("gw-1", NOW_US), gateway, NOW_US)


def test_the_nonce_of_another_secret_is_refused() -> None:
    with pytest.raises(NonceError):
        Nonces(bytes(31) + b"\1").issued_us(NONCES.issue("gw-1", NOW_US), "gw-1", NOW_US)


@given(position=st.integers(0, 60), bit=st.integers(0, 7))
def test_a_nonce_with_a_flipped_bit_is_refused(position: int, bit: int) -> None:
    nonce = bytearray(NONCES.issue("gw-1", NOW_US).encode())
    nonce[position % len(nonce)] ^= 1 << bit
    with pytest.raises(NonceError):
        NONCES.issued_us(nonce.decode("latin-1"), "gw-1", NOW_US)


@given(st.text(max_size=80))
def test_any_text_is_a_nonce_or_refused(text: str) -> None:
    with pytest.raises(NonceError):
        NONCES.issued_us(text, "gw-1", NOW_US)
