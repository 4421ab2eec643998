"""The published protocol, on a made-up transformer of a few channels; on the recorded one where it is there."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from tests.bench import accuracy_ett
from tests.bench.accuracy_ett import HORIZON, RECORDINGS, Recording, figures, fit, mean_map, read_channels, windows

HOURLY = Recording("made_up", "made_up.csv.gz", 24)
LOOK_BACK_MAX = 48


@pytest.fixture(autouse=True)
def short_look_backs(monkeypatch, request):
    if "data" not in request.keywords:
        monkeypatch.setattr(accuracy_ett, "LOOK_BACKS", (24, LOOK_BACK_MAX))
        monkeypatch.setattr(accuracy_ett, "LOOK_BACK_MAX", LOOK_BACK_MAX)


def made_up_channels(rows: int = HOURLY.ends[2]) -> np.ndarray:
    """Two channels with a day in them and a level that drifts, `[rows, 2]`."""
    rng, hours = np.random.default_rng(0), np.arange(rows)
    level = np.cumsum(0.05 * rng.normal(size=(rows, 2)), axis=0)
    day = np.column_stack([np.sin(2 * np.pi * hours / 24), np.cos(2 * np.pi * hours / 24)])
    return 10 + 3 * (day + level + 0.3 * rng.normal(size=(rows, 2)))


def test_every_window_of_a_part_is_there_and_looks_back_into_the_part_before():
    channel = np.arange(1000.0)
    part = windows(channel, 500, 700)
    assert len(part.recent) == len(part.targets) == 200 - HORIZON + 1
    np.testing.assert_array_equal(part.recent[0], np.arange(500 - LOOK_BACK_MAX, 500) - 499)
    np.testing.assert_array_equal(part.targets[0], np.arange(500, 500 + HORIZON) - 499)
    np.testing.assert_array_equal(part.targets[-1] + 699 - HORIZON, np.arange(700 - HORIZON, 700))


def test_the_parts_are_those_of_the_papers():
    by_name = {recording.name: recording.ends for recording in RECORDINGS}
    assert by_name == {"ett_m1": (34_560, 46_080, 57_600), "ett_h1": (8_640, 11_520, 14_400)}


def test_the_mean_of_maps_forecasts_the_mean():
    channels = made_up_channels(2000).T
    later = windows(channels[0], 1500, 2000)
    maps = [accuracy_ett.best(accuracy_ett.Moments.of(windows(channels[0], 48, 1500)), n, [later]) for n in (24, 48)]
    expected = (maps[0].predict(later.recent[:, -24:]) + maps[1].predict(later.recent)) / 2
    np.testing.assert_allclose(mean_map(maps).predict(later.recent), expected, atol=1e-6)


def test_nothing_of_the_test_part_is_learnt():
    train_end, validation_end, _ = HOURLY.ends
    channels = made_up_channels().T
    altered = channels.copy()
    altered[:, validation_end:] = 1e6
    for one, other in zip(
        fit(channels, train_end, validation_end), fit(altered, train_end, validation_end), strict=True
    ):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_the_ridge_beats_the_naive_forecasts_of_the_same_run():
    found = {
        name.removeprefix("accuracy.made_up.multivariate_h96"): rest
        for name, *rest in figures(HOURLY, made_up_channels())
    }
    assert set(found) == {f"{who}.{what}" for who in ("", "_last_value", "_daily_naive") for what in ("mse", "mae")}
    value, unit, baseline = found[".mse"]
    assert unit == "train_sd2"
    assert value < baseline == min(found["_last_value.mse"][0], found["_daily_naive.mse"][0])


def test_the_naive_forecasts_are_what_their_names_say():
    channels = made_up_channels()
    train_end, validation_end, end = HOURLY.ends
    scaled = (channels - channels[:train_end].mean(axis=0)) / channels[:train_end].std(axis=0)
    last, daily = [], []
    for origin in range(validation_end, end - HORIZON + 1):
        came, before = scaled[origin : origin + HORIZON], scaled[:origin]
        last.append(((came - before[-1]) ** 2).mean())
        daily.append(((came - np.tile(before[-24:], (4, 1))) ** 2).mean())
    found = {name.partition("h96_")[2]: value for name, value, *_ in figures(HOURLY, channels)}
    assert found["last_value.mse"] == pytest.approx(np.mean(last), abs=1e-4)
    assert found["daily_naive.mse"] == pytest.approx(np.mean(daily), abs=1e-4)


def test_a_file_is_read_without_its_dates(tmp_path):
    path = tmp_path / "small.csv.gz"
    path.write_bytes(gzip.compress(b"date,A,B\n2016-07-01 00:00:00,1.5,2\n2016-07-01 01:00:00,3,-4\n"))
    np.testing.assert_array_equal(read_channels(path), [[1.5, 2.0], [3.0, -4.0]])


def test_without_recordings_there_are_no_figures(monkeypatch, capsys):
    monkeypatch.delenv("DATA", raising=False)
    assert list(accuracy_ett.bench()) == []
    assert "DATA" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "mse_max"), [pytest.param(0, 0.290, marks=pytest.mark.nightly), pytest.param(1, 0.370)]
)
def test_the_recorded_transformer_is_forecast_as_well_as_the_papers_do(number, mse_max):
    folder = os.environ.get("DATA", "")
    if not folder:
        pytest.skip("the environment names no folder DATA with recordings")
    recording = RECORDINGS[number]
    _, mse, _, baseline = next(figures(recording, read_channels(Path(folder) / recording.file)))
    assert mse <= mse_max
    assert mse < 0.75 * baseline
