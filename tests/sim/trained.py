"""A forecaster that was trained in seconds on a made-up site, and its artefact: once for all tests that ask."""

from functools import cache

from cloud_trainer.artefact import settle
from cloud_trainer.form_trials import Settled
from cloud_trainer.train import Lesson, TrainConfig, Trained, train
from tests.sim.site_series import HOURLY, rhythm

CONFIG = TrainConfig(
    spec=HOURLY,
    target="consumption_w",
    lesson=Lesson(towers=2, width=8, batches=200, learning_rate=1e-2),
    seeds=(1, 2),
    windows_max=800,
    judged_max=300,
)
DAYS = 100


def once_more() -> Trained:
    """The same training, done again."""
    return train(CONFIG, [rhythm(DAYS)], lambda _: None)


@cache
def trained() -> Trained:
    """What came of `CONFIG`."""
    return once_more()


@cache
def settled() -> Settled:
    """The artefact of `trained`, in the form that the rule chooses."""
    return settle(trained())
