"""How a gateway becomes one of the cloud's, and how it changes its key: one exchange each. A shell.

Both can be asked for again after any failure: the same key with the same code gets the same answer, and a key
that the cloud never took changes nothing.
"""

from http import HTTPStatus
from typing import ClassVar

import aiohttp

from firmware_bridge.clock import Clock
from firmware_bridge.errors import ConflictError, Exit, SettingError
from firmware_bridge.reading import US_PER_S
from gateway import SOFTWARE
from gateway.contract.batches import decode_refusal
from gateway.contract.enrolment import (
    ENROL_PATH,
    ROTATE_PATH,
    Enrolled,
    EnrolmentError,
    EnrolRequest,
    Rotated,
    RotateRequest,
    decode_key,
    decode_message,
    encode_bytes,
    encode_message,
    rotation_message,
)
from gateway.contract.records import RecordError
from gateway.contract.signatures import Ed25519Signer, key_id, sign_request, target_uri
from gateway.shell.cloud_client import Cloud, fetch_nonce, proven_reply
from gateway.shell.http_exchange import Answer, CloudError, exchange, retry_after_s
from gateway.shell.identity import INSTANCE, IdentityFolder

JSON = "application/json"


class UnreachableError(SettingError):
    """A setting could be right, but nobody answers there, or somebody else."""

    exit_code: ClassVar[Exit] = Exit.UNREACHABLE


class UntrustedError(SettingError):
    """Somebody answers there who is not who was meant, or says that we are not."""

    exit_code: ClassVar[Exit] = Exit.NOT_VERIFIED


async def enrol(
    session: aiohttp.ClientSession,
    url: str,
    request: EnrolRequest,
    signer: Ed25519Signer,
    pinned: str | None,
    clock: Clock,
) -> Enrolled:
    """Ask the cloud at `url` to take this gateway in.

    With `pinned`, the id of a key of the cloud, no other cloud can answer. Without it the first one that does is
    believed: its keys are to be compared.

    Raises:
        SettingError: it was refused, or nobody answered who can be believed; says what to do.
    """
    body = encode_message(request)
    try:
        asked, answer = await _ask(session, url, request.gateway, body, signer, clock)
        if answer.status == HTTPStatus.UNAUTHORIZED:  # another command used a later nonce meanwhile
            asked, answer = await _ask(session, url, request.gateway, body, signer, clock)
        if answer.status != HTTPStatus.OK:
            raise _refusal(url, answer.status, answer.body, retry_after_s(answer))
        enrolled = _enrolled(url, answer, pinned)
        keys = {key_id(public): public for public in map(decode_key, enrolled.server_keys)}
        proven_reply(answer, *asked, keys if pinned is None else {pinned: keys[pinned]})
    except CloudError as error:
        raise unreachable(url, error) from error
    if enrolled.gateway != request.gateway:
        raise UntrustedError("sync.url", url, f"answered for {enrolled.gateway}", "tell who runs the cloud")
    return enrolled


async def rotate(cloud: Cloud, url: str, folder: IdentityFolder) -> str:
    """Make another key and have the cloud know it; the id of the new key.

    Call with the folder locked. The gateway uses it with its next upload, and it is the only one from then on.

    Raises:
        SettingError: there is no identity yet, it was refused, or nobody answered who can be believed.
    """
    identity = folder.load()
    if identity is None:
        raise SettingError("identity", "(missing)", "is needed", "run `smartwatts-gateway enroll` first")
    if identity.next_key_id is not None and identity.next_key_id == identity.file.next_key_id:
        return identity.next_key_id  # the cloud knows it, and no upload came since
    old, following = identity.signers[0], folder.next_key()
    proof = following.sign(rotation_message(identity.file.gateway, old.key_id, following.key_id))
    request = RotateRequest(encode_bytes(following.public), encode_bytes(proof))
    try:
        reply = await cloud.post(ROTATE_PATH, encode_message(request), JSON)
        if reply.status != HTTPStatus.OK:
            raise _refusal(url, reply.status, reply.body, reply.retry_after_s)
        rotated = decode_message(reply.body, Rotated)
    except (CloudError, EnrolmentError) as error:
        raise unreachable(url, error) from error
    if rotated.key_id != following.key_id:
        raise UntrustedError("sync.url", url, f"took another key, {rotated.key_id}", "tell who runs the cloud")
    folder.confirm_next(rotated)
    return following.key_id


def unreachable(url: str, error: Exception) -> UnreachableError:
    """Nobody answered who can be believed, as a sentence for whoever gave the command."""
    return UnreachableError("sync.url", url, str(error), "nothing was changed: give the same command again")


async def _ask(
    session: aiohttp.ClientSession, url: str, gateway: str, body: bytes, signer: Ed25519Signer, clock: Clock
) -> tuple[tuple[str, str], Answer]:
    """The answer, and the nonce and the signature of the request that it must belong to."""
    nonce = await fetch_nonce(session, url, gateway)
    target = target_uri(url, ENROL_PATH)
    headers = sign_request(
        signer,
        method="POST",
        target=target,
        body=body,
        gateway=gateway,
        instance=INSTANCE,
        nonce=nonce,
        created_s=max(clock.utc_us(), 0) // US_PER_S,
    )
    answer = await exchange(session, "POST", target, headers=headers | {"Content-Type": JSON}, body=body)
    return (nonce, headers["Signature"]), answer


def _enrolled(url: str, answer: Answer, pinned: str | None) -> Enrolled:
    try:
        enrolled = decode_message(answer.body, Enrolled)
        keys = [key_id(decode_key(text)) for text in enrolled.server_keys]
    except EnrolmentError as error:
        raise UnreachableError("sync.url", url, f"is not our cloud: {error}", "mind its spelling") from error
    if pinned is not None and pinned not in keys:
        raise UntrustedError(
            "--server-key",
            pinned,
            f"is no key of the cloud that answered at {url}; it has {', '.join(keys)}",
            "ask who runs the cloud for its key; if it is another one than these, somebody is in between",
        )
    return enrolled


def _refusal(url: str, status: int, body: bytes, wait_s: float | None) -> SettingError:
    """What the cloud said in place of yes."""
    try:
        told = decode_refusal(body)
        words, hint = told.error, told.hint
    except RecordError:
        words, hint = f"answered {status}, and not as our cloud does", ""
    match status:
        case HTTPStatus.FORBIDDEN:
            return UntrustedError("code", "(not shown)", f"was refused: {words}", hint or "ask for a new code")
        case HTTPStatus.CONFLICT:
            return ConflictError("identity", "(this gateway)", words, hint or "tell who runs the cloud")
        case HTTPStatus.UNAUTHORIZED:
            return UntrustedError("sync.url", url, words, hint or "is it the address that the cloud knows itself by?")
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            again = "try again later" if wait_s is None else f"try again in {wait_s:.0f} s"
            return UnreachableError("sync.url", url, words, again)
    return UnreachableError("sync.url", url, words, hint or "tell who runs the cloud")


def enrol_request(code: str, gateway: str, signer: Ed25519Signer, hardware: str) -> EnrolRequest:
    """What this gateway says of itself."""
    return EnrolRequest(code, gateway, encode_bytes(signer.public), hardware, SOFTWARE)
