"""A recording as a function of the instant: average power of its interval, and energy so far.

Inside the recording's own dates it is replayed as it was. Beyond its end it repeats in whole weeks
(or days, when shorter), so that weekday and time of day stay true.
"""

from pathlib import Path

import numpy as np

from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.noise import F64
from firmware_bridge.simulator.recording import Recording, read_recording
from firmware_bridge.simulator.replay_map import ReplayMap, find_map, load_map
from firmware_bridge.simulator.wall_clock import DAY_S

_DAY_US = DAY_S * US_PER_S
_US_PER_H = 3600 * US_PER_S


class Replay:
    """A step function of the instant."""

    def __init__(self, recording: Recording, form: ReplayMap, begin_us: UtcUs | None = None) -> None:
        """Replay `recording` at its own dates, or with its first interval at `begin_us`."""
        self.form = form
        self.recorded_us = UtcUs(recording.first_us)
        self.begin_us = self.recorded_us if begin_us is None else begin_us
        self.power_w = recording.power_w
        self._cadence_us = recording.cadence_us
        self._span_us = len(recording.power_w) * recording.cadence_us
        self._lap_us = _whole(self._span_us)
        self._import_wh = _energy_wh(np.maximum(recording.power_w, 0.0), recording.cadence_us)
        self._export_wh = _energy_wh(np.maximum(-recording.power_w, 0.0), recording.cadence_us)

    @property
    def end_us(self) -> UtcUs:
        """The instant after the last interval."""
        return UtcUs(self.begin_us + self._span_us)

    def power_at_w(self, at_us: int) -> float:
        """Average power of the interval that holds `at_us`, watts; positive is drawn."""
        since_us = at_us - self.begin_us
        if not 0 <= since_us < self._span_us:
            since_us %= self._lap_us
        return float(self.power_w[since_us // self._cadence_us])

    def energy_at_wh(self, at_us: int) -> tuple[float, float]:
        """Energy drawn and fed back since the beginning, Wh; never falls."""
        since_us = max(at_us - self.begin_us, 0)
        return self._sum_wh(self._import_wh, since_us), self._sum_wh(self._export_wh, since_us)

    def _sum_wh(self, sums: F64, since_us: int) -> float:
        if since_us < self._span_us:
            return self._inside_wh(sums, since_us)
        # Laps are cut from the beginning, the first passage runs to the very end: continue from there.
        return float(sums[-1]) + self._laps_wh(sums, since_us) - self._laps_wh(sums, self._span_us)

    def _laps_wh(self, sums: F64, since_us: int) -> float:
        laps, rest_us = divmod(since_us, self._lap_us)
        return laps * self._inside_wh(sums, self._lap_us) + self._inside_wh(sums, rest_us)

    def _inside_wh(self, sums: F64, since_us: int) -> float:
        step, rest_us = divmod(since_us, self._cadence_us)
        if not rest_us:
            return float(sums[step])
        return float(sums[step] + (sums[step + 1] - sums[step]) * (rest_us / self._cadence_us))


def open_replay(recording: Path, replay_map: Path | None = None, begin_us: UtcUs | None = None) -> Replay:
    """The recording in a file, by the map given or found by the file's name.

    Raises:
        SettingError: whatever is wrong with either file.
    """
    form = load_map(replay_map or find_map(recording))
    return Replay(read_recording(recording, form), form, begin_us)


def _energy_wh(power_w: F64, cadence_us: int) -> F64:
    """Energy at the start of each interval and, last, at the end, `[n + 1]`."""
    return np.concatenate([[0.0], np.cumsum(power_w)]) * (cadence_us / _US_PER_H)


def _whole(span_us: int) -> int:
    """The longest stretch of whole weeks, else days, else all of it."""
    for unit_us in (7 * _DAY_US, _DAY_US):
        if span_us >= unit_us:
            return span_us - span_us % unit_us
    return span_us
