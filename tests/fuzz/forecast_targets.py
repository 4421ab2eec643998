"""Parsers of what the forecasting of a gateway remembers over a restart."""

from collections.abc import Hashable

import numpy as np

from gateway.contract.forecast_spec import LOAD_SLOW
from gateway.core.calibration import Calibration, CalibrationError
from gateway.core.standing import Standing, StandingError
from gateway.core.voice import SHARES
from tests.fuzz.target import BrokenError, Target

START_US = 1_704_067_200_000_000
SPEC = LOAD_SLOW
BASELINES = ("seasonal_naive", "daily_naive", "last_value")
SAID_W = np.tile([900.0, 1000.0, 1100.0, 1150.0], (SPEC.rows, 1))


def learnt(hours: int) -> Calibration:
    """What a few hours teach; two issues' steps are not over."""
    state = Calibration(SPEC)
    for step in range(hours * 4):
        if step:
            state.observe(START_US + (step - 1) * SPEC.step_us, 1000.0 + 300 * (step % 3))
        state.issue(START_US + step * SPEC.step_us, SAID_W, 100.0)
    return state


def stood(hours: int) -> Standing:
    """Some hours of a model that is worse than the baselines."""
    standing = Standing(SPEC, BASELINES)
    for step in range(hours * 4):
        at_us = START_US + step * SPEC.step_us
        if step:
            standing.observe(at_us - SPEC.step_us, 1000.0)
        standing.issue(at_us, dict.fromkeys(BASELINES, np.full(SPEC.rows, 1010.0)), np.full(SPEC.rows, 1500.0))
    return standing


def check_calibration(data: bytes) -> Hashable:
    try:
        state = Calibration.decode(data, SPEC, "model")
    except CalibrationError as error:
        return str(error)[:30]
    if Calibration.decode(state.encode("model"), SPEC, "model").encode("model") != state.encode("model"):
        raise BrokenError("a calibration that is written and read is another one")
    for step in range(8):
        state.observe(START_US + step * SPEC.step_us, 1000.0)
        said_w = state.adjust(SAID_W, 100.0)
        if not np.isfinite(said_w).all() or (np.diff(said_w, axis=-1) < 0).any():
            raise BrokenError("quantiles out of order")
        state.issue(START_US + (step + 1) * SPEC.step_us, SAID_W, 100.0)
    return "read"


def check_standing(data: bytes) -> Hashable:
    try:
        standing = Standing.decode(data, SPEC, BASELINES, "model")
    except StandingError as error:
        return str(error)[:30]
    if Standing.decode(standing.encode("model"), SPEC, BASELINES, "model").encode("model") != standing.encode(
        "model"
    ):
        raise BrokenError("a standing that is written and read is another one")
    for step in range(8):
        standing.observe(START_US + step * SPEC.step_us, 1000.0)
        standing.issue(START_US + (step + 1) * SPEC.step_us, dict.fromkeys(BASELINES, SAID_W[:, 1]), SAID_W[:, 2])
    if standing.speaker.share not in SHARES.values() or standing.speaker.baseline not in BASELINES:
        raise BrokenError("somebody speaks that there is not")
    return standing.speaker.voice


TARGETS = (
    Target(
        "calibration",
        check_calibration,
        [Calibration(SPEC).encode("model"), learnt(3).encode("model"), learnt(2).encode("other")],
    ),
    Target(
        "standing",
        check_standing,
        [Standing(SPEC, BASELINES).encode("model"), stood(80).encode("model"), stood(3).encode("other")],
        bytes_max=8192,
    ),
)
