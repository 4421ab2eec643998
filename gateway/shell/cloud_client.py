"""What the gateway says to its cloud, and what it believes of the answers. A shell.

Every request is signed and carries a nonce of the cloud; every answer must be signed by a key that the cloud named at
the enrolment, and belong to that very request. Whatever else answers (a portal, a proxy, somebody in between) is no
answer, whatever its status.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from firmware_bridge.clock import Clock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs
from gateway.contract.enrolment import NONCE_PATH, EnrolmentError, Nonce, decode_message
from gateway.contract.signatures import (
    Ed25519Signer,
    SignatureError,
    SignedReply,
    Signer,
    sign_request,
    target_uri,
    verify_reply,
)
from gateway.shell.http_exchange import Answer, CloudError, exchange, retry_after_s
from gateway.shell.identity import INSTANCE, Identity, IdentityFolder, Stamp

log = logging.getLogger(__name__)

# The cloud takes a nonce for 600 s. An older one would cost a second upload of the body; asking costs 200 bytes.
_NONCE_S_MAX = 500.0
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class NotEnrolledError(CloudError):
    """There is no identity yet: nothing can be sent, and everything is kept."""


class Reply(NamedTuple):
    """A signed answer. `retry_after_s` is what it asks for, in real seconds; `time_us` is the cloud's time."""

    status: int
    body: bytes
    retry_after_s: float | None
    time_us: UtcUs


class Cloud:
    """The cloud as one gateway knows it. One request at a time."""

    def __init__(
        self,
        url: str,
        identity: IdentityFolder,
        clock: Clock,
        session: aiohttp.ClientSession,
        *,
        timeout_s: float = 30.0,
        instance: str = INSTANCE,
    ) -> None:
        """`timeout_s` bounds a whole `post`, with all that it takes, in real seconds."""
        self._url = url
        self._folder = identity
        self._clock = clock
        self._session = session
        self._timeout_s = timeout_s
        self._instance = instance
        self._stamp: Stamp | None = None
        self._identity: Identity | None = None
        self._nonce: tuple[str, MonotonicS] | None = None

    @property
    def identity(self) -> Identity | None:
        """Who we are as the files say now; None while the gateway is not enrolled.

        Raises:
            SettingError: the files of the identity cannot be used.
        """
        if (stamp := self._folder.stamp) != self._stamp:
            self._identity = self._folder.load()
            self._stamp, self._nonce = stamp, None
        return self._identity

    async def post(self, path: str, body: bytes, content_type: str) -> Reply:
        """Send `body` and return the cloud's signed answer, whatever its status.

        A nonce that is used up or too old is mended here; so is a change of key that is under way.

        Raises:
            NotEnrolledError: there is no identity yet.
            CloudError: no answer of our cloud came; says why, for whoever stands before the gateway.
        """
        try:
            identity = self.identity
        except SettingError as error:
            raise CloudError(str(error)) from error
        if identity is None:
            raise NotEnrolledError("this gateway is not enrolled; `smartwatts-gateway enroll` does it")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(identity, path, body, content_type)
        except TimeoutError as error:
            raise CloudError(f"no answer within {self._timeout_s:g} s") from error

    async def _post(self, identity: Identity, path: str, body: bytes, content_type: str) -> Reply:
        """By the first of our keys that the cloud knows; where it knows none, what it said to the first one."""
        refusals = []
        for signer in identity.signers:
            reply = await self._post_by(signer, identity, path, body, content_type)
            if reply.status != _UNAUTHORIZED:  # to a key that it knows the cloud speaks of the gateway
                if signer.key_id == identity.next_key_id and reply.status != _FORBIDDEN:
                    await self._promote(signer)
                return reply
            refusals.append(reply)
        return refusals[0]

    async def _post_by(self, signer: Signer, identity: Identity, path: str, body: bytes, content_type: str) -> Reply:
        """Once more when the nonce was not good: the answer brings a fresh one."""
        reply = await self._post_once(signer, identity, path, body, content_type)
        if reply.status == _UNAUTHORIZED:
            reply = await self._post_once(signer, identity, path, body, content_type)
        return reply

    async def _post_once(
        self, signer: Signer, identity: Identity, path: str, body: bytes, content_type: str
    ) -> Reply:
        nonce = await self._take_nonce(identity.file.gateway)
        target = target_uri(self._url, path)
        signed = sign_request(
            signer,
            method="POST",
            target=target,
            body=body,
            gateway=identity.file.gateway,
            instance=self._instance,
            nonce=nonce,
            created_s=max(self._clock.utc_us(), 0) // US_PER_S,
        )
        answer = await exchange(
            self._session, "POST", target, headers=signed | {"Content-Type": content_type}, body=body
        )
        proven = proven_reply(answer, nonce, signed["Signature"], identity.server_keys)
        self._nonce = (proven.next_nonce, self._clock.monotonic_s())
        return Reply(answer.status, answer.body, retry_after_s(answer), proven.time_us)

    async def _take_nonce(self, gateway: str) -> str:
        """A nonce for one request."""
        kept, self._nonce = self._nonce, None
        if kept is not None and self._clock.monotonic_s() - kept[1] < _NONCE_S_MAX:
            return kept[0]
        return await fetch_nonce(self._session, self._url, gateway)

    async def _promote(self, signer: Ed25519Signer) -> None:
        try:
            # writing waits for the card, and the tick does not
            await asyncio.to_thread(self._folder.promote, signer.key_id)
        except SettingError as error:
            log.debug("new key is used, but not settled yet: %s", error)
            return
        log.info("new key is in use: key=%s", signer.key_id)


async def fetch_nonce(session: aiohttp.ClientSession, url: str, gateway: str) -> str:
    """A nonce for the next request of `gateway`. Nobody signs it: with a wrong one the request is refused.

    Raises:
        CloudError: something else answered, or nothing.
    """
    answer = await exchange(session, "GET", target_uri(url, f"{NONCE_PATH}?gateway={gateway}"))
    if answer.status == 200:
        try:
            return decode_message(answer.body, Nonce).nonce
        except EnrolmentError as error:
            raise CloudError(f"{_who(answer)}, but not our cloud: {error}") from error
    raise CloudError(f"{_who(answer)} when it was asked for a nonce", retry_after_s(answer))


def proven_reply(answer: Answer, nonce: str, request: str, server_keys: Mapping[str, bytes]) -> SignedReply:
    """What the answer says beside its body, once it is proven to be our cloud's, and to this very request.

    `request` is the signature of that: two requests may well carry one nonce, for anybody can give it to both.

    Raises:
        CloudError: it is not.
    """
    try:
        return verify_reply(
            answer.headers,
            status=answer.status,
            body=answer.body,
            nonce=nonce,
            request=request,
            public_keys=server_keys,
        )
    except SignatureError as error:
        raise CloudError(f"{_who(answer)}, but not our cloud: {error}", retry_after_s(answer)) from error


def _who(answer: Answer) -> str:
    return f"somebody answered {answer.status}"
