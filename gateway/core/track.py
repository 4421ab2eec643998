"""One forecast that is made again and again: who speaks in it, and the record of how well each did. Pure.

It goes the way that `forecast` tells, one issue after the other, as `stand_series` and `calibrate_series` go it
for a whole recording.
"""

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F32, F64, Inputs, Mask, is_forecastable, model_inputs, scale_history
from gateway.contract.manifest import ForecastTarget, forecast_name
from gateway.contract.records import ForecastRecord, Rung
from gateway.core.baseline import BASELINES, median_w
from gateway.core.calibration import Calibration
from gateway.core.daylight import is_daylight
from gateway.core.forecast import from_baseline, from_model, record, rung_of, within_physics
from gateway.core.past import Past
from gateway.core.standing import Standing, mixed_w
from gateway.core.voice import Action

# Why the baseline speaks alone where the model did not say a word: too little is known of the site for it, or it
# was asked in vain.
Silence = Literal["unknown_site", "no_answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, `[rows, quantiles]`, and the digest of the bundle it came with."""

    output: F32
    bundle: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The records of one issue, the one to act on in front, and whether the model was retired or reinstated."""

    records: list[ForecastRecord]
    action: Action


class TrackRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a track has learnt, for the next start; `bundle` is what it has learnt it of."""

    name: str
    bundle: str
    standing: bytes
    calibration: bytes


class Track:
    """The forecast of one power, with what its model and its baselines have earned on this site."""

    def __init__(self, spec: ForecastSpec, target: ForecastTarget, zone: ZoneInfo) -> None:
        self.spec, self.target, self._zone = spec, target, zone
        self.name = forecast_name(spec, target)
        self.baselines = BASELINES[target]
        self.standing = Standing(spec, self.baselines)
        self.calibration = Calibration(spec)
        # what both belong to: the digest of a bundle, "" before a model has spoken
        self.bundle = ""
        self.silence: Silence | None = "unknown_site"
        self._told_until_us: UtcUs | None = None

    def past(self, power_w: F64, known: Mask, end_us: UtcUs) -> Past:
        """The history `[history_steps]` that ends at `end_us`, as it is asked about and judged."""
        return Past(power_w, known, np.asarray(end_us, dtype=np.int64), self._zone)

    def observe(self, past: Past) -> None:
        """Steps are over: let what was said of them be judged. What was missed since the last call comes too."""
        end_us, step_us = int(past.issued_us), self.spec.step_us
        # After a start nobody knows how far it was told: what is told twice is learnt once.
        since_us = end_us - DAY_US
        if self._told_until_us is not None and self._told_until_us <= end_us:
            since_us = max(self._told_until_us, end_us - self.spec.history_steps * step_us)
        first = self.spec.history_steps - (end_us - since_us) // step_us
        actual_w = np.where(past.known, past.power_w, np.nan)[first:].tolist()
        for number, power_w in enumerate(actual_w):
            self.standing.observe(since_us + number * step_us, power_w)
            self.calibration.observe(since_us + number * step_us, power_w)
        self._told_until_us = UtcUs(end_us)

    def question(self, past: Past) -> Inputs | None:
        """What the model is to be asked, `[1, ...]`; None when too little is known of the site for it."""
        if not bool(is_forecastable(past.known, self.spec)):
            return None
        one = Past(past.power_w[np.newaxis], past.known[np.newaxis], past.issued_us[np.newaxis], self._zone)
        return model_inputs(self.spec, scale_history(one.power_w, one.known), one.issued_us, self._zone)

    def speak(self, past: Past, answer: Answer | None, *, was_asked: bool, issued_us: UtcUs) -> Spoken:
        """What is said of the steps from the end of `past` on; no record where nothing is known at all.

        Stored are the model, the best baseline, and where they speak together also their mix.
        """
        scaled = scale_history(past.power_w, past.known)
        model_w = None if answer is None else from_model(self.spec, self.target, answer.output, scaled, past)
        self._note_answer(None if model_w is None else answer, was_asked=was_asked)
        action = self._judge(past, model_w)
        speaker = self.standing.speaker
        baseline_w = from_baseline(self.spec, self.target, speaker.baseline, past)
        if baseline_w is None:
            return Spoken([], action)
        rung = rung_of(self.spec, self.target, speaker.baseline, past)
        said: dict[Rung, F64] = {rung: baseline_w}
        if model_w is not None:
            mix_w = mixed_w(speaker.share, model_w, baseline_w)
            mixed: Rung = "model" if speaker.share == 1 else "mix" if speaker.share > 0 else rung
            said = {mixed: self._calibrated(past, mix_w, float(scaled.scale_w)), **_without(said, mixed)}
            said |= {} if "model" in said else {"model": model_w}
        return Spoken([self._record(one, by, issued_us, past) for by, one in said.items()], action)

    def save(self) -> TrackRecord:
        """What was learnt, as bytes."""
        of = f"{self.name} {self.bundle}"
        return TrackRecord(self.name, self.bundle, self.standing.encode(of), self.calibration.encode(of))

    def restore(self, saved: TrackRecord) -> None:
        """Begin with what was learnt before.

        Raises:
            ValueError: it is damaged, or of another track; this one stays as it is.
        """
        of = f"{self.name} {saved.bundle}"
        standing = Standing.decode(saved.standing, self.spec, self.baselines, of)
        self.calibration = Calibration.decode(saved.calibration, self.spec, of)
        self.standing, self.bundle = standing, saved.bundle

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        self.standing.forget_issued()
        self.calibration.forget_issued()
        self._told_until_us = None

    def _note_answer(self, answer: Answer | None, *, was_asked: bool) -> None:
        if answer is None:
            self.silence = "no_answer" if was_asked else "unknown_site"
            return
        self.silence = None
        if answer.bundle != self.bundle:
            if self.bundle:
                self.standing.new_model()
            self.calibration, self.bundle = Calibration(self.spec), answer.bundle

    def _judge(self, past: Past, model_w: F64 | None) -> Action:
        """Who speaks now, by what each said so far; and let each be judged by what it says now."""
        if not self.standing.wants(int(past.issued_us)):
            return Action.NOTHING
        # A night that all know of proves nothing.
        counts = is_daylight(self.spec, past) if self.target == "production_w" else np.True_
        medians_w = {one: np.where(counts, median_w(one, self.spec, past), np.nan) for one in self.baselines}
        return self.standing.issue(
            int(past.issued_us), medians_w, None if model_w is None else model_w[:, self.spec.median]
        )

    def _calibrated(self, past: Past, said_w: F64, scale_w: float) -> F64:
        adjusted_w = self.calibration.adjust(said_w, scale_w)
        self.calibration.issue(int(past.issued_us), said_w, scale_w)
        return within_physics(self.spec, self.target, adjusted_w, past)

    def _record(self, said_w: F64, rung: Rung, issued_us: UtcUs, past: Past) -> ForecastRecord:
        bundle = self.bundle if rung in ("model", "mix") else None
        start_us = UtcUs(int(past.issued_us))
        return record(
            self.spec, self.target, said_w, rung=rung, bundle=bundle, issued_us=issued_us, start_us=start_us
        )


def _without(said: dict[Rung, F64], rung: Rung) -> dict[Rung, F64]:
    return {one: what for one, what in said.items() if one != rung}
