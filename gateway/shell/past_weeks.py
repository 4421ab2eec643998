"""The site's last four weeks, in the windows that forecasts are made from: lived through, or read from the store."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from firmware_bridge.reading import US_PER_S, Series, UtcUs, floor_us
from gateway.config import RecordConfig
from gateway.contract.forecast_spec import DAY_US, ENERGY, HISTORY_DAYS, LOAD, LOAD_SLOW, ForecastSpec
from gateway.contract.readings import unpack_block
from gateway.contract.records import Aggregate, ReadingsBlock, RecordError
from gateway.core.grid import good_means
from gateway.core.site import Site, SiteState
from gateway.core.window import Window
from gateway.shell.store import Store

log = logging.getLogger(__name__)

# The first tick waits for a week, and for no more than a week of a block a minute: four seconds of reading. The
# three weeks before it, which a forecast can do without for some minutes, are read beside the ticks.
_WEEK_US = 7 * DAY_US
WEEK_BLOCKS_MAX = 7 * 24 * 60


def load_spec_of(record: RecordConfig) -> ForecastSpec:
    """How finely the next hour can be told where meters are read and recorded like this."""
    fine_s = LOAD.step_us // US_PER_S
    is_fine = fine_s % record.poll_period_s == 0 and fine_s % record.recording_period_s == 0
    return LOAD if is_fine else LOAD_SLOW


class PastWeeks:
    """Feeds the windows; after a start, or when the clock was set, from what is on disk."""

    def __init__(self, store: Store, site: Site, series: Sequence[Series], record: RecordConfig) -> None:
        self._store, self._site, self._series = store, site, series
        self._poll_us, self._period_us = record.poll_period_s * US_PER_S, record.recording_period_s * US_PER_S
        self.load_spec = load_spec_of(record)
        self._blocks: AsyncIterator[ReadingsBlock] | None = None
        self._until_us = UtcUs(0)
        self._make_windows()

    def _make_windows(self) -> None:
        self.consumption = self._window(ENERGY)
        self.production = self._window(ENERGY) if self._site.has_solar else None
        # one window for both where the steps are the same
        self.load = self.consumption if self.load_spec.step_us == ENERGY.step_us else self._window(self.load_spec)

    def _window(self, spec: ForecastSpec) -> Window:
        polls = spec.step_us // self._poll_us
        return Window(step_us=spec.step_us, steps=spec.history_steps, polls_per_step=polls)

    @property
    def _windows(self) -> list[Window]:
        """Each once."""
        fine = [] if self.load is self.consumption else [self.load]
        return [self.consumption, *fine, *([] if self.production is None else [self.production])]

    def advance(self, now_us: UtcUs) -> None:
        """Let all windows end with the last step that is over at `now_us`; steps without data are unknown."""
        for window in self._windows:
            window.advance(floor_us(now_us, window.step_us))

    def live(self, start_us: UtcUs, aggregates: Sequence[Aggregate]) -> None:
        """Take a recording period that is just over."""
        state, polls = self._state(aggregates)
        for window in self._windows:
            window.add(start_us, self._power_w(window, state), polls)

    async def begin(self, now_us: UtcUs) -> None:
        """Forget all, and read the weeks before `now_us` from the store: `read_on` until it is over."""
        await self.close()
        self._make_windows()
        for window in self._windows:
            window.advance(UtcUs(floor_us(now_us, window.step_us) + window.step_us))
        self._until_us = now_us
        self._blocks = self._store.blocks_since(UtcUs(now_us - HISTORY_DAYS * DAY_US))

    async def read_week(self) -> None:
        """Take about a week of blocks, the newest: what there is to know before the first tick."""
        await self.read_on(min(_WEEK_US // self._period_us, WEEK_BLOCKS_MAX))

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
        state, polls = self._state(aggregates)
        for window in self._windows:
            window.recall(block.start_us, self._power_w(window, state), polls)

    async def close(self) -> None:
        """Read no further."""
        if isinstance(self._blocks, AsyncGenerator):
            await self._blocks.aclose()
        self._blocks = None

    def _power_w(self, window: Window, state: SiteState) -> float | None:
        return state.production_w if window is self.production else state.consumption_w

    def _state(self, aggregates: Sequence[Aggregate]) -> tuple[SiteState, int]:
        """The site over a period, and how many polls that stands on."""
        means = good_means(self._series, aggregates, self._period_us // self._poll_us)
        return self._site.state(means), max((aggregate.count for aggregate in aggregates), default=0)
