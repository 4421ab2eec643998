"""Looks ahead at the end of each step: asks the models through their host, and lets who has earned it speak.

The next hour is looked at in every step, the next day in every quarter of an hour. Baselines are always there;
a model that is late, silent or missing costs a forecast nothing but that model.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.inputs import Inputs
from gateway.contract.records import ForecastRecord, ModelReport, Record
from gateway.core.decision import Expected
from gateway.core.outlook import Outlook, look_out, whole_days
from gateway.core.speech import sentence
from gateway.core.track import Answer, Spoken, Track
from gateway.core.voice import Action
from gateway.core.window import Window
from gateway.shell.inference import Inference
from gateway.shell.past_weeks import PastWeeks
from gateway.shell.stop_switch import StopSwitch

log = logging.getLogger(__name__)

# Real seconds that a model may still take once a stop is wanted; no other is asked after it.
LAST_ANSWER_S = 0.5


@dataclass(frozen=True, slots=True)
class Issue:
    """What came of one look ahead: what to act on, of what was due, and what to keep."""

    said: Expected
    records: list[Record]


class Forecaster:
    """Owns the tracks: the next day's consumption and production, and the next hour."""

    def __init__(
        self, weeks: PastWeeks, inference: Inference, stop: StopSwitch, zone: ZoneInfo, *, cycle_s: float
    ) -> None:
        """All models together may take `cycle_s` real seconds of one tick; who is not asked by then is not."""
        self._weeks, self._inference, self._stop, self._cycle_s = weeks, inference, stop, cycle_s
        self._zone, self._deadline_s = zone, 0.0
        self.consumption = Track(ENERGY, "consumption_w", zone)
        self.production = None if weeks.production is None else Track(ENERGY, "production_w", zone)
        self.load = Track(weeks.load_spec, "consumption_w", zone)

    @property
    def step_us(self) -> int:
        """How often to look ahead."""
        return self.load.spec.step_us

    @property
    def tracks(self) -> list[Track]:
        """All, in the order in which they are asked: what most rests upon comes first."""
        return [self.consumption, self.load, *([] if self.production is None else [self.production])]

    async def look_ahead(self, issued_us: UtcUs, start_us: UtcUs) -> Issue:
        """Judge what was said of the steps that end at `start_us`, and say what is due from there on.

        What is said of the next hour is kept once a quarter: three times as many would say nearly the same.
        """
        self._deadline_s = asyncio.get_running_loop().time() + self._cycle_s
        is_quarter = start_us % ENERGY.step_us == 0
        said: dict[Track, ForecastRecord] = {}
        records: list[Record] = []
        for track in self.tracks if is_quarter else [self.load]:
            spoken = await self._say(track, issued_us, start_us)
            if spoken.records:
                said[track] = spoken.records[0]
            records += spoken.records if is_quarter else []
            records += self._told(track, spoken.action, issued_us)
        production = None if self.production is None else said.get(self.production)
        return Issue(Expected(said.get(self.consumption), production, said.get(self.load)), records)

    def look_out(self) -> Outlook | None:
        """The energy of the next days; None while too few are known."""
        window = self._weeks.consumption
        power_w, known = window.history()
        assert window.end_us is not None
        start_us = window.end_us - power_w.size * window.step_us
        return look_out(whole_days(power_w, known, start_us, window.step_us, self._zone))

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        for track in self.tracks:
            track.forget_issued()

    async def _say(self, track: Track, issued_us: UtcUs, start_us: UtcUs) -> Spoken:
        past = track.past(*self._window(track).history(), start_us)
        track.observe(past)
        inputs = track.question(past)
        answer = None if inputs is None else await self._ask(track.name, inputs)
        return track.speak(past, answer, was_asked=inputs is not None, issued_us=issued_us)

    def _window(self, track: Track) -> Window:
        if track is self.load:
            return self._weeks.load
        if track is self.consumption:
            return self._weeks.consumption
        assert self._weeks.production is not None
        return self._weeks.production

    async def _ask(self, name: str, inputs: Inputs) -> Answer | None:
        """What the model says, unless it is late, does not answer, or a stop is wanted."""
        if self._stop.is_pressed or asyncio.get_running_loop().time() >= self._deadline_s:
            return None
        question = self._inference.forecast(name, inputs)
        if (answer := await self._stop.wait(question, grace_s=LAST_ANSWER_S)) is None:
            return None
        output, bundle = answer
        return Answer(output[0], bundle)

    def _told(self, track: Track, action: Action, issued_us: UtcUs) -> list[Record]:
        """What home is told when a model is retired here, or reinstated."""
        if action is Action.NOTHING:
            return []
        event: Literal["retired", "reinstated"] = "retired" if action is Action.TELL_RETIRED else "reinstated"
        log.info("model %s: name=%s bundle=%s", event, track.name, track.bundle[:12])
        bundle = self._inference.bundle
        release = None if bundle is None or bundle.digest != track.bundle else bundle.release
        reason = f"{track.name}: {sentence(track)}"
        return [ModelReport(issued_us, event, release, track.bundle, reason)]
