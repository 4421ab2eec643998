"""How a gateway becomes one of the cloud's, and changes its key: claim codes, and the messages of both. Pure.

The requests are signed with signatures.py: the one for enrolment with the key that it brings, the one for a
rotation with the key that is to go.
"""

import base64
import hashlib
import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import GatewayId
from gateway.contract.records import UNDECODABLE, Text

NONCE_PATH, ENROL_PATH, ROTATE_PATH = "/v1/nonce", "/v1/enroll", "/v1/rotate"
KEY_BYTES, SIGNATURE_BYTES = 32, 64
# Our messages are below 1 kB, with four keys and every text at its longest.
MESSAGE_BYTES_MAX = 16 * 1024
SERVER_KEYS_MAX = 4
# Crockford's base 32: no letter that could be read as a digit, and no U.
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# 95 bits, more than anybody can try, and one character that tells a slip before the cloud is asked.
CODE_CHARACTERS, CODE_GROUP = 20, 4
CODE_RANDOM_BYTES = 12
# Codes are dictated and typed by hand: what a hand may add.
_CODE_TYPED_CHARACTERS_MAX = 100
_MISREAD = str.maketrans("OIL", "011", " -\t")

PublicKeyText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
ProofText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{86}\Z")]
ServerKeys = Annotated[list[PublicKeyText], Meta(min_length=1, max_length=SERVER_KEYS_MAX)]
Message = TypeVar("Message", bound=msgspec.Struct)


class EnrolmentError(ValueError):
    """What was read is not what it should be: a code with a slip, a message of somebody else."""


class Nonce(msgspec.Struct, frozen=True):
    """The answer to `GET /v1/nonce?gateway=ID`: unsigned, for a wrong nonce does no harm."""

    nonce: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class EnrolRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends to become one of the cloud's; signed with the key that `public_key` tells."""

    code: Annotated[str, Meta(max_length=CODE_CHARACTERS)]
    gateway: GatewayId
    public_key: PublicKeyText
    hardware: Text
    software: Text


class Enrolled(msgspec.Struct, frozen=True):
    """The answer: where the gateway belongs, and the keys that the cloud signs its replies with."""

    gateway: GatewayId
    organisation: Text
    site: Text
    server_keys: ServerKeys
    time_us: UtcUs


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends to change its key; `proof` is the new key's signature of `rotation_message`."""

    public_key: PublicKeyText
    proof: ProofText


class Rotated(msgspec.Struct, frozen=True):
    """The answer: the new key is known, and the keys that the cloud signs with by now.

    The first use of the new key makes it the gateway's own; the old one is taken for a week after that.
    """

    key_id: str
    server_keys: ServerKeys


def new_code(random: bytes) -> str:
    """The claim code that these random bytes make, as it is shown: `K7QD-9M2X-...`."""
    assert len(random) == CODE_RANDOM_BYTES, "96 bits, of which 95 are used"
    number = int.from_bytes(random)
    data = "".join(CODE_ALPHABET[(number >> 5 * place) & 31] for place in range(CODE_CHARACTERS - 1))
    return shown_code(data + _check_character(data))


def shown_code(code: str) -> str:
    """A code as `read_code` gives it, in groups that can be dictated."""
    return "-".join(code[at : at + CODE_GROUP] for at in range(0, CODE_CHARACTERS, CODE_GROUP))


def read_code(typed: str) -> str:
    """The code that somebody typed, in its one form: capital letters and digits without anything between.

    Raises:
        EnrolmentError: it cannot be one; says so without repeating it.
    """
    code = typed[: _CODE_TYPED_CHARACTERS_MAX + 1].strip().upper().translate(_MISREAD)
    if len(code) != CODE_CHARACTERS or not set(code) <= set(CODE_ALPHABET):
        raise EnrolmentError(f"a claim code has {CODE_CHARACTERS} letters and digits")
    if code[-1] != _check_character(code[:-1]):
        raise EnrolmentError("a letter or a digit of the claim code is not right")
    return code


def code_digest(code: str) -> bytes:
    """What the cloud keeps of a code: its SHA-256; nobody gets from it to a code of 95 random bits."""
    return hashlib.sha256(b"smartwatts-claim\0" + code.encode()).digest()


def rotation_message(gateway: str, old_key_id: str, new_key_id: str) -> bytes:
    """What the new key signs: nobody can pass a key of somebody else off as the gateway's."""
    return b"\0".join(part.encode() for part in ("smartwatts-rotate", gateway, old_key_id, new_key_id))


def encode_bytes(data: bytes) -> str:
    """A public key or a proof as text: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_key(text: str) -> bytes:
    """The public key that `text` tells.

    Raises:
        EnrolmentError: it tells none.
    """
    return _decoded(text, KEY_BYTES)


def decode_proof(text: str) -> bytes:
    """The signature that `text` tells.

    Raises:
        EnrolmentError: it tells none.
    """
    return _decoded(text, SIGNATURE_BYTES)


def encode_message(message: msgspec.Struct) -> bytes:
    """The body of a request or an answer (JSON)."""
    return msgspec.json.encode(message)


def decode_message(body: bytes, kind: type[Message]) -> Message:
    """The message of that kind in `body`.

    Raises:
        EnrolmentError: it is none.
    """
    if len(body) > MESSAGE_BYTES_MAX:
        raise EnrolmentError(f"message of {len(body)} bytes: more than {MESSAGE_BYTES_MAX}")
    try:
        return msgspec.json.decode(body, type=kind)
    except UNDECODABLE as error:
        raise EnrolmentError(f"not a message of ours: {error}") from error


def _check_character(data: str) -> str:
    return CODE_ALPHABET[hashlib.sha256(data.encode()).digest()[0] & 31]


def _decoded(text: str, size: int) -> bytes:
    """`size` bytes in base64url without padding; each has one spelling alone."""
    if re.fullmatch(rf"[A-Za-z0-9_-]{{{(size * 8 + 5) // 6}}}", text):
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if encode_bytes(data) == text:
            return data
    raise EnrolmentError(f"is not {size} bytes in base64url")
