import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW, energy_spec
from gateway.core.baseline import Baseline
from gateway.core.standing import (
    EVIDENCE_ISSUES,
    STANDING_BYTES_MAX,
    Standing,
    StandingError,
    mixed_w,
    spoken_w,
    stand_series,
)
from gateway.core.voice import Action, Voice

START_US = 1_704_067_200_000_000
HOUR_US = 3_600_000_000
HOURLY = energy_spec(HOUR_US, 24)
NAMES: tuple[Baseline, ...] = ("seasonal_naive", "daily_naive", "last_value")


def series(days: int, **noise_w: float | list[float]) -> dict[str, object]:
    """Hourly issues; each speaker off by its noise: one for all, or one for each third of the time."""
    rng = np.random.default_rng(1)
    issues = days * 24
    actual_w = np.lib.stride_tricks.sliding_window_view(rng.normal(1000, 50, issues + 24), 24)[:issues]
    third = np.arange(issues) * 3 // issues
    said = {
        name: actual_w + rng.normal(0, 1, actual_w.shape) * np.broadcast_to(one, 3)[third][:, np.newaxis]
        for name, one in noise_w.items()
    }
    return {
        "model_w": said.pop("model"),
        "baselines_w": said,
        "actual_w": actual_w,
        "issued_us": START_US + np.arange(issues, dtype=np.int64) * HOUR_US,
    }


def mae(said_w: np.ndarray, data: dict[str, object]) -> float:
    return float(np.abs(said_w - data["actual_w"]).mean())


def spoken(data: dict[str, object]) -> np.ndarray:
    stood = stand_series(HOURLY, **data)  # type: ignore[arg-type]
    return spoken_w(stood, data["model_w"], data["baselines_w"])  # type: ignore[arg-type]


def test_a_model_that_is_better_speaks_alone():
    data = series(30, model=10.0, seasonal_naive=100.0, daily_naive=90.0)
    stood = stand_series(HOURLY, **data)
    assert (stood.share == 1).all()
    assert stood.standing.skill(7) == pytest.approx(1 - 10 / 90, abs=0.02)
    assert stood.standing.speaker.voice is Voice.MODEL


def test_a_model_that_is_far_worse_is_retired_after_days_and_the_best_baseline_speaks():
    data = series(30, model=500.0, seasonal_naive=100.0, daily_naive=20.0)
    stood = stand_series(HOURLY, **data)
    assert (stood.share[:EVIDENCE_ISSUES] == 1).all(), "nothing is proven yet"
    assert (stood.share[-20 * 24 :] == 0).all()
    assert stood.standing.speaker.baseline == "daily_naive"
    assert np.isnan(stood.standing.skill(1))
    assert stood.standing.skill(7) < -10


def test_errors_that_differ_speak_best_together():
    data = series(40, model=50.0, seasonal_naive=50.0)
    stood = stand_series(HOURLY, **data)
    assert stood.share[-1] == 0.5
    assert mae(spoken(data), data) < 0.8 * mae(data["model_w"], data)


def test_a_model_comes_back_when_it_would_help_again():
    data = series(90, model=[10.0, 900.0, 10.0], seasonal_naive=60.0)
    share = stand_series(HOURLY, **data).share
    assert (share[600:720] == 1).all()
    assert share[30 * 24 :].min() == 0
    assert share[-1] == 1


def test_what_speaks_is_not_worse_than_the_better_of_both():
    for model_w in (10.0, 60.0, 100.0, 300.0):
        data = series(60, model=model_w, seasonal_naive=100.0, daily_naive=60.0)
        better = min(mae(data["model_w"], data), mae(data["baselines_w"]["daily_naive"], data))
        assert mae(spoken(data), data) < 1.3 * better


def test_it_is_told_when_the_model_falls_silent_and_when_it_is_back():
    data = series(90, model=[10.0, 900.0, 10.0], seasonal_naive=60.0)
    standing, told = Standing(HOURLY, ("seasonal_naive",)), []
    for i, now_us in enumerate(data["issued_us"].tolist()):
        if i:
            standing.observe(now_us - HOUR_US, data["actual_w"][i - 1, 0])
        said = {"seasonal_naive": data["baselines_w"]["seasonal_naive"][i]}
        told.append(standing.issue(now_us, said, data["model_w"][i]))
    assert [one for one in told if one is not Action.NOTHING] == [Action.TELL_RETIRED, Action.TELL_REINSTATED]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=40), st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_the_simulation_is_the_device_issue_by_issue(gaps: list[int], seed: int, unknown: float):
    rng = np.random.default_rng(seed)
    spec, at = HOURLY, np.cumsum(gaps)
    power_w = rng.normal(1000, 300, int(at[-1]) + 24)
    power_w[rng.uniform(size=power_w.size) < unknown] = np.nan
    actual_w = np.stack([power_w[one : one + 24] for one in at])
    model_w = rng.normal(1000, 300, actual_w.shape)
    baselines_w = {name: rng.normal(1000, 200, actual_w.shape) for name in NAMES}
    stood = stand_series(spec, model_w, baselines_w, actual_w, START_US + at * HOUR_US)

    device, told = Standing(spec, NAMES), int(at[0])
    for i, now in enumerate(at):
        for step in range(told, now):
            device.observe(START_US + step * HOUR_US, power_w[step])
        told = now
        device.issue(START_US + int(now) * HOUR_US, {name: one[i] for name, one in baselines_w.items()}, model_w[i])
        speaker = device.speaker
        assert (speaker.share, speaker.baseline) == (stood.share[i], NAMES[stood.baseline[i]])
        device = Standing.decode(device.encode("x"), spec, NAMES, "x")
    assert device.encode("x") == stood.standing.encode("x")


def test_the_hour_without_an_answer_of_the_model_counts_for_the_baselines_alone():
    data = series(20, model=10.0, seasonal_naive=100.0, daily_naive=90.0)
    standing = Standing(HOURLY, ("seasonal_naive", "daily_naive"))
    for i, now_us in enumerate(data["issued_us"].tolist()):
        if i:
            standing.observe(now_us - HOUR_US, data["actual_w"][i - 1, 0])
        standing.issue(now_us, {name: one[i] for name, one in data["baselines_w"].items()}, None)
    trailing = standing.trailing_mae_w(7)
    assert trailing["daily_naive"] < trailing["seasonal_naive"]
    assert np.isnan(trailing["model"])
    assert np.isnan(standing.skill(7))
    assert standing.speaker.baseline == "daily_naive"
    assert standing.speaker.voice is Voice.MODEL, "nothing speaks against it"


def test_what_does_not_count_is_left_out():
    standing = Standing(HOURLY, ("seasonal_naive",))
    night = np.where(np.arange(24) < 12, np.nan, 5.0)
    for hour in range(24 * 14):
        if hour:
            standing.observe(START_US + (hour - 1) * HOUR_US, 0.0)
        standing.issue(START_US + hour * HOUR_US, {"seasonal_naive": night}, night)
    assert standing.trailing_mae_w(14) == {"seasonal_naive": 5.0, "model": 5.0}


def test_a_new_model_begins_with_its_full_share():
    data = series(30, model=500.0, seasonal_naive=20.0)
    standing = stand_series(HOURLY, **data).standing
    assert standing.speaker.voice is Voice.BASELINE
    assert standing.new_model() is Action.TELL_REINSTATED
    assert standing.speaker.voice is Voice.MODEL
    assert np.isnan(standing.skill(28))
    assert standing.trailing_mae_w(28)["seasonal_naive"] > 0, "the baselines are the same"


def test_after_a_clock_was_set_nothing_is_told_of_what_was_said_before():
    standing = Standing(HOURLY, ("seasonal_naive",))
    standing.issue(START_US, {"seasonal_naive": np.zeros(24)}, np.zeros(24))
    before = standing.encode("x")
    standing.forget_issued()
    standing.observe(START_US, 7.0)
    assert len(standing.encode("x")) < len(before)
    assert standing.issue(START_US - 10**12, {"seasonal_naive": np.zeros(24)}, None) is Action.NOTHING


def test_a_site_without_errors_has_no_skill_and_nobody_moves():
    data = series(20, model=0.0, seasonal_naive=0.0)
    stood = stand_series(HOURLY, **data)
    assert (stood.share == 1).all()
    assert np.isnan(stood.standing.skill(7))


def test_a_mix_is_one_alone_where_it_is_all():
    model, baseline = np.array([1.0, np.nan]), np.array([3.0, 5.0])
    assert mixed_w(0.0, model, baseline).tolist() == [3.0, 5.0]
    assert mixed_w(0.5, model, baseline)[0] == 2.0
    assert mixed_w(1.0, baseline, model).tolist() == [3.0, 5.0]


def test_a_series_of_quantiles_is_mixed_as_its_medians_are():
    data = series(40, model=50.0, seasonal_naive=50.0)
    stood = stand_series(HOURLY, **data)
    wide = {name: np.stack([one - 1, one, one + 1], axis=-1) for name, one in data["baselines_w"].items()}
    model = np.stack([data["model_w"] - 3, data["model_w"], data["model_w"] + 3], axis=-1)
    quantiles_w = spoken_w(stood, model, wide)
    np.testing.assert_allclose(quantiles_w[..., 1], spoken_w(stood, data["model_w"], data["baselines_w"]))
    np.testing.assert_allclose(quantiles_w[-1, :, 2] - quantiles_w[-1, :, 1], 2.0)


def test_the_standing_of_another_model_keeps_what_it_says_of_the_baselines():
    data = series(30, model=500.0, seasonal_naive=20.0)
    saved = stand_series(HOURLY, **data).standing.encode("old")
    again = Standing.decode(saved, HOURLY, ("seasonal_naive",), "new")
    assert again.speaker.voice is Voice.MODEL
    assert again.trailing_mae_w(28)["seasonal_naive"] > 0


def test_a_day_of_quarters_fits_into_its_file():
    standing = Standing(ENERGY, NAMES)
    for hour in range(30):
        standing.issue(START_US + hour * HOUR_US, dict.fromkeys(NAMES, np.zeros(96)), np.zeros(96))
    assert len(standing.encode("x")) < STANDING_BYTES_MAX / 3


def fields(**changes: object) -> bytes:
    names = ("tag", "of", "baselines", "voice", "best", "days", "errors_w", "pairs", "issues")
    saved = dict(zip(names, msgspec.msgpack.decode(Standing(LOAD_SLOW, NAMES).encode("x")), strict=True))
    return msgspec.msgpack.encode(list({**saved, **changes}.values()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * (STANDING_BYTES_MAX + 1),
        fields(tag="standing_2"),
        fields(baselines=["seasonal_naive"]),
        fields(voice="loud"),
        fields(best=3),
        fields(best=-1),
        fields(days=b""),
        fields(errors_w=np.full((28, 11), -1.0).tobytes()),
        fields(errors_w=np.full((28, 11), np.inf).tobytes()),
        fields(pairs=np.full((28, 11), np.nan).tobytes()),
        fields(issues=[b"\0" * 8, b"", b""]),
    ],
)
def test_what_cannot_have_been_is_refused(data: bytes):
    with pytest.raises(StandingError):
        Standing.decode(data, LOAD_SLOW, NAMES, "x")
    assert Standing.decode(fields(), LOAD_SLOW, NAMES, "x").speaker.baseline == "seasonal_naive"
