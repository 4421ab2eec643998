"""A forecaster as a Keras model of stock layers, ready to be converted. Needs TensorFlow.

The layers are few and plain (dense, add, concatenate, reshape), for every one of them becomes an operator
that both runtimes must know.
"""

from typing import Any

from tensorflow import keras

from cloud_trainer.nlinear import factors
from cloud_trainer.towers import TAIL_STEPS, Forecaster
from gateway.contract.inputs import CHANNELS


def graph(forecaster: Forecaster) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """`recent` and `steps` in, the quantiles of every row out: what `Forecaster.predict` computes."""
    spec, towers = forecaster.spec, forecaster.towers
    layers = keras.layers
    recent = keras.Input((spec.recent_steps,), name="recent")
    steps = keras.Input((spec.rows, CHANNELS), name="steps")
    ahead = layers.Reshape((spec.rows, 1), name="ridge_rows")(_ridge(forecaster, recent))
    seen = layers.Concatenate(name="seen")([steps, ahead])
    column = layers.Reshape((spec.recent_steps, 1), name="recent_column")(recent)
    tail = layers.Cropping1D((spec.recent_steps - TAIL_STEPS, 0), name="tail_column")(column)
    tail = layers.Reshape((TAIL_STEPS,), name="tail")(tail)
    hidden = [_tower(forecaster, number, seen, tail) for number in range(len(towers.enter))]
    head = layers.Dense(len(spec.quantiles), name="head")
    output = head(layers.Concatenate(name="all")([*hidden, seen]))
    head.set_weights(list(forecaster.head))
    return keras.Model([recent, steps], output, name=spec.kind)


def _ridge(forecaster: Forecaster, recent: Any) -> Any:  # noqa: ANN401 - as above
    """The ridge's forecast of every row: one dense layer, or two narrow ones where that is smaller."""
    line, through = forecaster.ridge, factors(forecaster.ridge)
    wide = keras.layers.Dense(forecaster.spec.rows, name="ridge")
    if through is None:
        said = wide(recent)
        wide.set_weights([line.weights, line.bias])
        return said
    down, up = through
    narrow = keras.layers.Dense(down.shape[1], use_bias=False, name="ridge_narrow")
    said = wide(narrow(recent))
    narrow.set_weights([down])
    wide.set_weights([up, line.bias])
    return said


def _tower(forecaster: Forecaster, number: int, seen: Any, tail: Any) -> Any:  # noqa: ANN401 - as above
    """The hidden layers of one tower, with its weights."""
    layers, towers = keras.layers, forecaster.towers
    width = towers.enter.shape[-1]
    enter = layers.Dense(width, name=f"enter_{number}")
    enter_tail = layers.Dense(width, use_bias=False, name=f"tail_{number}")
    within = layers.Dense(width, activation="relu", name=f"within_{number}")
    shown = layers.Reshape((1, width), name=f"tail_row_{number}")(enter_tail(tail))
    entered = layers.ReLU(name=f"entered_{number}")(layers.Add(name=f"sum_{number}")([enter(seen), shown]))
    hidden = layers.Add(name=f"hidden_{number}")([entered, within(entered)])
    enter.set_weights([towers.enter[number], towers.enter_bias[number]])
    enter_tail.set_weights([towers.tail[number]])
    within.set_weights([towers.within[number], towers.within_bias[number]])
    return hidden
