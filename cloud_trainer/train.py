"""Training the forecaster: config, data, model, loop, report. Read it from top to bottom.

Needs TensorFlow. Nothing here knows of TensorFlow Lite (`convert`) or of bundles (`bundle`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from cloud_trainer.dataset import Split, Windows, home, split, workshop
from cloud_trainer.evaluate import judge
from cloud_trainer.models import pinball, step_mlp
from gateway.contract.inputs import F32

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides what comes out."""

    homes: int
    days: int
    seed: int
    epochs: int = 12
    batch_windows: int = 64
    learning_rate: float = 3e-3

    @property
    def workshops(self) -> int:
        """Businesses beside the homes: half as many, so that the model knows working days."""
        return self.homes // 2


# One site in five is never learnt from; of the others, the last three tenths of their time.
TEST_EVERY = 5
TRAIN_SHARE = 0.7
# Two passes tell whether everything fits together.
QUICK_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run leaves. Metrics are those of sites it has never seen; examples those it chose by."""

    model: keras.Model
    examples: Windows
    metrics: dict[str, float]
    first_us: int
    last_us: int

    def predict(self, inputs: F32) -> F32:
        """The model's output in scaled units."""
        return _predict(self.model, inputs)


def train(config: TrainConfig, weights: Path, say: Say) -> Trained:
    """Train a forecaster on generated sites and judge it on sites it has never seen.

    Args:
        config: what to do.
        weights: where to write the best weights, ending in `.weights.h5`.
        say: takes one line of progress.
    """
    # --- the same seed gives the same weights on the same machine
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(config.seed)
    say(f"seed {config.seed}, TensorFlow {tf.__version__}, numpy {np.__version__}")

    # --- data: seeds of sites lie apart for each seed of training
    first = config.seed * 1_000_000
    sites = [home(first + number, config.days) for number in range(config.homes)]
    sites += [workshop(first + number, config.days) for number in range(config.workshops)]
    data = split(sites, test_every=TEST_EVERY, train_share=TRAIN_SHARE, rng=rng)
    say(
        f"{config.homes} homes and {config.workshops} workshops, {config.days} days each; windows: "
        f"{len(data.train)} to train, {len(data.validation)} to choose, {len(data.test)} of unseen sites to judge"
    )

    # --- model and loop: the epoch that is best on later days of the known sites is kept
    model = step_mlp()
    say(f"{model.count_params()} parameters, {config.epochs} epochs")
    _fit(model, data, config, weights, rng, say)
    model.load_weights(weights)

    # --- report: unseen sites, whole and two days after a cold start
    metrics = _judged(model, data.test)
    cold = _judged(model, data.test_cold)
    metrics |= {f"cold_{name}": cold[name] for name in ("mae", "skill_daily", "skill_weekly", "coverage_80")}
    for kind, is_kind in (("homes", data.test.site < config.homes), ("workshops", data.test.site >= config.homes)):
        part = _judged(model, data.test.where(is_kind))
        metrics |= {f"{kind}_{name}": part[name] for name in ("skill_daily", "skill_weekly")}
    for name, value in metrics.items():
        say(f"  {name:24} {value:10.4f}")
    issued_us = data.train.issued_us
    return Trained(model, data.validation, metrics, int(issued_us.min()), int(issued_us.max()))


def _fit(
    model: keras.Model, data: Split, config: TrainConfig, weights: Path, rng: np.random.Generator, say: Say
) -> None:
    """Adam with a rate that falls along a cosine; writes the best weights to `weights`."""
    steps = len(data.train) // config.batch_windows
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    optimizer = keras.optimizers.Adam(schedule)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = pinball(targets, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    best = np.inf
    for epoch in range(config.epochs):
        order = rng.permutation(len(data.train))[: steps * config.batch_windows]
        losses = [
            step(data.train.inputs[rows], data.train.targets[rows])
            for rows in order.reshape(steps, config.batch_windows)
        ]
        choosing = _judged(model, data.validation)["pinball"]
        say(f"  epoch {epoch + 1:2}: pinball {np.mean(losses):.4f} learning, {choosing:.4f} choosing")
        if choosing < best:
            best = choosing
            model.save_weights(weights, overwrite=True)


def _judged(model: keras.Model, windows: Windows) -> dict[str, float]:
    return judge(windows, _predict(model, windows.inputs))


def _predict(model: keras.Model, inputs: F32) -> F32:
    output: F32 = model.predict(inputs, batch_size=512, verbose=0)
    return output
