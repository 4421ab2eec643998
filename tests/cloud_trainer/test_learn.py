from dataclasses import fields, replace

import numpy as np
import pytest

from cloud_trainer.nlinear import LAMBDAS, Windows, ridge
from cloud_trainer.towers import Forecaster, Towers, begun, tail_of, with_ridge
from cloud_trainer.train import Lesson
from cloud_trainer.windows import windows
from gateway.contract.forecast_spec import load_spec
from gateway.core.scores import pinball
from tests.sim.site_series import HOUR_US, HOURLY, rhythm

pytestmark = pytest.mark.tf

LESSON = Lesson(towers=2, width=4, batches=60)
SITE = rhythm(60)
# Of some windows a few hours are unknown.
SITE.consumption_w[1_000:1_002] = np.nan
SEEN = windows(HOURLY, SITE, "consumption_w", np.arange(10 * 24, 50 * 24, 2))
LINE = ridge(SEEN.recent, SEEN.targets, LAMBDAS, Windows(SEEN.recent, SEEN.targets))


def taught(seed=1, lesson=LESSON, seen=SEEN, say=lambda _: None) -> Towers:
    from cloud_trainer.learn import learn

    return learn(HOURLY, seen, LINE, lesson, seed, say)


def weights(towers: Towers) -> bytes:
    return b"".join(getattr(towers, field.name).tobytes() for field in fields(Towers))


def loss(towers: Towers) -> float:
    said = np.sort(Forecaster(HOURLY, LINE, towers, 1.0).predict(SEEN), axis=-1)
    return pinball(said, SEEN.targets, HOURLY.quantiles)


def test_the_same_seed_gives_the_same_weights_to_the_last_bit_and_what_is_learnt_is_less_wrong():
    said: list[str] = []
    once, again = taught(say=said.append), taught()
    assert weights(once) == weights(again)
    assert np.isfinite(np.frombuffer(weights(once), np.float32)).all(), "unknown targets teach nothing"
    assert loss(once) < 0.7 * loss(begun(np.random.default_rng(1), LESSON.towers, LESSON.width, 3))
    assert len(said) == 1
    assert "batch    60 of 60: pinball 0." in said[0]


def test_what_is_shown_beside_an_unknown_target_teaches_nothing():
    blind = SEEN.targets.copy()
    blind[:, 7] = np.nan
    first = taught(seed=2, lesson=replace(LESSON, batches=5), seen=replace(SEEN, targets=blind))
    steps = SEEN.steps.copy()
    steps[:, 7] = 1e3
    second = taught(seed=2, lesson=replace(LESSON, batches=5), seen=replace(SEEN, targets=blind, steps=steps))
    assert weights(first) == weights(second)


@pytest.mark.parametrize("spec", [HOURLY, load_spec(HOUR_US, 4)])
def test_the_loss_is_the_one_it_is_judged_by_and_the_towers_are_those_that_ship(spec):
    from cloud_trainer.learn import pinball as taught_by
    from cloud_trainer.learn import quantiles

    some = windows(spec, SITE, "consumption_w", np.arange(985, 1_010))
    assert np.isnan(some.targets).any()
    line = ridge(some.recent, some.targets, (1.0,), Windows(some.recent, some.targets))
    made = begun(np.random.default_rng(1), 1, 4, len(spec.quantiles))
    named = {field.name: getattr(made, field.name) for field in fields(Towers)}
    output = quantiles(named, with_ridge(some, line), tail_of(some.recent))
    said = Forecaster(spec, line, made, 1.0).predict(some)
    np.testing.assert_allclose(output[:, 0], said, atol=1e-5)
    wanted = pinball(said.astype(np.float64), some.targets.astype(np.float64), spec.quantiles)
    assert float(taught_by(spec, some.targets, output)) == pytest.approx(wanted, rel=1e-5)
