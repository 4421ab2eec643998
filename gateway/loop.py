"""The tick: take the sweep, add it to the window, run what is due, decide, record, say we live.

One sweep of the meters is the snapshot of a tick and never changes during it. Everything a tick
concludes is written in one transaction, so reading and decision stand or fall together. The clock is
looked at between two ticks alone: within one, time runs steadily.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np

from firmware_bridge.bridge import Bridge
from firmware_bridge.reading import US_PER_S, UtcUs, floor_us
from gateway.config import Config
from gateway.contract.inputs import DAY_STEPS, STEP_US, forecast_tensor, is_forecastable, scale_window
from gateway.contract.records import AnomalyRecord, DecisionRecord, ForecastRecord, Record, restamp
from gateway.core.anomaly import AnomalyRules
from gateway.core.decision import decide, is_news
from gateway.core.forecast import baseline, from_model, lowest_w
from gateway.core.grid import ClosedPeriod, GridRow, RecordingPeriod, align, next_tick
from gateway.core.raw_ring import RawRing
from gateway.core.residual import ResidualRule
from gateway.core.site import Site, SiteState
from gateway.core.timekeeping import ClockSet
from gateway.core.window import Window
from gateway.shell.inference import Inference
from gateway.shell.past_week import PastWeek
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper

# What a sweep may take of its period: the rest is for thinking and writing.
SWEEP_FRACTION = 0.8
# Real seconds that meters, and then the model, may still take once a stop is wanted. Those that answer need
# less; waiting for those that do not would take what is left of the five seconds of an orderly stop.
LAST_ANSWER_S = 0.5
# One forecast each step: the first of a day is the one that looked at the whole of it.
FORECASTS_KEPT = DAY_STEPS + 1
# Onsets kept for the page: it shows twenty that are over, beside a meter whose every value is wrong.
ONSETS_KEPT = 100
# When the clock was set, the week is read from the store beside the ticks: 25 ms of each, for three minutes.
BLOCKS_PER_TICK = 64

T = TypeVar("T")


@dataclass(slots=True)
class Now:
    """What the last tick saw and concluded, for the page."""

    row: GridRow | None = None
    site: SiteState | None = None
    forecast: ForecastRecord | None = None
    decision: DecisionRecord | None = None
    # the last day's, the ones that were acted on, and what went wrong lately; oldest first
    forecasts: deque[ForecastRecord] = field(default_factory=lambda: deque(maxlen=FORECASTS_KEPT))
    onsets: deque[AnomalyRecord] = field(default_factory=lambda: deque(maxlen=ONSETS_KEPT))
    ticks: int = 0
    late_ms_max: float = 0.0

    def shift(self, by_us: int) -> None:
        """The clock was set: by what it shows now, all this was `by_us` later."""
        self.forecast = None if self.forecast is None else restamp(self.forecast, by_us)
        self.decision = None if self.decision is None else restamp(self.decision, by_us)
        self.forecasts = deque((restamp(one, by_us) for one in self.forecasts), maxlen=FORECASTS_KEPT)
        self.onsets = deque((restamp(one, by_us) for one in self.onsets), maxlen=ONSETS_KEPT)


class Loop:
    """Owns the tick and all that it remembers."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Timekeeper,
        bridge: Bridge,
        store: Store,
        recorder: Recorder,
        inference: Inference,
        alive: Callable[[], None],
    ) -> None:
        self._clock, self._bridge, self._recorder, self._inference = clock, bridge, recorder, inference
        self._alive = alive
        self._zone = ZoneInfo(config.site.time_zone)
        self._poll_us = config.record.poll_period_s * US_PER_S
        self._sweep_deadline_s = config.record.poll_period_s * SWEEP_FRACTION
        self._site = Site(bridge.series, config.meters, config.site.nominal_voltage_v)
        period_us = config.record.recording_period_s * US_PER_S
        self._period = RecordingPeriod(bridge.series, period_us=period_us, poll_us=self._poll_us)
        self._raw = RawRing(bridge.series, keep=config.record.raw, poll_us=self._poll_us, period_us=period_us)
        self._week = PastWeek(store, self._site, bridge.series, config.record)
        self.rules = AnomalyRules(bridge.series, config.meters)
        self._residual = ResidualRule(max(meter.rated_power_w for meter in config.meters))
        self._outage_since_us: UtcUs | None = None
        self._grid_was_up = True
        self._stopping = False
        self._end_wait: Callable[[], None] = _nothing_waits
        self.now = Now()

    @property
    def window(self) -> Window:
        """The site's last week, as far as it is known."""
        return self._week.window

    def request_raw(self, from_us: UtcUs, to_us: UtcUs) -> bool:
        """Keep the single readings of `[from_us, to_us)`, as far as memory reaches; False: too many are asked for."""
        return self._raw.request(from_us, to_us)

    async def restore(self) -> None:
        """Fill the window from the store: after a restart the gateway knows what it knew."""
        await self._week.begin(self._clock.utc_us())
        while await self._week.read_on(BLOCKS_PER_TICK):
            pass

    async def run(self) -> None:
        """Tick until `stop`, then write what is open."""
        tick_us = self._tick_after_now()
        while True:
            # Simulated time may come to this tick, and not to the one after before this one is done.
            self._clock.hold_before(UtcUs(tick_us + self._poll_us))
            await self._unless_stopped(self._clock.sleep_until(tick_us), grace_s=0.0)
            if self._stopping:
                break
            if (change := await self._recorder.follow_clock()) is not None:
                await self._take_over(change)
                tick_us = self._tick_after_now()
                continue
            self._note_lateness(tick_us)
            await self._tick(tick_us)
            self._alive()
            await self._week.read_on(BLOCKS_PER_TICK)
            tick_us = next_tick(tick_us, self._clock.utc_us(), self._poll_us)
        await self._week.close()
        await self._recorder.write([*(closed.block for closed in self._period.close()), *self._raw.flush()])

    def _tick_after_now(self) -> UtcUs:
        """The next one on the grid, with all of its time before it."""
        return UtcUs(floor_us(self._clock.utc_us(), self._poll_us) + self._poll_us)

    async def _take_over(self, change: ClockSet) -> None:
        """The clock was set: nothing of what is remembered is lost, and nothing new by that."""
        self.rules.shift(change.by_us)
        self.now.shift(change.by_us)
        if self._outage_since_us is not None:
            self._outage_since_us = UtcUs(self._outage_since_us + change.by_us)
        if change.was_trusted:
            ended = self._period.close()
        else:  # what is open was stamped by a guess
            self._raw.shift(change.by_us)
            ended = self._period.shift(change.by_us)
        await self._recorder.write([closed.block for closed in ended])
        await self._week.begin(self._clock.utc_us())

    def stop(self) -> None:
        """End `run` soon: no transaction is cut short, only the wait for time or for silent meters."""
        self._stopping = True
        self._end_wait()

    async def _tick(self, tick_us: UtcUs) -> None:
        sweep = self._bridge.sweep(tick_us, self._sweep_deadline_s)
        if (readings := await self._unless_stopped(sweep, grace_s=LAST_ANSWER_S)) is None:
            return
        row = align(tick_us, readings, self._poll_us)
        site = self._site.state(row.good_values)
        self._note_grid(tick_us, site)
        onsets = self.rules.look(row, site)
        records: list[Record] = [*onsets, *self._raw.add(row, onsets)]
        for closed in self._period.add(row):
            records += self._take(closed)
        if (tick_us + self._poll_us) % STEP_US == 0:
            records += await self._finish_step(tick_us)
        self.now.onsets.extend(record for record in records if isinstance(record, AnomalyRecord))
        records += self._decide(tick_us)
        self.now.row, self.now.site, self.now.ticks = row, site, self.now.ticks + 1
        if records:
            await self._recorder.write(records)

    def _take(self, closed: ClosedPeriod) -> list[Record]:
        self._week.live(closed.block.start_us, closed.aggregates)
        return [closed.block]

    async def _finish_step(self, tick_us: UtcUs) -> list[Record]:
        """A forecast step is over: judge it, and look a day ahead from its end."""
        end_us = UtcUs(tick_us + self._poll_us)
        self.window.advance(end_us)
        history, known = self.window.history()
        mean_w = float(history[-1]) if known[-1] else None
        start_us = UtcUs(end_us - STEP_US)
        grid_was_up, self._grid_was_up = self._grid_was_up, self._outage_since_us is None
        trouble = self._residual.look(start_us, mean_w, grid_was_up=grid_was_up)
        records: list[Record] = [*self.rules.latch_residual(trouble)]
        forecasts = await self._forecast(tick_us, end_us)
        if forecasts:
            self.now.forecast = forecasts[0]
            self.now.forecasts.append(forecasts[0])
            self._residual.expect(forecasts[0])
        return [*records, *forecasts]

    async def _forecast(self, tick_us: UtcUs, start_us: UtcUs) -> list[ForecastRecord]:
        """The forecasts of the day from `start_us`, the one to act on first; the baseline is always there."""
        history, known = self.window.history()
        naive = baseline(history, known, issued_us=tick_us, start_us=start_us, zone=self._zone)
        forecasts = [] if naive is None else [naive]
        if is_forecastable(known):
            scaled = scale_window(history, known)
            tensor = forecast_tensor(scaled, np.asarray(start_us, dtype=np.int64), self._zone)
            question = self._inference.forecast(tensor[np.newaxis])
            if (answer := await self._unless_stopped(question, grace_s=LAST_ANSWER_S)) is not None:
                output, bundle = answer
                floor_w = lowest_w(history, known)
                said = from_model(output[0], scaled, floor_w, bundle=bundle, issued_us=tick_us, start_us=start_us)
                if said is not None:
                    forecasts.insert(0, said)
        return forecasts

    def _decide(self, tick_us: UtcUs) -> list[Record]:
        decision = decide(
            tick_us,
            outage_since_us=self._outage_since_us,
            forecast=self.now.forecast,
            anomalies=self.rules.active,
            zone=self._zone,
        )
        if not is_news(self.now.decision, decision):
            return []
        self.now.decision = decision
        return [decision]

    def _note_grid(self, tick_us: UtcUs, site: SiteState) -> None:
        if site.grid_is_up:
            self._outage_since_us = None
            return
        self._grid_was_up = False
        if self._outage_since_us is None:
            self._outage_since_us = tick_us

    def _note_lateness(self, tick_us: UtcUs) -> None:
        late_ms = (self._clock.utc_us() - tick_us) / 1000 / self._clock.rate
        self.now.late_ms_max = max(self.now.late_ms_max, late_ms)

    async def _unless_stopped(self, wait: Awaitable[T], *, grace_s: float) -> T | None:
        """What `wait` gives; None when a stop was wanted and it was not over `grace_s` real seconds later."""
        running = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as scope:
                self._end_wait = lambda: scope.reschedule(running.time() + grace_s)
                if self._stopping:
                    self._end_wait()
                return await wait
        except TimeoutError:
            return None
        finally:
            self._end_wait = _nothing_waits


def _nothing_waits() -> None:
    pass
