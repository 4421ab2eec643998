"""A gateway that is enrolled, without a word on any wire."""

from pathlib import Path

from firmware_bridge.reading import UtcUs
from gateway.contract.enrolment import Enrolled, encode_bytes
from gateway.shell.identity import IdentityFolder
from tests.sim.clock import START_US


def enrol(folder: Path, gateway: str, url: str, server_key: bytes, *, again: int = 0) -> bytes:
    """Put an identity into `folder`, made when missing; gives the public key of the gateway.

    `server_key` is what the cloud at `url` signs with. With `again`, a number, it is another identity.
    """
    files = IdentityFolder(folder, gateway)
    with files.locked():
        key = files.enrolment_key(anew=bool(again))
        if again or files.load() is None:
            enrolled = Enrolled(gateway, "org", "site", [encode_bytes(server_key)], START_US)
            files.take_in(enrolled, url, UtcUs(START_US + again), anew=bool(again))
    return key.public
