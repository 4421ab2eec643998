"""The way home: batches of records over HTTP, each kept until the cloud has acknowledged it.

Only an acknowledgement that names our generation and exactly what was sent moves the cursor: a
portal's page, a half reply or a proxy's 200 changes nothing, and the batch is sent again.
"""

import logging
from dataclasses import dataclass

import aiohttp

from firmware_bridge.clock import Clock
from firmware_bridge.reading import UtcUs
from gateway.config import SyncConfig
from gateway.contract.batches import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch, decode_acknowledgement, encode_batch
from gateway.contract.records import RecordError
from gateway.shell.store import Store

log = logging.getLogger(__name__)

BATCHES_PATH = "/v1/batches"
# An acknowledgement is below 200 bytes; a portal's page may be anything.
_ANSWER_BYTES_MAX = 64 * 1024
# A body is written in one piece: more than a megabyte would hold up the tick. The cloud takes four times that.
_BODY_BYTES_MAX = BATCH_BYTES_MAX // 4 - 64 * 1024


class SyncError(Exception):
    """The upload did not succeed; nothing was moved and it will be tried again."""


@dataclass(slots=True)
class SyncState:
    """How the way home fares, for the page."""

    last_success_us: UtcUs | None = None
    last_error: str | None = None
    records_sent: int = 0
    bytes_sent: int = 0


class SyncClient:
    """Sends what waits, oldest first, one batch at a time."""

    def __init__(self, config: SyncConfig, gateway_id: str, store: Store, clock: Clock) -> None:
        self._config = config
        self._gateway_id = gateway_id
        self._store = store
        self._clock = clock
        self.state = SyncState()

    async def run(self) -> None:
        """Upload every period, for ever. Trouble outside is kept in `state` and tried again."""
        timeout = aiohttp.ClientTimeout(total=self._config.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self.drain(session)
                await self._clock.sleep_for(self._config.period_s)

    async def finish(self) -> None:
        """One last upload before an orderly stop."""
        timeout = aiohttp.ClientTimeout(total=self._config.timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await self.drain(session)

    async def drain(self, session: aiohttp.ClientSession) -> None:
        """Send batches until nothing waits or one fails."""
        try:
            while records := await self._store.unacknowledged(BATCH_RECORDS_MAX, _BODY_BYTES_MAX):
                batch = Batch(self._gateway_id, self._store.generation, self._store.queue.acknowledged, records)
                await self._send(session, batch)
                self.state.records_sent += len(records)
        except SyncError as error:
            if self.state.last_error is None:
                log.warning("upload failed, records are kept: url=%s error=%s", self._config.url, error)
            self.state.last_error = str(error)
            return
        if self.state.last_error is not None:
            log.info("upload works again: url=%s", self._config.url)
        self.state.last_error = None
        self.state.last_success_us = self._clock.utc_us()

    async def _send(self, session: aiohttp.ClientSession, batch: Batch) -> None:
        body = encode_batch(batch)
        last = batch.records[-1].sequence
        try:
            async with session.post(
                self._config.url.rstrip("/") + BATCHES_PATH,
                data=body,
                headers={"Content-Type": "application/msgpack"},
                allow_redirects=False,
            ) as response:
                answer = await _read_at_most(response, _ANSWER_BYTES_MAX)
                if response.status != 200:
                    raise SyncError(f"the cloud answered {response.status}")
            acknowledgement = decode_acknowledgement(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SyncError(f"no answer: {str(error) or type(error).__name__}") from error
        except RecordError as error:
            raise SyncError(str(error)) from error
        if (acknowledgement.generation, acknowledgement.acknowledged) != (batch.generation, last):
            raise SyncError("the acknowledgement is for something else than what was sent")
        await self._store.acknowledge(last)
        self.state.bytes_sent += len(body)


async def _read_at_most(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > bytes_max:
            raise SyncError(f"the answer is longer than {bytes_max} bytes: not our cloud's")
    return bytes(answer)
