"""Parsers of what strangers tell an ingest before anything of it is proven: nonces and addresses."""

import ipaddress
from collections.abc import Hashable

from cloud_trainer.ingest.limits import address_group, plain_address
from cloud_trainer.ingest.nonce import NonceError, Nonces
from tests.fuzz.target import BRIEF, Target

NOW_US = 1_780_000_000_000_000
NONCES = Nonces(bytes(32))


def check_nonces(data: bytes) -> Hashable:
    """Only the one spelling that we gave out passes."""
    text = data.decode("latin-1")
    try:
        issued_us = NONCES.issued_us(text, "gw-1", NOW_US)
    except NonceError as error:
        return str(error)
    assert text == NONCES.issue("gw-1", issued_us)
    return True


def check_addresses(data: bytes) -> Hashable:
    """What a proxy, or whoever says to be one, writes into X-Forwarded-For."""
    text = data.decode("latin-1").rpartition(",")[2].strip()
    plain, group = plain_address(text), address_group(text)
    assert bool(plain) == bool(group)
    assert plain_address(plain) == plain
    if group:
        assert ipaddress.ip_address(plain.partition("%")[0]) in ipaddress.ip_network(group)
    return len(group), ":" in group


TARGETS = (
    Target("nonces", check_nonces, [NONCES.issue("gw-1", NOW_US).encode()], bytes_max=128, share=BRIEF),
    Target(
        "addresses",
        check_addresses,
        [b"192.0.2.1, 198.51.100.7", b"2001:db8::1", b"::ffff:192.0.2.1", b"fe80::1%eth0"],
        bytes_max=128,
        share=BRIEF,
    ),
)
