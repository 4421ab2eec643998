"""The tick: take the sweep, add it to the window, run what is due, decide, record, say we live.

One sweep of the meters is the snapshot of a tick and never changes during it. Everything a tick
concludes is written in one transaction, so reading and decision stand or fall together. The clock is
looked at between two ticks alone: within one, time runs steadily.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from firmware_bridge.bridge import Bridge
from firmware_bridge.reading import US_PER_S, UtcUs, floor_us
from gateway.config import Config
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.records import AnomalyRecord, DecisionRecord, ForecastRecord, Record, restamp
from gateway.core.anomaly import AnomalyRules
from gateway.core.decision import Expected, decide, is_news
from gateway.core.grid import ClosedPeriod, GridRow, RecordingPeriod, align, next_tick
from gateway.core.outlook import Outlook
from gateway.core.raw_ring import RawRing
from gateway.core.residual import ResidualRule
from gateway.core.site import Site, SiteState
from gateway.core.timekeeping import ClockSet
from gateway.shell.forecaster import Forecaster
from gateway.shell.inference import Inference
from gateway.shell.past_weeks import PastWeeks
from gateway.shell.recorder import Recorder
from gateway.shell.stop_switch import StopSwitch
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper

# What a sweep may take of its period: the rest is for thinking and writing.
SWEEP_FRACTION = 0.8
# Real seconds that meters may still take once a stop is wanted. Those that answer need less; waiting for those
# that do not would take what is left of the five seconds of an orderly stop.
LAST_ANSWER_S = 0.5
# One forecast each quarter: the first of a day is the one that looked at the whole of it.
FORECASTS_KEPT = ENERGY.day_steps + 1
# It is made of whole days, and of older ones as they are read.
OUTLOOK_PERIOD_US = 3600 * US_PER_S
# Onsets kept for the page: it shows twenty that are over, beside a meter whose every value is wrong.
ONSETS_KEPT = 100
# The past is read from the store beside the ticks: 25 ms of each, three weeks in eight minutes.
BLOCKS_PER_TICK = 64


@dataclass(slots=True)
class Now:
    """What the last tick saw and concluded, for the page."""

    row: GridRow | None = None
    site: SiteState | None = None
    # what is acted on: the forecasts of the last full quarter; and the freshest word on the next hour
    expected: Expected = field(default_factory=Expected)
    next_hour: ForecastRecord | None = None
    # the next thirty days
    outlook: Outlook | None = None
    decision: DecisionRecord | None = None
    # what was acted on in the last day, of consumption, and what went wrong lately; oldest first
    forecasts: deque[ForecastRecord] = field(default_factory=lambda: deque(maxlen=FORECASTS_KEPT))
    onsets: deque[AnomalyRecord] = field(default_factory=lambda: deque(maxlen=ONSETS_KEPT))
    ticks: int = 0
    late_ms_max: float = 0.0

    def look(self, said: Expected, *, is_quarter: bool) -> None:
        """Take over what is said; what was not said anew stays."""
        self.next_hour = said.load or self.next_hour
        if is_quarter:
            self.expected = Expected(*(new or old for new, old in zip(said, self.expected, strict=True)))
        if said.consumption is not None:
            self.forecasts.append(said.consumption)

    def shift(self, by_us: int) -> None:
        """The clock was set: by what it shows now, all this was `by_us` later."""
        self.expected = Expected(*(one and restamp(one, by_us) for one in self.expected))
        self.next_hour = self.next_hour and restamp(self.next_hour, by_us)
        self.decision = self.decision and restamp(self.decision, by_us)
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
        self._clock, self._bridge, self._recorder = clock, bridge, recorder
        self._alive = alive
        self._zone = ZoneInfo(config.site.time_zone)
        self._poll_us = config.record.poll_period_s * US_PER_S
        self._sweep_deadline_s = config.record.poll_period_s * SWEEP_FRACTION
        self._site = Site(bridge.series, config.meters, config.site.nominal_voltage_v)
        period_us = config.record.recording_period_s * US_PER_S
        self._period = RecordingPeriod(bridge.series, period_us=period_us, poll_us=self._poll_us)
        self._raw = RawRing(bridge.series, keep=config.record.raw, poll_us=self._poll_us, period_us=period_us)
        self._stop = StopSwitch()
        self.weeks = PastWeeks(store, self._site, bridge.series, config.record)
        self.forecaster = Forecaster(self.weeks, inference, self._stop, self._zone, cycle_s=config.model.deadline_s)
        self.rules = AnomalyRules(bridge.series, config.meters)
        self._residual = ResidualRule(max(meter.rated_power_w for meter in config.meters))
        self._outage_since_us: UtcUs | None = None
        self._grid_was_up = True
        self.now = Now()

    def request_raw(self, from_us: UtcUs, to_us: UtcUs) -> bool:
        """Keep the single readings of `[from_us, to_us)`, as far as memory reaches; False: too many are asked for."""
        return self._raw.request(from_us, to_us)

    async def restore(self) -> None:
        """Fill the windows from the store: after a restart the gateway knows what it knew."""
        await self.weeks.begin(self._clock.utc_us())
        await self.weeks.read_week()

    async def run(self) -> None:
        """Tick until `stop`, then write what is open."""
        tick_us = self._tick_after_now()
        while True:
            # Simulated time may come to this tick, and not to the one after before this one is done.
            self._clock.hold_before(UtcUs(tick_us + self._poll_us))
            await self._stop.wait(self._clock.sleep_until(tick_us), grace_s=0.0)
            if self._stop.is_pressed:
                break
            if (change := await self._recorder.follow_clock()) is not None:
                await self._take_over(change)
                tick_us = self._tick_after_now()
                continue
            self._note_lateness(tick_us)
            await self._tick(tick_us)
            self._alive()
            await self.weeks.read_on(BLOCKS_PER_TICK)
            tick_us = next_tick(tick_us, self._clock.utc_us(), self._poll_us)
        await self.weeks.close()
        await self._recorder.write([*(closed.block for closed in self._period.close()), *self._raw.flush()])

    def _tick_after_now(self) -> UtcUs:
        """The next one on the grid, with all of its time before it."""
        return UtcUs(floor_us(self._clock.utc_us(), self._poll_us) + self._poll_us)

    async def _take_over(self, change: ClockSet) -> None:
        """The clock was set: nothing of what is remembered is lost, and nothing new by that."""
        self.rules.shift(change.by_us)
        self.now.shift(change.by_us)
        self.forecaster.forget_issued()
        if self._outage_since_us is not None:
            self._outage_since_us = UtcUs(self._outage_since_us + change.by_us)
        if change.was_trusted:
            ended = self._period.close()
        else:  # what is open was stamped by a guess
            self._raw.shift(change.by_us)
            ended = self._period.shift(change.by_us)
        await self._recorder.write([closed.block for closed in ended])
        await self.weeks.begin(self._clock.utc_us())

    def stop(self) -> None:
        """End `run` soon: no transaction is cut short, only the wait for time or for silent meters."""
        self._stop.press()

    async def _tick(self, tick_us: UtcUs) -> None:
        sweep = self._bridge.sweep(tick_us, self._sweep_deadline_s)
        if (readings := await self._stop.wait(sweep, grace_s=LAST_ANSWER_S)) is None:
            return
        row = align(tick_us, readings, self._poll_us)
        site = self._site.state(row.good_values)
        self._note_grid(tick_us, site)
        onsets = self.rules.look(row, site)
        records: list[Record] = [*onsets, *self._raw.add(row, onsets)]
        for closed in self._period.add(row):
            records += self._take(closed)
        if (tick_us + self._poll_us) % self.forecaster.step_us == 0:
            records += await self._finish_step(tick_us)
        self.now.onsets.extend(record for record in records if isinstance(record, AnomalyRecord))
        records += self._decide(tick_us)
        self.now.row, self.now.site, self.now.ticks = row, site, self.now.ticks + 1
        if records:
            await self._recorder.write(records)

    def _take(self, closed: ClosedPeriod) -> list[Record]:
        self.weeks.live(closed.block.start_us, closed.aggregates)
        return [closed.block]

    async def _finish_step(self, tick_us: UtcUs) -> list[Record]:
        """A forecast step is over: judge it, and look ahead from its end."""
        end_us = UtcUs(tick_us + self._poll_us)
        self.weeks.advance(end_us)
        is_quarter = end_us % ENERGY.step_us == 0
        records: list[Record] = self._judge_quarter(end_us) if is_quarter else []
        issue = await self.forecaster.look_ahead(tick_us, end_us)
        self.now.look(issue.said, is_quarter=is_quarter)
        if (forecast := issue.said.consumption) is not None:
            self._residual.expect(forecast)
        if end_us % OUTLOOK_PERIOD_US == 0 or (is_quarter and self.now.outlook is None):
            self.now.outlook = self.forecaster.look_out()
        return [*records, *issue.records]

    def _judge_quarter(self, end_us: UtcUs) -> list[Record]:
        """What the quarter that is over says against what was expected of it."""
        (mean_w,) = self.weeks.consumption.recent_w(1)
        grid_was_up, self._grid_was_up = self._grid_was_up, self._outage_since_us is None
        trouble = self._residual.look(UtcUs(end_us - ENERGY.step_us), mean_w, grid_was_up=grid_was_up)
        return [*self.rules.latch_residual(trouble)]

    def _decide(self, tick_us: UtcUs) -> list[Record]:
        decision = decide(
            tick_us,
            outage_since_us=self._outage_since_us,
            expected=self.now.expected,
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
