"""The loop that teaches the towers: pinball loss, Adam, a falling rate, and the mean of its last steps.

Needs TensorFlow, and is the only module of training that does.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from cloud_trainer.nlinear import Ridge
from cloud_trainer.towers import Towers, begun, tail_of, with_ridge
from cloud_trainer.train import Lesson
from cloud_trainer.windows import Windows
from gateway.contract.forecast_spec import ForecastSpec

# The weights that are kept are a running mean: the noise of the last steps is not learnt.
MEAN_DECAY = 0.995
# A short lesson is averaged over its last fifth, or the mean would hold its beginning.
_MEAN_SHARE = 0.2
# Steps between two lines of progress.
_SAY_EVERY = 500


def learn(
    spec: ForecastSpec,
    windows: Windows,
    ridge: Ridge,
    lesson: Lesson,
    seed: int,
    say: Callable[[str], None],
) -> Towers:
    """Towers taught on `windows`; the same seed gives the same weights on the same machine."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(seed)
    start = begun(rng, lesson.towers, lesson.width, len(spec.quantiles))
    weights = {field.name: keras.Variable(getattr(start, field.name)) for field in fields(Towers)}
    means = {name: tf.Variable(weight.value) for name, weight in weights.items()}
    variables = list(weights.values())
    rate = keras.optimizers.schedules.CosineDecay(lesson.learning_rate, lesson.batches, lesson.rate_end_share)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)
    seen, tail = with_ridge(windows, ridge), tail_of(windows.recent)
    decay = max(0.0, min(MEAN_DECAY, 1 - 1 / (_MEAN_SHARE * lesson.batches)))

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def step(x: tf.Tensor, t: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = pinball(spec, target, quantiles(weights, x, t))
        optimizer.apply(tape.gradient(loss, [one.value for one in variables]), variables)
        for name, mean in means.items():
            mean.assign(decay * mean + (1 - decay) * weights[name].value)
        return loss

    losses = []
    for number in range(1, lesson.batches + 1):
        rows = rng.integers(len(windows), size=lesson.batch_windows)
        losses.append(step(seen[rows], tail[rows], windows.targets[rows]))
        if number % _SAY_EVERY == 0 or number == lesson.batches:
            say(f"    batch {number:5} of {lesson.batches}: pinball {np.mean([float(one) for one in losses]):.4f}")
            losses.clear()
    return Towers(**{name: mean.numpy() for name, mean in means.items()})


def quantiles(weights: dict[str, Any], seen: tf.Tensor, tail: tf.Tensor) -> tf.Tensor:
    """`towers.py` in TensorFlow: `[batch, rows, inputs]` to `[batch, tower, rows, quantiles]`."""
    from_tail = tf.einsum("bt,ktw->bkw", tail, weights["tail"])[:, :, tf.newaxis]
    bias = weights["enter_bias"][tf.newaxis, :, tf.newaxis]
    hidden = tf.nn.relu(tf.einsum("brc,kcw->bkrw", seen, weights["enter"]) + bias + from_tail)
    bias = weights["within_bias"][tf.newaxis, :, tf.newaxis]
    hidden += tf.nn.relu(tf.einsum("bkrw,kwv->bkrv", hidden, weights["within"]) + bias)
    bias = weights["leave_bias"][tf.newaxis, :, tf.newaxis]
    straight = tf.einsum("brc,kcq->bkrq", seen, weights["straight"])
    return tf.einsum("bkrw,kwq->bkrq", hidden, weights["leave"]) + bias + straight


def pinball(spec: ForecastSpec, target: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """Mean pinball loss over all towers; an unknown target counts for nothing."""
    known = tf.math.is_finite(target)
    error = tf.where(known, target, 0.0)[:, tf.newaxis, :, tf.newaxis] - output
    levels = np.array(spec.quantiles, np.float32)
    loss = tf.maximum(levels * error, (levels - 1) * error)
    weight = tf.cast(known, tf.float32)[:, tf.newaxis, :, tf.newaxis]
    return tf.reduce_sum(loss * weight) / tf.maximum(tf.reduce_sum(weight * tf.ones_like(loss)), 1.0)
