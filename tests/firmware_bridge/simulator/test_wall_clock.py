"""Local wall time of many instants at once."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.wall_clock import WallClock


@given(
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]),
    st.lists(st.integers(0, 4_000_000_000), max_size=10),
)
def test_it_agrees_with_the_library_for_each_instant(name, instants):
    zone = ZoneInfo(name)
    wanted = [
        at + int(datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset().total_seconds()) for at in instants
    ]
    found = WallClock(name).local_s(np.array(instants, dtype=np.int64) * 1_000_000)
    assert found.tolist() == wanted
