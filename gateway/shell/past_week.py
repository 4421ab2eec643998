"""The site's last week, in the window that forecasts are made from: lived through, or read back from the store."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from firmware_bridge.reading import US_PER_S, Series, UtcUs
from gateway.config import RecordConfig
from gateway.contract.inputs import HISTORY_STEPS, STEP_US
from gateway.contract.readings import unpack_block
from gateway.contract.records import Aggregate, ReadingsBlock, RecordError
from gateway.core.grid import good_means
from gateway.core.site import Site
from gateway.core.window import Window
from gateway.shell.store import Store

log = logging.getLogger(__name__)


class PastWeek:
    """Feeds the window; after a start, or when the clock was set, from what is on disk."""

    def __init__(self, store: Store, site: Site, series: Sequence[Series], record: RecordConfig) -> None:
        self._store, self._site, self._series = store, site, series
        self._period_polls = record.recording_period_s // record.poll_period_s
        self._step_polls = STEP_US // (record.poll_period_s * US_PER_S)
        self._blocks: AsyncIterator[ReadingsBlock] | None = None
        self._until_us = UtcUs(0)
        self.window = Window(polls_per_step=self._step_polls)

    def live(self, start_us: UtcUs, aggregates: Sequence[Aggregate]) -> None:
        """Take a recording period that is just over."""
        self.window.add(start_us, *self._consumption(aggregates))

    async def begin(self, now_us: UtcUs) -> None:
        """Forget all, and read the week before `now_us` from the store: `read_on` until it is over."""
        await self.close()
        self.window = Window(polls_per_step=self._step_polls)
        self.window.advance(UtcUs(now_us - now_us % STEP_US + STEP_US))
        self._until_us = now_us
        self._blocks = self._store.blocks_since(UtcUs(now_us - HISTORY_STEPS * STEP_US))

    async def read_on(self, blocks_max: int) -> bool:
        """Take so many blocks more, the newest first; whether there are any left.

        What is live meanwhile comes from `live` alone, although the store has it too.
        """
        if self._blocks is None:
            return False
        for _ in range(blocks_max):
            if (block := await anext(self._blocks, None)) is None:
                await self.close()
                return False
            if block.first_us < self._until_us:  # else it is live, or from a clock that ran ahead
                self._recall(block)
        return True

    def _recall(self, block: ReadingsBlock) -> None:
        try:
            aggregates = unpack_block(block)
        except RecordError as error:
            log.error("stored block cannot be read: error=%s", error)  # noqa: TRY400 - the reason is in the message
            return
        self.window.recall(block.start_us, *self._consumption(aggregates))

    async def close(self) -> None:
        """Read no further."""
        if isinstance(self._blocks, AsyncGenerator):
            await self._blocks.aclose()
        self._blocks = None

    def _consumption(self, aggregates: Sequence[Aggregate]) -> tuple[float | None, int]:
        """The site's consumption over a period, and how many polls it stands on."""
        means = good_means(self._series, aggregates, self._period_polls)
        polls = max((aggregate.count for aggregate in aggregates), default=0)
        return self._site.state(means).consumption_w, polls
