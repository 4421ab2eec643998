"""Nonces that need no table: an instant and its proof that we gave it out. Pure.

A nonce is `<issued_us in base 36>.<MAC>`, the MAC over the gateway's name and the instant, with a secret that all
processes of an ingest share. Each is good for one use: the transaction of a request moves `gateway.nonce_us` up to
the instant of its nonce, and only a later one passes. So a nonce in flight costs nothing, and a lost one nothing
either.
"""

import base64
import hashlib
import hmac
import re

from firmware_bridge.reading import US_PER_S

# A gateway asks every five minutes with the nonce of the last reply; twice that, and it fetches a new one.
NONCE_S_MAX = 600
SECRET_BYTES = 32
_MAC_BYTES = 16
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Thirteen digits of base 36 hold 64 bits; none leads with 0, so each instant has one spelling.
_FORM = re.compile(r"([1-9a-z][0-9a-z]{0,12})\.([A-Za-z0-9_-]{22})")


class NonceError(ValueError):
    """The nonce is none of ours, another gateway's, or too old; a new one mends it."""


class Nonces:
    """Gives out nonces and knows its own again."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES, "as the key file holds it"
        self._secret = secret

    def issue(self, gateway: str, now_us: int, *, used_us: int = 0) -> str:
        """A nonce for the next request of `gateway`, later than `used_us`, the last one that it used."""
        issued = _base36(max(now_us, used_us + 1))
        return f"{issued}.{self._mac(gateway, issued)}"

    def issued_us(self, nonce: str, gateway: str, now_us: int) -> int:
        """The instant in `nonce`; whether it was used already is for the transaction to say.

        One from the future is taken: only we make them, before our clock was set back.

        Raises:
            NonceError: not one of ours for this gateway, or too old.
        """
        found = _FORM.fullmatch(nonce)
        if found is None or not hmac.compare_digest(found[2], self._mac(gateway, found[1])):
            raise NonceError("the nonce was not given to this gateway")
        issued_us = int(found[1], 36)
        if now_us - issued_us > NONCE_S_MAX * US_PER_S:
            raise NonceError(f"the nonce is older than {NONCE_S_MAX} s")
        return issued_us

    def _mac(self, gateway: str, issued: str) -> str:
        # a name holds no NUL: no other pair gives the same bytes
        mac = hmac.digest(self._secret, f"{gateway}\0{issued}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac[:_MAC_BYTES]).rstrip(b"=").decode()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
