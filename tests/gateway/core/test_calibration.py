import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import ENERGY, LOAD, LOAD_SLOW, ForecastSpec, energy_spec
from gateway.core.calibration import (
    CALIBRATION_BYTES_MAX,
    OFFSET_SCALES_MAX,
    Calibration,
    CalibrationError,
    calibrate_series,
)
from gateway.core.scores import coverage

START_US = 1_704_067_200_000_000
HOURLY = energy_spec(3_600_000_000, 24)
Z90 = 1.2816
NAMES = ("quantiles_w", "actual_w")


def series(spec: ForecastSpec, days: int, width: float, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Issues each step; noise of 100 W around 1 kW; bands of `width` times the right one."""
    issues = days * spec.day_steps
    power_w = 1000 + np.random.default_rng(seed).normal(0, 100, issues + spec.horizon_steps)
    actual_w = np.lib.stride_tricks.sliding_window_view(power_w, spec.horizon_steps)[:issues]
    if spec.has_peak:
        actual_w = np.concatenate([actual_w, actual_w.max(axis=1, keepdims=True)], axis=1)
    outer = {0.1: -Z90, 0.5: 0.0, 0.9: Z90, 0.95: 1.645}
    quantiles_w = 1000 + 100 * width * np.array([outer[level] for level in spec.quantiles])
    return {
        "quantiles_w": np.broadcast_to(quantiles_w, (issues, spec.rows, quantiles_w.size)).copy(),
        "actual_w": actual_w,
        "scale_w": np.full(issues, 100.0),
        "issued_us": START_US + np.arange(issues, dtype=np.int64) * spec.step_us,
    }


def covered(said_w: np.ndarray, actual_w: np.ndarray) -> float:
    return coverage(said_w[..., 0], said_w[..., 2], actual_w)


@pytest.mark.parametrize("width", [0.4, 1.0, 2.5])
def test_a_band_that_is_wrong_becomes_right_within_weeks(width: float):
    data = series(HOURLY, 100, width)
    said_w, _ = calibrate_series(HOURLY, **data)
    later = slice(50 * 24, None)
    assert 0.77 <= covered(said_w[later], data["actual_w"][later]) <= 0.84
    assert np.array_equal(said_w[..., 1], data["quantiles_w"][..., 1]), "the median stays"


@pytest.mark.slow
def test_the_quantiles_of_the_next_hour_and_its_peak_become_right():
    data = series(LOAD_SLOW, 90, 1.0)
    data["quantiles_w"][:, -1] += 60.0  # the peak of four is higher, not by so much for all levels
    said_w, _ = calibrate_series(LOAD_SLOW, **data)
    below = (data["actual_w"][-3000:, :, np.newaxis] <= said_w[-3000:]).mean(axis=0)
    np.testing.assert_allclose(below[:4], np.broadcast_to(LOAD_SLOW.quantiles, (4, 4)), atol=0.04)
    before = (data["actual_w"][:500, :, np.newaxis] <= said_w[:500]).mean(axis=0)
    wanted = np.array([0.1, 0.9, 0.95])
    assert np.abs(below[-1, [0, 2, 3]] - wanted).max() < np.abs(before[-1, [0, 2, 3]] - wanted).max()
    np.testing.assert_allclose(below[-1, [0, 2, 3]], wanted, atol=0.05)


def test_a_band_of_which_nothing_is_known_stays_as_it_is():
    data = series(ENERGY, 2, 0.3)
    said_w, _ = calibrate_series(ENERGY, **data)
    assert np.array_equal(said_w[0], data["quantiles_w"][0])
    assert np.array_equal(Calibration(ENERGY).adjust(data["quantiles_w"], data["scale_w"]), data["quantiles_w"])


def test_only_steps_that_are_over_are_used():
    data = series(HOURLY, 6, 0.3)
    said_w, _ = calibrate_series(HOURLY, **data)
    later = {**data, "actual_w": data["actual_w"].copy()}
    at = 70
    leads = np.arange(HOURLY.horizon_steps)
    for i in range(len(later["actual_w"])):
        later["actual_w"][i, leads + i >= at] = 1e6
    changed_w, _ = calibrate_series(HOURLY, **later)
    assert np.array_equal(changed_w[: at + 1], said_w[: at + 1])
    assert not np.array_equal(changed_w[at + 1 :], said_w[at + 1 :])


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from([HOURLY, LOAD_SLOW]),
    st.lists(st.integers(1, 9), min_size=2, max_size=60),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.5),
)
def test_the_simulation_is_the_device_issue_by_issue(spec: ForecastSpec, gaps: list[int], seed: int, unknown: float):
    rng = np.random.default_rng(seed)
    at = np.cumsum(gaps)
    power_w = rng.normal(1000, 300, int(at[-1]) + spec.horizon_steps)
    power_w[rng.uniform(size=power_w.size) < unknown] = np.nan
    quantiles_w = np.sort(rng.normal(1000, 300, (at.size, spec.rows, len(spec.quantiles))), axis=-1)
    scale_w = rng.uniform(0, 400, at.size)
    actual_w = np.stack([power_w[one : one + spec.horizon_steps] for one in at])
    said_w, state = calibrate_series(spec, quantiles_w, actual_w, scale_w, START_US + at * spec.step_us)

    device, told = Calibration(spec), int(at[0])
    for i, now in enumerate(at):
        for step in range(told, now):  # every step of the clock, also those that nothing was said of
            device.observe(START_US + step * spec.step_us, power_w[step])
        told = now
        assert np.array_equal(device.adjust(quantiles_w[i], scale_w[i]), said_w[i])
        device.issue(START_US + int(now) * spec.step_us, quantiles_w[i], scale_w[i])
        device = Calibration.decode(device.encode("x"), spec, "x")  # a restart changes nothing
    assert device.encode("x") == state.encode("x")
    assert (np.diff(said_w, axis=-1) >= 0).all()
    assert np.array_equal(said_w[..., spec.median], quantiles_w[..., spec.median])


def test_a_warm_start_goes_on_where_it_ended():
    data = series(HOURLY, 40, 0.4)
    whole_w, _ = calibrate_series(HOURLY, **data)
    first = {name: one[: 20 * 24] for name, one in data.items()}
    rest = {name: one[20 * 24 :] for name, one in data.items()}
    _, warm = calibrate_series(HOURLY, **first)
    said_w, _ = calibrate_series(HOURLY, **rest, warm=warm)
    # Nobody told the step at the seam.
    np.testing.assert_allclose(said_w, whole_w[20 * 24 :], atol=2)
    assert covered(said_w[:24], rest["actual_w"][:24]) > covered(*(first[name][:24] for name in NAMES)) + 0.1


def test_panels_at_night_are_certain_and_teach_nothing():
    data = series(HOURLY, 60, 0.5)
    night = np.arange(24 * 60) % 24
    dark = (night[:, np.newaxis] + np.arange(24)) % 24 < 12
    data["quantiles_w"][dark] = 0.0
    data["actual_w"] = np.where(dark, 0.0, data["actual_w"])
    said_w, _ = calibrate_series(HOURLY, **data)
    assert not said_w[dark].any()
    by_day = np.where(dark, np.nan, data["actual_w"])
    assert covered(said_w[:240], by_day[:240]) < 0.65
    assert covered(said_w[-480:], by_day[-480:]) > 0.72


def test_offsets_are_bounded_and_an_unchanging_site_is_no_trouble():
    data = series(HOURLY, 30, 1.0)
    data["actual_w"] = np.full_like(data["actual_w"], 1e6)
    said_w, _ = calibrate_series(HOURLY, **data)
    assert (said_w[..., 2] - data["quantiles_w"][..., 2]).max() <= OFFSET_SCALES_MAX * 100 + 1e-6
    still = calibrate_series(HOURLY, np.zeros((50, 24, 3)), np.zeros((50, 24)), np.zeros(50), data["issued_us"][:50])
    assert not still[0].any()


def test_a_clock_that_is_set_leaves_what_was_learnt():
    state = Calibration(LOAD)
    quantiles_w = np.tile([900.0, 1000.0, 1100.0, 1200.0], (LOAD.rows, 1))
    state.issue(START_US, quantiles_w, 100.0)
    state.observe(START_US, 5000.0)
    learnt = state.adjust(quantiles_w, 100.0)
    state.forget_issued()
    state.observe(START_US + LOAD.step_us, 5000.0)
    assert np.array_equal(state.adjust(quantiles_w, 100.0), learnt)
    assert learnt[0, 2] > 1100


def test_a_day_of_quarters_fits_into_its_file():
    data = series(ENERGY, 3, 1.0)
    _, state = calibrate_series(ENERGY, **data)
    assert len(state.encode("model")) < CALIBRATION_BYTES_MAX / 2


def test_the_calibration_of_another_model_is_refused():
    data = Calibration(LOAD).encode("a")
    with pytest.raises(CalibrationError, match="is that of a, not of b"):
        Calibration.decode(data, LOAD, "b")
    with pytest.raises(CalibrationError):
        Calibration.decode(data, LOAD_SLOW, "a")


def fields(**changes: object) -> bytes:
    names = ("tag", "of", "offsets", "errors", "counts", "drift", "issues")
    saved = dict(zip(names, msgspec.msgpack.decode(Calibration(LOAD_SLOW).encode("x")), strict=True))
    return msgspec.msgpack.encode(list({**saved, **changes}.values()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * (CALIBRATION_BYTES_MAX + 1),
        fields(tag="calibration_2"),
        fields(offsets=b"\0" * 8),
        fields(offsets=np.full((5, 4), np.nan).tobytes()),
        fields(offsets=np.full((5, 4), 3.1).tobytes()),
        fields(errors=np.full(5, -0.1).tobytes()),
        fields(errors=np.full(5, np.inf).tobytes()),
        fields(counts=np.full(5, np.nan).tobytes()),
        fields(drift=np.full(8, 1.1).tobytes()),
        fields(issues=[b"\0" * 8, b"", b""]),
    ],
)
def test_what_cannot_have_been_learnt_is_refused(data: bytes):
    with pytest.raises(CalibrationError):
        Calibration.decode(data, LOAD_SLOW, "x")


LEARNT = calibrate_series(LOAD_SLOW, **series(LOAD_SLOW, 1, 1.0))[1].encode("x")


@settings(deadline=None, max_examples=60)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_no_damage_to_the_bytes_is_more_than_a_named_error(position: int, value: int):
    body = bytearray(LEARNT)
    body[position % len(body)] = value
    try:
        again = Calibration.decode(bytes(body), LOAD_SLOW, "x")
    except CalibrationError:
        return
    again.observe(START_US + 96 * LOAD_SLOW.step_us, 1000.0)
    assert np.isfinite(again.adjust(np.zeros((5, 4)), 1.0)).all()
