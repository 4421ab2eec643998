"""How model and baselines stand on this site, and so who speaks: both, in shares by their trailing errors. Pure.

The best baseline is that of the last four weeks. The share of the model moves by quarters, towards what would
have lowered the error of the last two weeks. A model that does not help is thus retired, and comes back when
it would; it is asked and scored all the while.

Measured with models of which three in ten were worse than the daily baseline, on five recorded homes and four
test parts of two others: the mix was never below the better baseline (skill 0.03 to 0.64, mean 0.19), a
switch between the two was (-0.01, mean 0.17).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import msgspec
import numpy as np

from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F64, I64
from gateway.core.baseline import Baseline
from gateway.core.under_way import SavedIssues, UnderWay, UnderWayError, from_bytes, steps_of, to_bytes
from gateway.core.voice import SHARES, Action, Event, Voice, step

# Days that errors are kept of: the best baseline is that of all, the share that of the later half.
KEPT_DAYS, SHARE_DAYS = 28, 14
# Whole hourly issues before errors prove anything: three days.
EVIDENCE_ISSUES = 72
# The share moves when that would have lowered the error by this much, so that it does not move to and fro.
GAIN_MIN = 0.005
# A day of 96 steps with three baselines and 24 issues under way is 60 kB.
STANDING_BYTES_MAX = 256 * 1024

_VOICES = tuple(SHARES)
_SHARES = np.array(list(SHARES.values()))


class StandingError(ValueError):
    """The bytes are no standing of these forecasters: begin without."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks: `share` of the model and the rest of `baseline`."""

    voice: Voice
    baseline: Baseline

    @property
    def share(self) -> float:
        """From 0, the baseline alone, to 1, the model alone."""
        return SHARES[self.voice]


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag="standing_1"):
    of: str
    baselines: list[str]
    voice: Voice
    best: int
    days: bytes
    errors_w: bytes
    pairs: bytes
    issues: SavedIssues


_DECODER = msgspec.msgpack.Decoder(_Saved)


class Standing:
    """Trailing errors of the forecasters of one spec and target, by day, and the issues they still come from.

    Columns of the errors: each baseline; each baseline where the model spoke too; each share of the model.
    """

    def __init__(self, spec: ForecastSpec, baselines: tuple[Baseline, ...]) -> None:
        self._spec, self._baselines = spec, baselines
        self._voice = Voice.MODEL
        self._best = 0
        columns = 2 * len(baselines) + len(_VOICES)
        self._today = -1  # day of the epoch
        self._days: I64 = np.full(KEPT_DAYS, -1, dtype=np.int64)
        self._errors_w: F64 = np.zeros((KEPT_DAYS, columns))  # sums of absolute errors
        self._pairs: F64 = np.zeros((KEPT_DAYS, columns))
        # each baseline, the model, and what was the best baseline
        self._issues = UnderWay(spec, len(baselines) + 2)

    @property
    def speaker(self) -> Speaker:
        """Who speaks now; a model that is not there cannot: then it is the baseline alone."""
        return Speaker(self._voice, self._baselines[self._best])

    def wants(self, start_us: int) -> bool:
        """Whether an issue from `start_us` on is judged and remembered: the last hour has none."""
        return self._issues.wants(start_us)

    def issue(self, start_us: int, baselines_w: Mapping[Baseline, F64], model_w: F64 | None) -> Action:
        """Judge who speaks from `start_us` on, and remember what each says; between the hours nothing changes.

        Args:
            start_us: the first step.
            baselines_w: medians of each baseline, `[rows]`, NaN where they do not count: panels at night.
            model_w: those of the model; None when there is none, or it did not answer.
        """
        if not self._issues.wants(start_us):
            return Action.NOTHING
        action = self._judge()
        said = [baselines_w[one] for one in self._baselines]
        model = np.full(self._spec.rows, np.nan) if model_w is None else model_w
        self._issues.add(start_us, np.stack([*said, model, said[self._best]], axis=-1))
        return action

    def observe(self, step_start_us: int, actual_w: float) -> None:
        """The step from `step_start_us` is over; NaN: nobody knows what came. Steps are told in their order."""
        told = self._issues.observe(step_start_us, actual_w)
        steps = told.rows < self._spec.horizon_steps
        if not steps.any():
            return
        said_w, came_w = told.said_w[steps].astype(np.float64), told.came_w[steps, np.newaxis].astype(np.float64)
        alone, model, best = said_w[:, :-2], said_w[:, -2:-1], said_w[:, -1:]
        paired = np.where(np.isnan(model), np.nan, alone)
        mixes = _SHARES * model + (1 - _SHARES) * best
        errors_w = np.abs(np.concatenate([alone, paired, mixes], axis=-1) - came_w)
        known = ~np.isnan(errors_w)
        self._today = day = step_start_us // DAY_US
        slot = day % KEPT_DAYS
        if self._days[slot] != day:
            self._days[slot], self._errors_w[slot], self._pairs[slot] = day, 0.0, 0.0
        self._errors_w[slot] += np.where(known, errors_w, 0.0).sum(axis=0)
        self._pairs[slot] += known.sum(axis=0)

    def trailing_mae_w(self, days: int) -> dict[str, float]:
        """Mean absolute error of each baseline and of the "model" over the last `days`, W; NaN without evidence."""
        mae_w = self._mae_w(days)
        names = len(self._baselines)
        return {**dict(zip(self._baselines, mae_w[:names].tolist(), strict=True)), "model": float(mae_w[2 * names])}

    def skill(self, days: int) -> float:
        """Of the model alone against the best baseline on the same pairs of the last `days`; NaN without evidence."""
        names = len(self._baselines)
        mae_w = self._mae_w(days)[names:]
        best_w = float(mae_w[:names].min())
        return 1 - float(mae_w[names]) / best_w if best_w > 0 else float("nan")

    def new_model(self) -> Action:
        """Another model begins: what is known of the one before does not count for it."""
        self._voice, action = step(self._voice, Event.NEW_MODEL)
        self._errors_w[:, len(self._baselines) :] = 0.0
        self._pairs[:, len(self._baselines) :] = 0.0
        self._issues.forget()
        return action

    def forget_issued(self) -> None:
        """The clock was set: which steps the issues under way meant is no longer known."""
        self._issues.forget()

    def encode(self, of: str) -> bytes:
        """The state as bytes; `of` names the model it belongs to."""
        saved = _Saved(
            of,
            list(self._baselines),
            self._voice,
            self._best,
            to_bytes(self._days, "<i8"),
            to_bytes(self._errors_w, "<f8"),
            to_bytes(self._pairs, "<f8"),
            self._issues.save(),
        )
        return msgspec.msgpack.encode(saved)

    @classmethod
    def decode(cls, data: bytes, spec: ForecastSpec, baselines: tuple[Baseline, ...], of: str) -> Self:
        """The state in `data`; of another model than `of`, what it says of the baselines alone.

        Raises:
            StandingError: damaged, too large, or of other baselines.
        """
        if len(data) > STANDING_BYTES_MAX:
            raise StandingError(f"a standing of {len(data)} bytes: more than {STANDING_BYTES_MAX}")
        made = cls(spec, baselines)
        try:
            saved = _DECODER.decode(data)
            made._days = from_bytes(saved.days, "<i8", made._days.shape)
            made._errors_w = from_bytes(saved.errors_w, "<f8", made._errors_w.shape)
            made._pairs = from_bytes(saved.pairs, "<f8", made._pairs.shape)
            made._issues = UnderWay.restore(saved.issues, spec, len(baselines) + 2)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError, UnderWayError) as error:
            raise StandingError(f"the standing cannot be read: {error}") from error
        if saved.baselines != list(baselines):
            raise StandingError(f"the standing is that of {', '.join(saved.baselines):.80}")
        sums = np.concatenate([made._errors_w, made._pairs])
        if not (np.isfinite(sums) & (sums >= 0)).all() or not 0 <= saved.best < len(baselines):
            raise StandingError("the standing holds what cannot have been")
        made._voice, made._best, made._today = saved.voice, saved.best, int(made._days.max())
        if saved.of != of:
            made.new_model()
        return made

    def _judge(self) -> Action:
        best_w = self._mae_w(KEPT_DAYS)[: len(self._baselines)]
        if not np.isnan(best_w).any():
            self._best = int(np.argmin(best_w))
        self._voice, action = step(self._voice, self._event())
        return action

    def _event(self) -> Event:
        mae_w = self._mae_w(SHARE_DAYS)[2 * len(self._baselines) :]
        now = _VOICES.index(self._voice)
        enough_w = mae_w[now] * (1 - GAIN_MIN)
        if now + 1 < len(_VOICES) and mae_w[now + 1] < enough_w:
            return Event.BASELINE_HELPS
        return Event.MODEL_HELPS if now > 0 and mae_w[now - 1] < enough_w else Event.LEVEL

    def _mae_w(self, days: int) -> F64:
        """Of each column over the last `days`, NaN where that proves nothing."""
        lately = ((self._days > self._today - days) & (self._days <= self._today))[:, np.newaxis]
        pairs = np.where(lately, self._pairs, 0.0).sum(axis=0)
        total = np.where(lately, self._errors_w, 0.0).sum(axis=0)
        proven = pairs >= EVIDENCE_ISSUES * self._spec.horizon_steps
        return np.where(proven, total / np.maximum(pairs, 1.0), np.nan)


class Stood(NamedTuple):
    """Who spoke at each issue: the model's share, and which of the baselines."""

    share: F64  # [issues]
    baseline: I64  # [issues]
    standing: Standing


def stand_series(
    spec: ForecastSpec,
    model_w: F64,
    baselines_w: Mapping[Baseline, F64],
    actual_w: F64,
    issued_us: I64,
    warm: Standing | None = None,
) -> Stood:
    """Who a device would have let speak, issue by issue.

    Args:
        spec: what is forecast.
        model_w: medians, `[issues, rows]`.
        baselines_w: medians of each baseline for the same issues, the one that speaks first of all in front.
        actual_w: what came, NaN where unknown, `[issues, rows]` or `[issues, horizon_steps]`.
        issued_us: where the histories end, rising, `[issues]`.
        warm: what the device knows before, changed in place; None: nothing.
    """
    names = tuple(baselines_w)
    standing = Standing(spec, names) if warm is None else warm
    steps = steps_of(spec, actual_w, issued_us)
    over = np.searchsorted(steps.start_us, issued_us)
    share, baseline = np.ones(len(issued_us)), np.zeros(len(issued_us), dtype=np.int64)
    told = 0
    for i, now_us in enumerate(issued_us.tolist()):
        for number in range(told, int(over[i])):
            standing.observe(int(steps.start_us[number]), float(steps.came_w[number]))
        told = int(over[i])
        standing.issue(now_us, {name: one[i] for name, one in baselines_w.items()}, model_w[i])
        share[i], baseline[i] = standing.speaker.share, names.index(standing.speaker.baseline)
    return Stood(share, baseline, standing)


def spoken_w(stood: Stood, model_w: F64, baselines_w: Mapping[Baseline, F64]) -> F64:
    """The mixes that spoke, of medians `[issues, rows]` or of quantiles `[issues, rows, quantiles]`."""
    chosen = np.take_along_axis(
        np.stack(list(baselines_w.values())), stood.baseline.reshape(1, -1, *[1] * (model_w.ndim - 1)), axis=0
    )[0]
    return mixed_w(stood.share.reshape(-1, *[1] * (model_w.ndim - 1)), model_w, chosen)


def mixed_w(share: F64 | float, model_w: F64, baseline_w: F64) -> F64:
    """`share` of the model and the rest of the baseline, quantile by quantile; one alone where it is all."""
    return np.where(share == 1, model_w, np.where(share == 0, baseline_w, share * model_w + (1 - share) * baseline_w))
