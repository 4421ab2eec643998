"""The recurrent network of the first designs of this project, as a candidate beside the others.

LSTM 50, dropout, LSTM 25, dropout, dense; Adam on the squared error. It looks at the last day, value by value
with its hour and weekday, and says the whole horizon at once. It competes so that every report tells what the
other candidates are worth; it never ships, for its loop is an operator that a gateway does not run: it takes a
hundred times as long as what does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cloud_trainer.candidates import Row
from cloud_trainer.judge import Judged
from cloud_trainer.point import with_band
from cloud_trainer.series import SiteSeries
from cloud_trainer.train import Say, Split, TrainConfig
from cloud_trainer.windows import Windows
from firmware_bridge.clock import SystemClock
from gateway.contract.forecast_spec import DAY_US, ForecastSpec
from gateway.contract.inputs import F32
from gateway.contract.local_time import utc_offset_us

SEEN_STEPS_MAX = 96
UNITS = (50, 25)
DROPOUT_SHARE = 0.2
BATCH_WINDOWS = 32
LEARNING_RATE = 1e-3
# Epochs without a gain on the validation part before it ends with the best weights so far.
PATIENCE_EPOCHS = 5
# Neighbouring windows are nearly the same: beyond so many, every fourth tells as much in a quarter of the time.
ALL_WINDOWS_MAX, WINDOWS_EVERY = 6_000, 4
# Nothing is learnt there, so the batch is for speed alone.
_ASKED_WINDOWS = 256
_WEEK_US = 7 * DAY_US
# The epoch was a Thursday.
_MONDAY_US = 3 * DAY_US


def lstm_row(config: TrainConfig, data: Split, validation: Judged, test: Judged, say: Say) -> Row:
    """The network of each seed, taught within the limits of `config`; its band is that of its errors.

    The same seed gives the same network, unless it is the time limit that ends it.
    """
    clock = SystemClock()
    every = WINDOWS_EVERY if len(data.train) > ALL_WINDOWS_MAX else 1
    taught_on = data.train.where(slice(None, None, every))
    seen, shown, tested = (sequences(config.spec, data.sites, one) for one in (taught_on, data.validation, data.test))
    seeds = config.seeds[: config.lstm_seeds_max]
    began_s = clock.monotonic_s()
    over_s = began_s + 60 * config.lstm_minutes_max
    remarks, on_validation, on_test = [], [], []
    for number, seed in enumerate(seeds):
        now_s = clock.monotonic_s()
        until_s = now_s + (over_s - now_s) / (len(seeds) - number)
        network = _network(config.spec, seen.shape[1:], seed)
        epochs = _teach(
            network,
            (seen, taught_on.targets),
            (shown, data.validation.targets),
            epochs_max=config.lstm_epochs_max,
            clock=clock,
            until_s=until_s,
            say=say,
        )
        late = f", until its {config.lstm_minutes_max:g} min were over" if clock.monotonic_s() >= until_s else ""
        remarks.append(f"seed {seed}: {epochs} epochs{late}")
        medians_w = [
            part.restored(network.predict(one, batch_size=_ASKED_WINDOWS, verbose=0))
            for part, one in ((data.validation, shown), (data.test, tested))
        ]
        spread = with_band(validation, medians_w[0])
        on_validation.append(validation.scores(spread(medians_w[0], validation)))
        on_test.append(test.scores(spread(medians_w[1], test)))
    return Row(
        "lstm",
        is_naive=False,
        validation=on_validation,
        test=on_test,
        train_s=(clock.monotonic_s() - began_s) / len(seeds),
        parameters=network.count_params(),
        remark=f"never ships: a gateway runs no loop; {'; '.join(remarks)}",
    )


def sequences(spec: ForecastSpec, sites: Sequence[SiteSeries], windows: Windows) -> F32:
    """What the network sees: the last steps with their local time; `[n, steps, 6]`.

    The channels are value, sine and cosine of the day, of the week, and whether it is the weekend.
    """
    steps = min(SEEN_STEPS_MAX, spec.recent_steps)
    at_us = windows.issued_us[:, np.newaxis] - np.arange(steps, 0, -1) * spec.step_us
    local_us = at_us.copy()
    for number in np.unique(windows.site):
        mine = windows.site == number
        local_us[mine] += utc_offset_us(at_us[mine], sites[number].zone)
    day = 2 * np.pi * (local_us % DAY_US) / DAY_US
    into_week_us = (local_us + _MONDAY_US) % _WEEK_US
    week = 2 * np.pi * into_week_us / _WEEK_US
    is_weekend = into_week_us >= 5 * DAY_US
    channels = [windows.recent[:, -steps:], np.sin(day), np.cos(day), np.sin(week), np.cos(week), is_weekend]
    return np.asarray(np.stack(channels, axis=-1), dtype=np.float32)


def _network(spec: ForecastSpec, shape: tuple[int, ...], seed: int) -> Any:  # noqa: ANN401 - TensorFlow has no types
    """The untaught network for windows of `shape`."""
    import tensorflow as tf
    from tensorflow import keras

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input(shape),
            layers.LSTM(UNITS[0], return_sequences=True),
            layers.Dropout(DROPOUT_SHARE),
            layers.LSTM(UNITS[1]),
            layers.Dropout(DROPOUT_SHARE),
            layers.Dense(spec.rows),
        ]
    )

    def squared_error(target: Any, said: Any) -> Any:  # noqa: ANN401 - as above
        """Mean over the known targets."""
        known = keras.ops.isfinite(target)
        error = keras.ops.where(known, target, said) - said
        count = keras.ops.sum(keras.ops.cast(known, "float32"))
        return keras.ops.sum(error**2) / keras.ops.maximum(count, 1.0)

    network.compile(keras.optimizers.Adam(LEARNING_RATE), squared_error)
    return network


def _teach(
    network: Any,  # noqa: ANN401 - as above
    seen: tuple[F32, F32],
    shown: tuple[F32, F32],
    *,
    epochs_max: int,
    clock: SystemClock,
    until_s: float,
    say: Say,
) -> int:
    """Teach on `seen` until `shown` gains no more, or the time is over; how many epochs that took."""
    from tensorflow import keras

    def end_when_over(batch: int, logs: dict[str, float]) -> None:
        del batch, logs
        if clock.monotonic_s() >= until_s:
            network.stop_training = True

    def tell(epoch: int, logs: dict[str, float]) -> None:
        say(f"    lstm, epoch {epoch + 1:2}: squared error {logs['loss']:.4f}, validation {logs['val_loss']:.4f}")

    history = network.fit(
        *seen,
        batch_size=BATCH_WINDOWS,
        epochs=epochs_max,
        validation_data=shown,
        validation_batch_size=_ASKED_WINDOWS,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=PATIENCE_EPOCHS, restore_best_weights=True),
            keras.callbacks.LambdaCallback(on_train_batch_end=end_when_over, on_epoch_end=tell),
        ],
    )
    return len(history.epoch)
