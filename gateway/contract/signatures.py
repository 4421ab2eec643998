"""How gateway and cloud prove who wrote a message: RFC 9421 with Ed25519, RFC 9530 for the body. Pure.

Each way has one fixed set of components, one label, one order of parameters and one spelling, and nothing else is
taken: a general reader would have to be right about every form that RFC 8941 allows, ours is a regular
expression. A request is bound to a nonce of the cloud, a reply to the signature of its request: whoever stands
in between gives out the nonces, and could have any answer signed to a request of his own with the same one.
`created` is told and signed, but nobody decides by it: a gateway may believe it is 1970.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware_bridge.reading import UtcUs

# 132 bits of SHA-256: nobody finds a second key for a name, and people can compare it.
KEY_ID_CHARACTERS = 22
# Ours have some 35; more is somebody else's.
NONCE_CHARACTERS_MAX = 64
# What a browser takes; ours are below 100.
TARGET_CHARACTERS_MAX = 2_048

Fault = Literal["missing", "repeated", "malformed", "other_digest", "other_nonce", "unknown_key", "wrong_signature"]

_REQUEST_COMPONENTS = ("@method", "@target-uri", "content-digest", "smartwatts-gateway", "smartwatts-instance")
# The last one is the header of the request that is answered (RFC 9421, 2.4).
_ANSWERED = "signature;req"
_REPLY_COMPONENTS = ("@status", "content-digest", "smartwatts-time", "smartwatts-nonce", _ANSWERED)
_KEY_ID = f"[A-Za-z0-9_-]{{{KEY_ID_CHARACTERS}}}"
_NONCE = f"[A-Za-z0-9._-]{{1,{NONCE_CHARACTERS_MAX}}}"
# Twelve digits of seconds last for 30,000 years, sixteen of microseconds for 300.
_PARAMETERS = rf'created=(0|[1-9][0-9]{{0,11}});keyid="({_KEY_ID})";nonce="({_NONCE})";alg="ed25519"'
_FORMS = {
    "content-digest": re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:"),
    "signature": re.compile(r"sig1=:([A-Za-z0-9+/]{86}==):"),
    "smartwatts-gateway": re.compile(r"[a-z0-9][a-z0-9-]{0,62}"),
    "smartwatts-instance": re.compile(r"[0-9a-f]{16}"),
    "smartwatts-time": re.compile(r"0|[1-9][0-9]{0,15}"),
    "smartwatts-nonce": re.compile(_NONCE),
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986, 3.3: what stands in a path as it is; and what is escaped already.
_PATH_SAFE = "/%!$&'()*+,;=:@~"
_METHOD = re.compile(r"[A-Z]{1,16}")
_TARGET = re.compile(rf"[!-~]{{1,{TARGET_CHARACTERS_MAX}}}")


class SignatureError(ValueError):
    """A message is not what it says it is; `reason` says why in one word, for counters and for decisions."""

    def __init__(self, reason: Fault, text: str) -> None:
        self.reason: Fault = reason
        super().__init__(text)


class Signer(Protocol):
    """Whoever holds a private key: a file today, perhaps a chip tomorrow."""

    @property
    def key_id(self) -> str:
        """The name of the key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`."""
        ...


class SignedRequest(NamedTuple):
    """Who asks: `instance` is one start of the gateway's program, `created_s` what it took for the time."""

    gateway: str
    instance: str
    nonce: str
    key_id: str
    created_s: int


class SignedReply(NamedTuple):
    """What the cloud says beside the body: its time, and the nonce for the next request."""

    time_us: UtcUs
    next_nonce: str
    key_id: str


class Ed25519Signer:
    """A private key in memory; it shows itself to nobody."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """The Ed25519 signature of `data`."""
        return self._private.sign(data)


def key_id(public: bytes) -> str:
    """The name of a public key: made of the key itself, so that nobody has to give it out."""
    return base64.urlsafe_b64encode(hashlib.sha256(public).digest())[:KEY_ID_CHARACTERS].decode()


def check_signature(public: bytes, signature: bytes, data: bytes) -> None:
    """`signature` is of `data` and by the key `public`.

    Raises:
        SignatureError: it is not, or `public` is no key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("wrong_signature", "the signature is not by that key, or of something else") from error


def content_digest(body: bytes) -> str:
    """The value of the Content-Digest header (RFC 9530, SHA-256 alone)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def target_uri(url: str, path: str) -> str:
    """The `@target-uri` of `path` under the public address `url`; both sides form it here.

    What may be written in several ways has one here: ASCII, small letters, no default port, no slash at the end.

    Raises:
        ValueError: `url` is no address.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{quote(parts.path.rstrip('/'), safe=_PATH_SAFE)}{path}"


def signature_base(components: Sequence[tuple[str, str]], parameters: str) -> bytes:
    """What is signed (RFC 9421, 2.5): each component with its value, then the parameters.

    Names and values are taken as they are: who calls has refused line ends in them. A name may carry the parameter
    of its component, as in `signature;req`.
    """
    lines = [f"{_identifier(name)}: {value}" for name, value in components]
    covered = _inner_list([name for name, _ in components])
    return "\n".join([*lines, f'"@signature-params": {covered};{parameters}']).encode("ascii")


def sign_request(
    key: Signer, *, method: str, target: str, body: bytes, gateway: str, instance: str, nonce: str, created_s: int
) -> dict[str, str]:
    """The headers that make a request ours."""
    headers = {
        "Content-Digest": content_digest(body),
        "SmartWatts-Gateway": gateway,
        "SmartWatts-Instance": instance,
    }
    values = (method, target, *headers.values())
    return headers | _sealed(key, _REQUEST_COMPONENTS, values, nonce, created_s)


def claimed_request(headers: Mapping[str, str]) -> SignedRequest:
    """What a request says of itself, for looking its key up; nothing of it is proven yet.

    Raises:
        SignatureError: missing, repeated or malformed.
    """
    return _claimed(_fields(headers, _REQUEST_COMPONENTS))


def verify_request(
    headers: Mapping[str, str], *, method: str, target: str, body: bytes, public_keys: Mapping[str, bytes]
) -> SignedRequest:
    """Who sent the request, proven by one of `public_keys` (by key id); the nonce is the caller's to check.

    Raises:
        SignatureError: it is not proven; says why.
    """
    fields = _fields(headers, _REQUEST_COMPONENTS)
    claimed = _claimed(fields)
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise SignatureError("malformed", "method or address cannot stand in a signature")
    fields |= {"@method": method, "@target-uri": target}
    _check(fields, _REQUEST_COMPONENTS, body, claimed.key_id, public_keys)
    return claimed


def sign_reply(
    key: Signer, *, status: int, body: bytes, nonce: str, request: str, next_nonce: str, time_us: UtcUs
) -> dict[str, str]:
    """The headers that make a reply ours, to the request that carried `nonce` and `request` as its signature."""
    headers = {
        "Content-Digest": content_digest(body),
        "SmartWatts-Time": str(time_us),
        "SmartWatts-Nonce": next_nonce,
    }
    values = (str(status), *headers.values(), request)
    return headers | _sealed(key, _REPLY_COMPONENTS, values, nonce, time_us // 1_000_000)


def verify_reply(
    headers: Mapping[str, str],
    *,
    status: int,
    body: bytes,
    nonce: str,
    request: str,
    public_keys: Mapping[str, bytes],
) -> SignedReply:
    """What the cloud says, proven to answer the request that carried `nonce` and `request` as its signature.

    Raises:
        SignatureError: it is not proven: a portal or a proxy answered, perhaps; says why.
    """
    fields = _fields(headers, _REPLY_COMPONENTS)
    _, signed_by, answered = _parameters(fields, _REPLY_COMPONENTS)
    if answered != nonce:
        raise SignatureError("other_nonce", "the answer belongs to another request")
    fields |= {"@status": str(status), _ANSWERED: request}
    _check(fields, _REPLY_COMPONENTS, body, signed_by, public_keys)
    return SignedReply(UtcUs(int(fields["smartwatts-time"])), fields["smartwatts-nonce"], signed_by)


def _sealed(
    key: Signer, names: tuple[str, ...], values: tuple[str, ...], nonce: str, created_s: int
) -> dict[str, str]:
    parameters = f'created={created_s};keyid="{key.key_id}";nonce="{nonce}";alg="ed25519"'
    assert re.fullmatch(_PARAMETERS, parameters), "nonce and time fit the form that the other side takes"
    base = signature_base(list(zip(names, values, strict=True)), parameters)
    return {
        "Signature-Input": f"sig1={_inner_list(names)};{parameters}",
        "Signature": f"sig1=:{base64.b64encode(key.sign(base)).decode()}:",
    }


def _fields(headers: Mapping[str, str], components: tuple[str, ...]) -> dict[str, str]:
    """Our headers by their small names, each there once and in our form; `headers` may hold a name twice."""
    wanted = {"signature-input", "signature", *(name for name in components if name[0] != "@" and name != _ANSWERED)}
    fields: dict[str, str] = {}
    for name, value in headers.items():
        small = name.lower()
        if small not in wanted:
            continue
        if small in fields:
            raise SignatureError("repeated", f"the header {small} stands there more than once")
        # signature-input is read with its parameters; any other form holds no space and no line end
        if small in _FORMS and not _FORMS[small].fullmatch(value):
            raise SignatureError("malformed", f"the header {small} has another form than ours")
        fields[small] = value
    for name in sorted(wanted - fields.keys()):
        raise SignatureError("missing", f"there is no header {name}")
    return fields


def _parameters(fields: dict[str, str], components: tuple[str, ...]) -> tuple[int, str, str]:
    """`created`, key id and nonce of the signature."""
    form = re.escape(f"sig1={_inner_list(components)};") + _PARAMETERS
    found = re.fullmatch(form, fields["signature-input"])
    if found is None:
        raise SignatureError("malformed", "the header signature-input has another form than ours")
    return int(found[1]), found[2], found[3]


def _claimed(fields: dict[str, str]) -> SignedRequest:
    created_s, signed_by, nonce = _parameters(fields, _REQUEST_COMPONENTS)
    return SignedRequest(fields["smartwatts-gateway"], fields["smartwatts-instance"], nonce, signed_by, created_s)


def _check(
    fields: dict[str, str], names: tuple[str, ...], body: bytes, signed_by: str, public_keys: Mapping[str, bytes]
) -> None:
    if fields["content-digest"] != content_digest(body):
        raise SignatureError("other_digest", "the body is not the one that was signed")
    public = public_keys.get(signed_by)
    if public is None:
        raise SignatureError("unknown_key", f"the key {signed_by} is not known")
    signature = base64.b64decode(fields["signature"][6:-1])
    if base64.b64encode(signature).decode() != fields["signature"][6:-1]:
        raise SignatureError("malformed", "the signature is written in another way than the only one")
    parameters = fields["signature-input"].partition(");")[2]
    check_signature(public, signature, signature_base([(name, fields[name]) for name in names], parameters))


def _inner_list(names: Sequence[str]) -> str:
    return "(" + " ".join(map(_identifier, names)) + ")"


def _identifier(name: str) -> str:
    name, parameter, word = name.partition(";")
    return f'"{name}"{parameter}{word}'
