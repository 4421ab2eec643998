"""Days of one forecast on a site that is made up: what each says, who is believed, and what is learnt."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD_SLOW, ForecastSpec
from gateway.contract.inputs import F32, scale_history
from gateway.contract.manifest import ForecastTarget
from gateway.core.baseline import BASELINES, median_w, quantiles_w
from gateway.core.calibration import calibrate_series
from gateway.core.forecast import from_model, within_physics
from gateway.core.past import Past
from gateway.core.standing import spoken_w, stand_series
from gateway.core.track import Answer, Spoken, Track
from gateway.core.voice import Action

LAGOS = ZoneInfo("Africa/Lagos")
START_US = UtcUs(1_767_571_200_000_000)  # a Monday, 00:00 UTC
HOUR_STEPS = 4
_ARRAYS = ("power_w", "known", "issued_us")
DIGEST, OTHER_DIGEST = "ab" * 32, "cd" * 32


# Two months of days that are waves, and noise that none of the days before had; the first step is four weeks ago.
BEFORE = ENERGY.history_steps
_STEPS = np.arange(2 * BEFORE)
POWER_W = (
    2_000 + 1_500 * np.sin(2 * np.pi * _STEPS / 96) + 300 * np.random.default_rng(5).standard_normal(_STEPS.size)
)


def power_at(step: int) -> float:
    return float(POWER_W[BEFORE + step])


class Site:
    """A site that forecasts itself once an hour; `answer` plays the model."""

    def __init__(self, spec: ForecastSpec = LOAD_SLOW, target: ForecastTarget = "consumption_w") -> None:
        self.track = Track(spec, target, LAGOS)
        self.step = 0

    def past(self, *, known_from: int | None = None) -> Past:
        spec = self.track.spec
        steps = np.arange(self.step - spec.history_steps, self.step)
        known = steps >= (self.step - BEFORE if known_from is None else known_from)
        return self.track.past(POWER_W[BEFORE + steps], known, UtcUs(START_US + self.step * spec.step_us))

    def says(self, past: Past, *, off_w: float, half_band_w: float = 400.0) -> F32:
        """What a model says that is off by so much."""
        spec = self.track.spec
        truth = [power_at(self.step + row) + off_w for row in range(spec.horizon_steps)]
        rows = np.array([*truth, *([max(truth)] if spec.has_peak else [])])
        scaled = scale_history(past.power_w, past.known)
        spread = (np.array(spec.quantiles) - 0.5) / 0.4 * half_band_w
        said_w = rows[:, np.newaxis] + spread
        return ((said_w - scaled.anchor_w) / scaled.scale_w).astype(np.float32)

    def live(
        self, hours: int, *, off_w: float | None, bundle: str = DIGEST, half_band_w: float = 400.0
    ) -> list[Spoken]:
        """So many hours, a look ahead in each; no model where `off_w` is None."""
        spoken = []
        for _ in range(hours):
            past = self.past()
            self.track.observe(past)
            answer = None if off_w is None else Answer(self.says(past, off_w=off_w, half_band_w=half_band_w), bundle)
            issued_us = UtcUs(int(past.issued_us) - 1)
            spoken.append(self.track.speak(past, answer, was_asked=True, issued_us=issued_us))
            self.step += HOUR_STEPS
        return spoken


def rungs(spoken: Spoken) -> list[str]:
    return [one.rung for one in spoken.records]


def test_of_a_site_of_which_nothing_is_known_nothing_is_said():
    site = Site()
    past = site.past(known_from=10)
    assert site.track.question(past) is None
    assert site.track.speak(past, None, was_asked=False, issued_us=START_US) == Spoken([], Action.NOTHING)


def test_a_young_site_hears_its_baseline_and_the_model_is_not_asked():
    site = Site(ENERGY)
    past = site.past(known_from=-8)
    assert site.track.question(past) is None
    (record,) = site.track.speak(past, None, was_asked=False, issued_us=START_US).records
    assert (record.rung, record.bundle, record.kind, record.target) == (
        "last_value",
        None,
        "energy_forecast",
        "consumption_w",
    )
    assert record.start_us == START_US
    assert site.track.silence == "unknown_site"


def test_a_model_is_asked_as_it_was_trained():
    site = Site()
    inputs = site.track.question(site.past())
    assert inputs is not None
    assert [one.shape for one in inputs] == [(1, LOAD_SLOW.recent_steps), (1, LOAD_SLOW.rows, inputs.steps.shape[-1])]


def test_the_model_speaks_and_its_baseline_stands_beside_it():
    site = Site()
    (spoken,) = site.live(1, off_w=0.0)
    model, baseline = spoken.records
    assert (model.rung, model.bundle, baseline.rung, baseline.bundle) == ("model", DIGEST, "seasonal_naive", None)
    assert model.p50 == [pytest.approx(power_at(step), abs=2) for step in range(LOAD_SLOW.horizon_steps)]
    assert model.peak is not None
    assert model.peak[1] == max(model.p50)
    assert site.track.silence is None


@pytest.mark.parametrize("output", [1e30, -1e30])
def test_what_cannot_be_meant_is_not_said(output: float):
    site = Site()
    past = site.past()
    nonsense = np.full((LOAD_SLOW.rows, len(LOAD_SLOW.quantiles)), output, dtype=np.float32)
    spoken = site.track.speak(past, Answer(nonsense, DIGEST), was_asked=True, issued_us=START_US)
    assert rungs(spoken) == ["seasonal_naive"]
    assert site.track.silence == "no_answer"


def test_a_model_that_helps_stays_and_one_that_does_not_is_retired_once_and_scored_all_the_while():
    good, bad = Site(), Site()
    assert {one.action for one in good.live(9 * 24, off_w=100.0)} == {Action.NOTHING}
    assert good.track.standing.speaker.share == 1
    lived = bad.live(9 * 24, off_w=2_500.0)
    assert [one.action for one in lived if one.action is not Action.NOTHING] == [Action.TELL_RETIRED]
    acted_on, kept = rungs(lived[-1])
    assert (acted_on in ("seasonal_naive", "daily_naive"), kept) == (True, "model")
    assert {rungs(one)[0] for one in lived} == {"model", "mix", acted_on}
    assert {record.bundle for one in lived for record in one.records if record.rung == "mix"} == {DIGEST}


def test_another_bundle_begins_in_good_faith():
    site = Site()
    site.live(9 * 24, off_w=2_500.0)
    (spoken,) = site.live(1, off_w=0.0, bundle=OTHER_DIGEST)
    assert rungs(spoken)[0] == "model"
    assert site.track.bundle == OTHER_DIGEST


def test_a_band_that_was_left_too_often_becomes_wider():
    lived = Site().live(6 * 24, off_w=100.0, half_band_w=1.0)
    first, last = lived[0].records[0], lived[-1].records[0]
    assert (first.rung, last.rung) == ("model", "model")
    assert max(np.subtract(first.p90, first.p10)) <= 3
    assert min(np.subtract(last.p50, last.p10)) > 50, "what came lay below"


@pytest.mark.parametrize("off_w", [50.0, 900.0])
def test_issue_by_issue_it_says_what_a_backtest_says_at_once(off_w: float):
    site, spec, hours = Site(), LOAD_SLOW, 7 * 24
    pasts, said_w = [], []
    for step in range(0, hours * HOUR_STEPS, HOUR_STEPS):
        site.step = step
        pasts.append(site.past())
        scaled = scale_history(pasts[-1].power_w, pasts[-1].known)
        output = site.says(pasts[-1], off_w=off_w, half_band_w=20.0)
        said_w.append(from_model(spec, "consumption_w", output, scaled, pasts[-1]))
    site.step = 0
    lived = [one.records[0] for one in site.live(hours, off_w=off_w, half_band_w=20.0)]

    issued_us = np.array([int(one.issued_us) for one in pasts])
    model_w, past = (
        np.array(said_w),
        Past(*(np.array([getattr(one, name) for one in pasts]) for name in _ARRAYS), LAGOS),
    )
    came_w = np.array(
        [[power_at(step + row) for row in range(4)] for step in range(0, hours * HOUR_STEPS, HOUR_STEPS)]
    )
    medians_w = {one: median_w(one, spec, past) for one in BASELINES["consumption_w"]}
    stood = stand_series(spec, model_w[..., spec.median], medians_w, came_w, issued_us)
    bands_w = {one: quantiles_w(one, spec, past) for one in medians_w}
    mix_w = spoken_w(
        stood, model_w, {one: within_physics(spec, "consumption_w", w, past) for one, w in bands_w.items()}
    )
    calibrated_w, _ = calibrate_series(
        spec, mix_w, came_w, scale_history(past.power_w, past.known).scale_w, issued_us
    )
    shown_w = within_physics(spec, "consumption_w", calibrated_w, past)
    for name, quantile in (("p10", 0), ("p50", 1), ("p90", 2), ("p95", 3)):
        assert np.abs(np.array([getattr(one, name) for one in lived]) - shown_w[:, :4, quantile]).max() <= 1
    assert np.abs(np.array([one.peak for one in lived]) - shown_w[:, 4]).max() <= 1


def test_what_was_missed_is_told_later():
    steady, late = Site(), Site()
    for site in (steady, late):
        site.live(24, off_w=300.0)
    for _ in range(HOUR_STEPS):
        steady.step += 1
        steady.track.observe(steady.past())
    late.step += HOUR_STEPS
    late.track.observe(late.past())
    assert steady.track.standing.encode("") == late.track.standing.encode("")
    assert steady.track.calibration.encode("") == late.track.calibration.encode("")


def test_a_clock_that_was_set_leaves_what_was_learnt():
    site = Site()
    site.live(5 * 24, off_w=300.0)
    before = site.track.standing.trailing_mae_w(28)
    site.track.forget_issued()
    site.step -= 3 * HOUR_STEPS
    site.track.observe(site.past())
    assert site.track.standing.trailing_mae_w(28) == before
    assert site.live(1, off_w=300.0)[0].records


def test_production_is_nothing_at_night_whoever_speaks():
    spec = ENERGY
    track = Track(spec, "production_w", LAGOS)
    hour = np.arange(-spec.history_steps, 0) % 96 / 4
    power_w = np.where((hour > 6) & (hour < 18), 3_000 * np.sin((hour - 6) / 12 * np.pi), 0.0)
    past = track.past(power_w, np.ones(power_w.size, dtype=np.bool_), UtcUs(START_US + 0 * DAY_US))
    scaled = scale_history(past.power_w, past.known)
    output = np.full((spec.rows, 3), 500.0 / scaled.scale_w, dtype=np.float32) + np.float32([-0.1, 0.0, 0.1])
    model, baseline = track.speak(past, Answer(output, DIGEST), was_asked=True, issued_us=START_US).records
    assert (model.rung, baseline.rung) == ("model", "smart_persistence")
    for record in (model, baseline):
        assert record.target == "production_w"
        assert max(record.p90[:20]) == 0
        assert max(record.p50[40:60]) > 0
