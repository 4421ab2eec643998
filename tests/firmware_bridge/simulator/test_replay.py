"""A recording replayed: the right interval at each instant, and counters that never fall."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.recording import Recording
from firmware_bridge.simulator.replay import Replay, open_replay
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn

FORM = ReplayMap(
    source="test",
    cadence_s=3600,
    rated_power_w=5_000,
    time=TimeColumn(column="at", stamps="start"),
    value=ValueColumn(column="p", unit="W"),
)
H_US = 3_600_000_000
FIRST_US = UtcUs(1_767_225_600_000_000)
powers = st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=30)


def replay(power_w: list[float], begin_us: UtcUs | None = None, cadence_us: int = H_US) -> Replay:
    return Replay(Recording(FIRST_US, cadence_us, np.array(power_w)), FORM, begin_us)


def test_an_interval_is_half_open():
    one = replay([10.0, 20.0])
    assert one.power_at_w(FIRST_US) == 10
    assert one.power_at_w(FIRST_US + H_US - 1) == 10
    assert one.power_at_w(FIRST_US + H_US) == 20
    assert one.end_us == FIRST_US + 2 * H_US


def test_a_recording_can_begin_at_another_instant():
    assert replay([10.0, 20.0], UtcUs(0)).power_at_w(H_US) == 20


def test_beyond_its_end_it_repeats_whole_weeks():
    power_w = [float(hour) for hour in range(10 * 24)]
    one = replay(power_w)
    assert one.power_at_w(FIRST_US + 239 * H_US) == 239
    assert one.power_at_w(FIRST_US + 240 * H_US) == 240 - 7 * 24
    assert one.power_at_w(FIRST_US + 14 * 24 * H_US) == 0
    assert one.power_at_w(FIRST_US - H_US) == 7 * 24 - 1


def test_energy_counts_drawn_and_fed_apart():
    one = replay([1000.0, -500.0, 200.0])
    assert one.energy_at_wh(FIRST_US) == (0, 0)
    assert one.energy_at_wh(FIRST_US + H_US // 2) == (500, 0)
    assert one.energy_at_wh(FIRST_US + 2 * H_US) == (1000, 500)
    assert one.energy_at_wh(FIRST_US + 3 * H_US) == (1200, 500)
    assert one.energy_at_wh(FIRST_US + 4 * H_US) == (2200, 500)


@settings(max_examples=50)
@given(
    powers, st.lists(st.integers(-5 * H_US, 100 * H_US), min_size=2, max_size=20), st.sampled_from([H_US, 7 * H_US])
)
def test_counters_never_fall(power_w, instants, cadence_us):
    one = replay(power_w, cadence_us=cadence_us)
    seen = [one.energy_at_wh(FIRST_US + at) for at in sorted(instants)]
    for before, after in pairwise(seen):
        assert after[0] >= before[0] - 1e-6
        assert after[1] >= before[1] - 1e-6


@settings(max_examples=50)
@given(powers, st.integers(0, 29))
def test_counters_are_the_integral_of_power(power_w, hour):
    one = replay(power_w)
    at = FIRST_US + hour * H_US
    drawn, fed = (np.subtract(one.energy_at_wh(at + H_US), one.energy_at_wh(at))).tolist()
    assert abs(drawn - fed - one.power_at_w(at)) < 1e-4


def test_a_file_is_opened_with_the_map_of_its_name(tmp_path):
    (tmp_path / "x.csv").write_text("at,p\n2026-01-01,5\n2026-01-01T01:00,7\n")
    (tmp_path / "x.map.toml").write_text(
        'source = "t"\ncadence_s = 3600\nrated_power_w = 9\n'
        '[time]\ncolumn = "at"\nstamps = "start"\n[value]\ncolumn = "p"\nunit = "W"\n'
    )
    assert open_replay(tmp_path / "x.csv").power_at_w(FIRST_US + H_US) == 7
