"""What a gateway can ask for: that its batch is kept, to be enrolled, another key. A shell.

Nothing is answered 200 before it is committed, and nothing is done before it is proven who asks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from cloud_trainer.ingest.admission import StrangerError, UsedNonceError, admit
from cloud_trainer.ingest.auth import Caller, Gatekeeper, revoked, spent
from cloud_trainer.ingest.claims import ClaimRefusedError, IdentityConflictError, enroll, rotate
from cloud_trainer.ingest.db import Connection, Known, OtherRecordError, store_batch
from cloud_trainer.ingest.entry import TooMuchError
from cloud_trainer.ingest.gateways import KnownGateway, RevokedError
from cloud_trainer.ingest.limits import Limits
from cloud_trainer.ingest.metrics import Metrics
from cloud_trainer.ingest.pool import Pool, connected
from cloud_trainer.ingest.replies import Answer, RefusedError
from cloud_trainer.ingest.server_key import ServerKeys
from cloud_trainer.ingest.turns import Turns
from firmware_bridge.clock import Clock
from gateway.contract.batches import decode_batch, encode_acknowledgement
from gateway.contract.enrolment import (
    Enrolled,
    EnrolmentError,
    EnrolRequest,
    RotateRequest,
    decode_key,
    decode_message,
    encode_bytes,
    encode_message,
)
from gateway.contract.records import RecordError
from gateway.contract.signatures import SignatureError, key_id


class Endpoints:
    """The work behind each path, for callers whose nonce was checked; each ends in an answer or a RefusedError."""

    def __init__(
        self,
        pool: Pool,
        gatekeeper: Gatekeeper,
        keys: ServerKeys,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._pool, self._gatekeeper, self._keys = pool, gatekeeper, keys
        self._limits, self._metrics, self._clock = limits, metrics, clock
        self._turns = Turns(limits, metrics)
        self._stored = Known()

    async def take_batch(self, caller: Caller, known: KnownGateway, body: bytes) -> Answer:
        """Keep a batch."""

        async def admitted(connection: Connection) -> None:
            await self._admit(connection, caller, known)

        async with self._turns.turn():
            try:
                batch = decode_batch(body)
                if batch.gateway != known.gateway:
                    raise _unfit(f"the batch is of {batch.gateway}, and {known.gateway} sent it")
                async with self._connection() as connection:
                    acknowledgement = await store_batch(connection, batch, known=self._stored, admit=admitted)
            except TooMuchError as error:
                raise RefusedError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "size", str(error), "send smaller batches"
                ) from error
            except RecordError as error:
                raise _undecodable(str(error)) from error
            except OtherRecordError as error:
                hint = "an old copy of the store is back, or it was copied: from there on it is another generation"
                raise RefusedError(
                    HTTPStatus.CONFLICT, "conflict", str(error), hint, conflict_from=error.conflict_from
                ) from error
        self._metrics.records.labels("stored").inc(acknowledgement.stored)
        self._metrics.records.labels("repeated").inc(len(batch.records) - acknowledgement.stored)
        return Answer(HTTPStatus.OK, encode_acknowledgement(acknowledgement))

    async def take_rotation(self, caller: Caller, known: KnownGateway, body: bytes) -> Answer:
        """Give a gateway a second key."""
        try:
            request = decode_message(body, RotateRequest)
            async with self._connection() as connection, connection.transaction():
                await self._admit(connection, caller, known, is_upload=False)
                rotated = await rotate(
                    connection,
                    request,
                    gateway=known.gateway,
                    signed_by=caller.claimed.key_id,
                    server_keys=self._server_keys(),
                    now_us=self._clock.utc_us(),
                )
        except EnrolmentError as error:
            raise _undecodable(str(error)) from error
        except SignatureError as error:
            raise self._gatekeeper.failed(caller, str(error)) from error
        except IdentityConflictError as error:
            raise _taken(error) from error
        self._gatekeeper.forget(known.gateway)
        return Answer(HTTPStatus.OK, encode_message(rotated))

    async def take_enrolment(self, caller: Caller, body: bytes, target: str) -> Answer:
        """Make who brings a claim code and a key a gateway; the request is signed with that very key."""
        claimed = caller.claimed
        try:
            request = decode_message(body, EnrolRequest)
            public = decode_key(request.public_key)
        except EnrolmentError as error:
            raise _undecodable(str(error)) from error
        self._gatekeeper.prove_key(caller, target, body, {key_id(public): public})
        if request.gateway != claimed.gateway:
            raise _unfit("the request names two gateways")
        try:
            async with self._connection() as connection:
                member = await enroll(connection, request, nonce_us=caller.issued_us, now_us=self._clock.utc_us())
        except ClaimRefusedError as error:
            hint = "ask whoever runs the cloud for a new code"
            raise RefusedError(HTTPStatus.FORBIDDEN, "claim", str(error), hint) from error
        except IdentityConflictError as error:
            raise _taken(error) from error
        self._gatekeeper.forget(member.gateway)
        enrolled = Enrolled(
            member.gateway, member.organisation, member.site, self._server_keys(), self._clock.utc_us()
        )
        return Answer(HTTPStatus.OK, encode_message(enrolled))

    async def _admit(
        self, connection: Connection, caller: Caller, known: KnownGateway, *, is_upload: bool = True
    ) -> None:
        """The caller's admission, in the transaction of its work."""
        now_us = self._clock.utc_us()
        try:
            is_suspect = await admit(
                connection, known, caller.claimed, issued_us=caller.issued_us, now_us=now_us, is_upload=is_upload
            )
        except UsedNonceError as error:
            caller.used_us = error.used_us
            raise spent(str(error)) from error
        except RevokedError as error:
            self._gatekeeper.forget(known.gateway)
            raise revoked() from error
        except StrangerError as error:
            self._gatekeeper.forget(known.gateway)
            raise self._gatekeeper.failed(caller, str(error)) from error
        if is_suspect:
            self._metrics.suspects.inc()

    def _server_keys(self) -> list[str]:
        return [encode_bytes(key) for key in self._keys.public]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with asyncio.timeout(self._limits.store_s_max), connected(self._pool) as connection:
            yield connection


def _undecodable(error: str) -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, "content", error, "is the gateway's program newer than the cloud's?")


def _unfit(error: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "content", error)


def _taken(error: IdentityConflictError) -> RefusedError:
    return RefusedError(HTTPStatus.CONFLICT, "conflict", str(error), error.next_step)
