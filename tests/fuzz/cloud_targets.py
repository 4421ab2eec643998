"""Parsers of what gateway and cloud prove to each other: headers both ways, enrolment, the identity."""

from collections.abc import Callable, Hashable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from multidict import CIMultiDict

from firmware_bridge.reading import UtcUs
from gateway.contract.enrolment import (
    CODE_CHARACTERS,
    CODE_RANDOM_BYTES,
    Enrolled,
    EnrolmentError,
    EnrolRequest,
    Nonce,
    Rotated,
    RotateRequest,
    decode_message,
    encode_bytes,
    encode_message,
    new_code,
    read_code,
)
from gateway.contract.signatures import (
    Ed25519Signer,
    SignatureError,
    claimed_request,
    sign_reply,
    sign_request,
    verify_reply,
    verify_request,
)
from gateway.shell.http_exchange import Answer, retry_after_s
from gateway.shell.identity import decode_identity
from tests.fuzz.target import BRIEF, Target

KEY = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = {KEY.key_id: KEY.public}
BODY = b"body"
REQUEST = {"method": "POST", "target": "http://companion.example.org/v1/batches", "body": BODY}
REPLY = {"status": 200, "body": BODY, "nonce": "lq3k.abc", "request": "sig1=:abc=:"}

Headers = CIMultiDict[str]


def check_request_headers(data: bytes) -> Hashable:
    """What a stranger writes above a request: only what the key signed is proven."""
    headers = _headers(data)
    try:
        claimed = claimed_request(headers)
        proven = verify_request(headers, **REQUEST, public_keys=KEYS)
    except SignatureError as error:
        return error.reason, str(error)[:40]
    assert proven == claimed
    facts = {"gateway": proven.gateway, "instance": proven.instance, "nonce": proven.nonce}
    honest = sign_request(KEY, **REQUEST, **facts, created_s=proven.created_s)
    assert _ours(headers, honest), "nothing but what the key itself would have written"
    return "proven"


def check_reply_headers(data: bytes) -> Hashable:
    """What a portal writes above an answer."""
    headers = _headers(data)
    wait_s = retry_after_s(Answer(503, headers, b""))
    assert wait_s is None or 0 <= wait_s < 1e6
    try:
        proven = verify_reply(headers, **REPLY, public_keys=KEYS)
    except SignatureError as error:
        return error.reason, str(error)[:40], wait_s is None
    honest = sign_reply(KEY, **REPLY, next_nonce=proven.next_nonce, time_us=proven.time_us)
    assert _ours(headers, honest)
    return "proven"


def _headers(data: bytes) -> Headers:
    """As a server gives them: lines of a name and a value, each name as often as it was sent."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return CIMultiDict(
        (name.strip(), value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)
    )


def _ours(headers: Headers, honest: dict[str, str]) -> bool:
    return all(headers.getall(name) == [value] for name, value in honest.items())


def _lines(headers: dict[str, str]) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in headers.items()).encode()


def check_enrolment(data: bytes) -> Hashable:
    """Every message of an enrolment and a rotation; and a code, as somebody typed it."""
    kinds = (Nonce, EnrolRequest, Enrolled, RotateRequest, Rotated)
    return (*(_message(data, kind) for kind in kinds), _code(data))


def _message(data: bytes, kind: type) -> Hashable:
    try:
        message = decode_message(data, kind)
    except EnrolmentError as error:
        return "".join(letter for letter in str(error)[:60] if letter.isalpha())
    assert decode_message(encode_message(message), kind) == message
    return "message"


def _code(data: bytes) -> Hashable:
    try:
        return len(read_code(data.decode("latin-1"))) == CODE_CHARACTERS
    except EnrolmentError as error:
        return str(error)


def check_identity(data: bytes) -> Hashable:
    """What `identity.json` holds after a bad night of its card."""
    try:
        return len(decode_identity(data).server_keys)
    except ValueError as error:
        return "".join(letter for letter in str(error)[:60] if letter.isalpha())


def _enrolment_seeds() -> Iterator[bytes]:
    key = encode_bytes(KEY.public)
    code = new_code(bytes(range(CODE_RANDOM_BYTES)))
    yield code.encode()
    yield encode_message(Nonce("lq3k.abc"))
    yield encode_message(EnrolRequest(read_code(code), "gw-1", key, "Raspberry Pi 4", "0.1.0"))
    yield encode_message(Enrolled("gw-1", "org", "site", [key], UtcUs(1)))
    yield encode_message(RotateRequest(key, encode_bytes(bytes(64))))
    yield encode_message(Rotated(KEY.key_id, [key]))


_REQUEST_SEED = _lines(sign_request(KEY, **REQUEST, gateway="gw-1", instance="0" * 16, nonce="lq3k.abc", created_s=5))
_REPLY_SEED = _lines(sign_reply(KEY, **REPLY, next_nonce="lq3k.abd", time_us=UtcUs(5_000_000)))
_IDENTITY_SEED = (
    b'{"gateway":"gw-1","organisation":"org","site":"site","url":"http://companion.example.org","server_keys":["'
    + encode_bytes(KEY.public).encode()
    + b'"],"enrolled_us":1780000000000000,"next_key_id":null}'
)

_CHECKS: list[tuple[str, Callable[[bytes], Hashable], list[bytes]]] = [
    ("request_headers", check_request_headers, [_REQUEST_SEED]),
    ("reply_headers", check_reply_headers, [_REPLY_SEED, b"Retry-After: 30\n" + _REPLY_SEED]),
    ("enrolment", check_enrolment, list(_enrolment_seeds())),
    ("identity", check_identity, [_IDENTITY_SEED]),
]
TARGETS = [Target(name, check, seeds, [b"\r\n ", b"sig1=", b"\n"], share=BRIEF) for name, check, seeds in _CHECKS]
