"""The forecaster as a Keras model, and what it is trained to minimise. Nothing else.

Step-MLP: one small network, the same for every step ahead, fed with what is known of that step. No
recurrence: at these horizons it gains nothing, and on the device it costs 50 times the time.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from gateway.contract.inputs import CHANNELS, HORIZON_STEPS, QUANTILES

WIDTH = 64


def step_mlp(batch: int | None = None) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """`[batch, HORIZON_STEPS, CHANNELS] -> [batch, HORIZON_STEPS, len(QUANTILES)]`, in scaled units.

    Args:
        batch: None to train; 1 to convert, for TensorFlow Lite wants fixed shapes.
    """
    step = keras.Input(shape=(HORIZON_STEPS, CHANNELS), batch_size=batch)
    hidden = keras.layers.Dense(WIDTH, activation="relu")(step)
    hidden = keras.layers.Add()([hidden, keras.layers.Dense(WIDTH, activation="relu")(hidden)])
    # The straight way lets it copy yesterday and last week before it has learnt anything else.
    straight = keras.layers.Dense(len(QUANTILES), use_bias=False)(step)
    quantiles = keras.layers.Add()([keras.layers.Dense(len(QUANTILES))(hidden), straight])
    return keras.Model(step, quantiles, name="energy_forecast")


def pinball(target: Any, output: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """Mean pinball loss: target `[batch, steps]`, output `[batch, steps, quantile]`."""
    quantiles = np.array(QUANTILES, dtype=np.float32)
    error = target[..., tf.newaxis] - output
    return tf.reduce_mean(tf.maximum(quantiles * error, (quantiles - 1) * error))
