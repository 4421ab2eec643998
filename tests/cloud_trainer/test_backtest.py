from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_trainer.backtest import band_w, replay, shown_as_on_a_gateway
from cloud_trainer.bundle import WORST_MAX
from cloud_trainer.judge import Judged, judged, past_of
from cloud_trainer.windows import joined, windows
from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import load_spec
from gateway.core.forecast import from_baseline
from gateway.core.past import Past
from gateway.core.track import Answer, Track
from tests.sim.site_series import HOUR_US, HOURLY, rhythm
from tests.sim.trained import settled, trained

PEAK = load_spec(HOUR_US, 4)
FIRST, ISSUES = 20 * 24, 14 * 24


def parts(spec, target="consumption_w", *, sites=None) -> tuple[Judged, list]:
    """Two weeks of issues, one every hour."""
    sites = sites or [rhythm(40, spec, solar=True)]
    origins = np.arange(FIRST, FIRST + ISSUES)
    some = joined([windows(spec, site, target, origins, number=number) for number, site in enumerate(sites)])
    return judged(spec, sites, target, some, 500.0), sites


def said(part: Judged, seed: int = 1) -> np.ndarray:
    """A model in scaled units: good for five days, and then worse than any baseline; `[n, rows, quantiles]`."""
    rng = np.random.default_rng(seed)
    median = np.nan_to_num(part.windows.targets) + 0.2 * rng.standard_normal(part.windows.targets.shape)
    median[5 * 24 :] += 4.0
    return (median[..., np.newaxis] + 0.2 * np.linspace(-1, 1, len(part.spec.quantiles))).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "target"), [(HOURLY, "consumption_w"), (HOURLY, "production_w"), (PEAK, "consumption_w")]
)
def test_what_is_shown_is_what_the_device_says_of_the_same_history(spec, target):
    part, (site,) = parts(spec, target)
    output = said(part)
    shown_w, share = shown_as_on_a_gateway(part, part.meant_w(output), [site])
    assert {0.0, 1.0} < set(share), "models, baselines and mixes"
    track = Track(spec, target, site.zone)
    pasts = past_of(spec, site, target, part.windows.issued_us, None)
    for row, issued_us in enumerate(part.windows.issued_us.tolist()):
        past = track.past(pasts.power_w[row], pasts.known[row], UtcUs(issued_us))
        track.observe(past)
        assert track.question(past) is not None
        answer = Answer(output[row], "a bundle")
        told = track.speak(past, answer, was_asked=True, issued_us=UtcUs(issued_us)).records[0]
        assert track.standing.speaker.share == share[row]
        quantiles = [told.p10, told.p50, told.p90] + ([told.p95] if spec.has_peak else [])
        np.testing.assert_allclose(shown_w[row, : spec.horizon_steps], np.array(quantiles).T, atol=0.5001)
        if spec.has_peak:
            np.testing.assert_allclose(shown_w[row, -1], told.peak, atol=0.5001)


@given(st.integers(0, ISSUES - 1), st.integers(0, 99), st.sampled_from(["consumption_w", "production_w"]))
@settings(max_examples=10, deadline=None)
def test_nothing_after_an_issue_changes_what_is_shown(last, seed, target):
    part, (site,) = parts(HOURLY, target)
    other = rhythm(40, seed=seed + 2, noise=4.0, solar=True)
    end = FIRST + last
    changed = replace(
        site,
        consumption_w=np.concatenate([site.consumption_w[:end], other.consumption_w[end:]]),
        production_w=np.concatenate([site.production_w[:end], other.production_w[end:]]),
    )
    later, _ = parts(HOURLY, target, sites=[changed])
    output, changed_output = said(part), said(part)
    changed_output[last + 1 :] *= -3
    shown_w, share = shown_as_on_a_gateway(part, part.meant_w(output), [site])
    other_w, other_share = shown_as_on_a_gateway(later, later.meant_w(changed_output), [changed])
    np.testing.assert_array_equal(shown_w[: last + 1], other_w[: last + 1])
    np.testing.assert_array_equal(share[: last + 1], other_share[: last + 1])


def test_before_anything_is_known_of_it_a_model_is_shown_as_it_speaks():
    part, sites = parts(HOURLY)
    said_w = part.meant_w(said(part))
    shown_w, share = shown_as_on_a_gateway(part, said_w, sites)
    assert share[:72].all(), "three days of evidence"
    np.testing.assert_array_equal(shown_w[0], said_w[0])
    # an hour later the first step of the first issue is known, and moves the first row of the band alone
    np.testing.assert_array_equal(shown_w[1, 1:], said_w[1, 1:])
    np.testing.assert_array_equal(shown_w[1, 0, 1], said_w[1, 0, 1])
    assert shown_w[1, 0, 0] != said_w[1, 0, 0]


def test_each_site_is_shown_what_it_would_see_alone_in_any_order():
    part, sites = parts(HOURLY, sites=[rhythm(40, seed=seed, level_w=900 * seed) for seed in (1, 2)])
    mixed = np.random.default_rng(1).permutation(len(part.windows))
    shuffled = part.where(mixed)
    said_w = np.concatenate([part.where(part.windows.site == 0).meant_w(said(part)[:ISSUES])] * 2)
    shown_w, share = shown_as_on_a_gateway(shuffled, said_w[mixed], sites)
    for number in (0, 1):
        alone = part.where(part.windows.site == number)
        alone_w, alone_share = shown_as_on_a_gateway(alone, said_w[part.windows.site == number], sites)
        here = shuffled.windows.site == number
        order = np.argsort(shuffled.windows.issued_us[here])
        np.testing.assert_array_equal(shown_w[here][order], alone_w)
        np.testing.assert_array_equal(share[here][order], alone_share)


def test_nothing_comes_from_panels_at_night_and_no_less_than_nothing_by_day():
    part, sites = parts(HOURLY, "production_w")
    shown_w, _ = shown_as_on_a_gateway(part, part.meant_w(said(part) - 3), sites)
    is_night = part.possible.highest_w == 0
    assert is_night.any()
    assert not shown_w[is_night].any()
    assert shown_w.min() == 0


@pytest.mark.tf
@pytest.mark.slow
def test_a_replay_asks_the_artefact_in_the_production_host():
    run, model = trained(), settled().model
    some = run.test.where(slice(0, 72))
    seen = replay(model, some, list(run.data.sites))
    apart_w = np.abs(seen.said_w - some.meant_w(run.forecaster.predict(some.windows)))
    assert (apart_w / some.windows.scale_w[:, np.newaxis, np.newaxis]).max() < WORST_MAX[model.form]
    shown_w, share = shown_as_on_a_gateway(some, seen.said_w, list(run.data.sites))
    np.testing.assert_array_equal(seen.shown_w, shown_w)
    np.testing.assert_array_equal(seen.share, share)
    assert seen.said.mae_w == some.scores(seen.said_w).mae_w
    assert seen.shown.pinball_w == some.scores(shown_w).pinball_w


def test_a_baseline_is_shown_with_the_band_that_the_device_gives_it():
    part, (site,) = parts(PEAK)
    some = part.where(slice(0, 130, 13))
    pasts = past_of(PEAK, site, "consumption_w", some.windows.issued_us, None)
    for name in some.baselines_w:
        shown_w = band_w(some, site, name)
        for row, issued_us in enumerate(some.windows.issued_us):
            past = Past(pasts.power_w[row], pasts.known[row], issued_us, site.zone)
            np.testing.assert_array_equal(shown_w[row], from_baseline(PEAK, "consumption_w", name, past))
