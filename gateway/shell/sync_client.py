"""The way home: batches of records to the cloud, each kept until the cloud has signed for it. A shell.

What an answer means is decided in core/outbox.py, when to ask in core/upload_plan.py, and who answered in
cloud_client.py; this carries it out.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from typing import NamedTuple

from firmware_bridge.clock import Clock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, UtcUs
from gateway import SOFTWARE
from gateway.config import SyncConfig
from gateway.contract.batches import Batch, encode_batch
from gateway.contract.records import StatusEvent, StatusRecord
from gateway.core.outbox import Action, Outbox, State, Step
from gateway.core.upload_plan import KINDS, day_of, kind_of, rest_s, until_turn_s
from gateway.core.upload_reply import Heard, no_answer, read_reply
from gateway.shell.cloud_client import Cloud
from gateway.shell.http_exchange import CloudError
from gateway.shell.identity import Identity
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store

log = logging.getLogger(__name__)

BATCHES_PATH = "/v1/batches"
CONTENT_TYPE = "application/msgpack"
# Real seconds between two looks for an identity, while there is none that may send: an installer who has just
# enrolled this gateway stands before it and waits.
IDENTITY_LOOK_S = 10.0


@dataclass(slots=True)
class SyncState:
    """How the way home fares, for the page and the metrics.

    Bytes are those of bodies that the cloud answered, sent again or not, since this start; by kind, those of the
    records in them.
    """

    is_enrolled: bool = False
    is_revoked: bool = False
    last_success_us: UtcUs | None = None
    last_error: str | None = None
    next_attempt_us: UtcUs | None = None
    records_sent: int = 0
    bytes_sent: int = 0
    bytes_today: int = 0
    bytes_by_kind: Counter[str] = field(default_factory=Counter)
    bytes_by_kind_today: Counter[str] = field(default_factory=Counter)


class _Sent(NamedTuple):
    """What came of a batch: what to do now, real seconds it took, and when its last record was recorded."""

    step: Step
    took_s: float
    newest_us: UtcUs


class SyncClient:
    """Sends what waits and may leave the site, oldest first, one batch at a time."""

    def __init__(
        self,
        config: SyncConfig,
        gateway_id: str,
        cloud: Cloud,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        *,
        zone: tzinfo = UTC,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`recorder` leads into `store`; `zone` says when a day of the statistics begins."""
        self._period_s, self._kinds = config.period_s, KINDS[config.share]
        self._gateway_id, self._cloud, self._clock = gateway_id, cloud, clock
        self._store, self._recorder = store, recorder
        self._zone, self._uniform = zone, uniform
        patience_s = config.period_s / clock.rate
        self._outbox = Outbox(timeout_s=config.timeout_s, patience_s=patience_s, uniform=uniform)
        self._has_looked = False
        # when the identity was given to us: a key that is changed by us is no other identity
        self._enrolled_us: UtcUs | None = None
        self._today: date | None = None
        self.state = SyncState()

    async def run(self) -> None:
        """Upload every period, for ever. Trouble outside is kept in `state` and tried again."""
        # A whole town may have got its power back just now: nothing is sent before our turn.
        wait_s = self._until_turn_s() if await self._may_send() else self._until_look_s
        while True:
            self.state.next_attempt_us = UtcUs(self._clock.utc_us() + round(wait_s * US_PER_S))
            await self._clock.sleep_for(wait_s)
            wait_s = await self.upload()

    async def upload(self) -> float:
        """Send batches until nothing waits or something is in the way; seconds of the clock until the next try.

        What is recorded meanwhile waits for the next turn: a site that records without a pause has an end, too.
        """
        began_us = self._clock.utc_us()
        while await self._may_send():
            sent = await self._send_next()
            if sent is None or (sent.step.action is Action.ADVANCE and sent.newest_us > began_us):
                return self._until_turn_s()
            step, took_s = sent.step, sent.took_s
            if step.wait_s is not None:
                return step.wait_s * self._clock.rate
            if step.action is not Action.STOP:
                await self._clock.sleep_for(rest_s(took_s) * self._clock.rate)
        return self._until_look_s

    async def finish(self) -> None:
        """One last upload before an orderly stop: without rests, and not against the cloud's word."""
        while await self._may_send():
            sent = await self._send_next()
            if sent is None or sent.step.wait_s is not None:
                return

    async def _may_send(self) -> bool:
        """Whether there is somebody to send as whom the cloud did not turn away."""
        identity = self._look()
        self.state.is_enrolled = identity is not None
        if identity is None:
            return False
        before_us, self._enrolled_us = self._enrolled_us, identity.file.enrolled_us
        if self._has_looked and before_us != self._enrolled_us:
            self._outbox.renew()
            await self._record("enrolled", f"this gateway belongs to {identity.file.organisation}")
        self._has_looked = True
        self.state.is_revoked = self._outbox.state is State.REVOKED
        return self._outbox.may_send(self._clock.monotonic_s())

    def _look(self) -> Identity | None:
        """Who we are; None when nobody, and why is noted."""
        try:
            identity = self._cloud.identity
        except SettingError as error:
            self._note_trouble(f"not enrolled: {error}")
            return None
        if identity is None:
            self._has_looked = True
            self._note_trouble("not enrolled: everything is kept here until `smartwatts-gateway enroll` is done")
        return identity

    async def _send_next(self) -> _Sent | None:
        """Send one batch and do what its answer asks for; None when nothing waits."""
        waiting = await self._store.waiting(self._kinds, self._outbox.records_max, self._outbox.bytes_max)
        if waiting is None:
            await self._ask_for_time()
            self.state.last_error = None
            return None
        batch = self._outbox.batch(self._gateway_id, waiting.generation, waiting.acknowledged, waiting.records)
        body = encode_batch(batch)
        began_s = self._clock.monotonic_s()
        heard = await self._post(batch, body)
        now_s = self._clock.monotonic_s()
        took_s = now_s - began_s
        step = self._outbox.hear(batch, heard, body_bytes=len(body), took_s=took_s, now_s=now_s)
        await self._carry_out(step, batch)
        return _Sent(step, took_s, batch.records[-1].recorded_us)

    async def _post(self, batch: Batch, body: bytes) -> Heard:
        try:
            reply = await self._cloud.post(BATCHES_PATH, body, CONTENT_TYPE)
        except CloudError as error:
            return no_answer(str(error), error.retry_after_s)
        self._clock.trust(reply.time_us)
        self._count(batch, len(body))
        return read_reply(batch, reply.status, reply.body, reply.retry_after_s)

    async def _carry_out(self, step: Step, batch: Batch) -> None:
        now_us = self._clock.utc_us()
        match step.action:
            case Action.ADVANCE:
                await self._store.acknowledge(step.sequence)
                self.state.records_sent += len(batch.records)
                self._note_success()
                return
            case Action.REWIND:
                await self._store.rewind(step.sequence)
            case Action.BEGIN_GENERATION:
                await self._store.begin_generation(step.sequence, now_us)
            case Action.QUARANTINE:
                log.error("record refused, put aside: sequence=%d reason=%s", step.sequence, step.words)
                await self._store.quarantine(step.sequence, step.words, now_us)
            case Action.STOP:
                self.state.is_revoked = True
                await self._record("revoked", step.words)
            case _:
                pass
        self._note_trouble(step.words)

    async def _ask_for_time(self) -> None:
        """What is recorded before the clock is right does not wait yet: nothing would be sent, and no time heard.

        The cloud refuses an empty batch, and signs that with its time.
        """
        if self._clock.is_trusted:
            return
        try:
            reply = await self._cloud.post(BATCHES_PATH, b"", CONTENT_TYPE)
        except CloudError as error:
            log.debug("no time from the cloud: %s", error)
            return
        self._clock.trust(reply.time_us)

    async def _record(self, event: StatusEvent, detail: str) -> None:
        await self._recorder.write([StatusRecord(self._clock.utc_us(), event, SOFTWARE, detail)])

    @property
    def _until_look_s(self) -> float:
        return min(IDENTITY_LOOK_S * self._clock.rate, self._period_s)

    def _until_turn_s(self) -> float:
        return until_turn_s(self._gateway_id, self._period_s, self._clock.utc_us(), self._uniform)

    def _count(self, batch: Batch, body_bytes: int) -> None:
        state, now_us = self.state, self._clock.utc_us()
        today = day_of(now_us, self._zone)
        if today != self._today:
            self._today = today
            state.bytes_today = 0
            state.bytes_by_kind_today.clear()
        state.bytes_sent += body_bytes
        state.bytes_today += body_bytes
        for record in batch.records:
            kind = kind_of(record.body)
            state.bytes_by_kind[kind] += len(record.body)
            state.bytes_by_kind_today[kind] += len(record.body)

    def _note_success(self) -> None:
        if self.state.last_error is not None:
            log.info("upload works again")
        self.state.last_error = None
        self.state.last_success_us = self._clock.utc_us()

    def _note_trouble(self, words: str) -> None:
        if self.state.last_error is None:
            log.warning("upload failed, records are kept: %s", words)
        self.state.last_error = words
