import zlib
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD
from gateway.core.track import Answer, Track
from gateway.shell.track_file import FILE_NAME, FILE_UNPACKED_BYTES_MAX, TrackFile, encode_tracks
from tests.sim.clock import START_US, SimClock

DIGEST = "ab" * 32


def young() -> list[Track]:
    zone = ZoneInfo("UTC")
    return [Track(ENERGY, "consumption_w", zone), Track(LOAD, "consumption_w", zone)]


def experienced(hours: int = 4) -> list[Track]:
    """Tracks that have heard a model, and seen what came of it."""
    tracks = young()
    for track in tracks:
        power_w, known = np.full(track.spec.history_steps, 900.0), np.ones(track.spec.history_steps, dtype=np.bool_)
        output = np.zeros((track.spec.rows, len(track.spec.quantiles)), dtype=np.float32)
        output += np.arange(len(track.spec.quantiles), dtype=np.float32) / 10
        for hour in range(hours):
            end_us = UtcUs(START_US - START_US % DAY_US + hour * DAY_US // 24)
            past = track.past(power_w, known, end_us)
            track.observe(past)
            track.speak(past, Answer(output, DIGEST), was_asked=True, issued_us=end_us)
    return tracks


def learnt(tracks: list[Track]) -> list[object]:
    return [track.save() for track in tracks]


async def test_a_start_goes_on_with_what_was_learnt(tmp_path: Path):
    before, after = experienced(), young()
    await TrackFile(tmp_path, before, SimClock()).keep()
    TrackFile(tmp_path, after, SimClock()).restore()
    assert learnt(after) == learnt(before) != learnt(young())
    assert {track.bundle for track in after} == {DIGEST}


def test_without_a_file_it_begins_anew_and_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tracks = young()
    TrackFile(tmp_path, tracks, SimClock()).restore()
    assert learnt(tracks) == learnt(young())
    assert caplog.messages == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zlib",
        encode_tracks([track.save() for track in experienced(1)])[:-1],
        zlib.compress(b"\xc1"),
        zlib.compress(bytes(FILE_UNPACKED_BYTES_MAX + 1)),
    ],
)
def test_a_damaged_file_is_as_good_as_none_and_told(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture):
    (tmp_path / FILE_NAME).write_bytes(data)
    tracks = young()
    TrackFile(tmp_path, tracks, SimClock()).restore()
    assert learnt(tracks) == learnt(young())
    assert "forecasts begin anew" in caplog.text


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / FILE_NAME).mkdir()
    TrackFile(tmp_path, young(), SimClock()).restore()
    assert "forecasts begin anew" in caplog.text


@pytest.mark.parametrize("field", ["standing", "calibration"])
def test_one_that_cannot_be_used_begins_anew_and_the_others_go_on(
    tmp_path: Path, field: str, caplog: pytest.LogCaptureFixture
):
    energy, load = (track.save() for track in experienced())
    spoilt = msgspec.structs.replace(energy, **{field: b"\xc1"})
    (tmp_path / FILE_NAME).write_bytes(encode_tracks([spoilt, load]))
    tracks = young()
    TrackFile(tmp_path, tracks, SimClock()).restore()
    assert learnt(tracks) == [young()[0].save(), load]
    assert "a forecast begins anew: name=energy_forecast_consumption_96x15min" in caplog.text


def test_what_is_kept_of_a_forecast_that_is_not_made_any_more_is_left_out(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(encode_tracks([track.save() for track in experienced()]))
    (load,) = tracks = young()[1:]
    TrackFile(tmp_path, tracks, SimClock()).restore()
    assert load.bundle == DIGEST


async def test_a_stop_does_not_fail_for_a_disk_that_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    keeper = TrackFile(tmp_path / "gone", young(), SimClock())
    with pytest.raises(OSError, match="gone"):
        await keeper.keep()
    await keeper.finish()
    assert "what forecasts have learnt is not kept" in caplog.text
