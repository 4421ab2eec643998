from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.bridge import Bridge
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.counter import CounterState, Level
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Series, UtcUs
from gateway.shell.counter_file import (
    FILE_BYTES_MAX,
    FILE_NAME,
    PERIOD_S,
    CounterFile,
    decode_counters,
    encode_counters,
    read_counters,
)
from tests.sim.clock import START_US, SimClock

COUNTING = [measurand for measurand in Measurand if measurand.facts.is_counter]
ENERGY = Series(MeterId("grid"), Measurand.ENERGY_IMPORT_WH)
STATE = CounterState(Level(5_000.0, START_US, START_US, "4711"), None, None, "4711", 1_000_000)

instants = st.integers(0, 2**53).map(UtcUs)
levels = st.builds(Level, st.floats(allow_nan=False, allow_infinity=False), instants, instants, st.none() | st.text())
states = st.builds(CounterState, st.none() | levels, st.none() | levels, st.none() | instants, st.none() | st.text())
series = st.builds(Series, st.text(min_size=1).map(MeterId), st.sampled_from(COUNTING))


def a_bridge(counters: dict[Series, CounterState] | None = None) -> Bridge:
    meter = MeterConfig("grid", "mains", 1, "eastron_sdm630", "grid")
    return Bridge([BusConfig("mains", "tcp://127.0.0.1:1")], [meter], SimClock(), counters=counters)


@given(st.dictionaries(series, states, max_size=4))
def test_what_counters_remember_comes_back_as_it_was(kept: dict[Series, CounterState]):
    assert decode_counters(encode_counters(kept)) == kept


async def test_a_bridge_goes_on_where_the_last_one_stopped(tmp_path: Path):
    await CounterFile(tmp_path, a_bridge({ENERGY: STATE}), SimClock()).keep()
    assert a_bridge(read_counters(tmp_path)).counters[ENERGY] == STATE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        encode_counters({ENERGY: STATE})[:-1],
        encode_counters({ENERGY: CounterState(Level(float("nan"), START_US, START_US, None))}),
        encode_counters({ENERGY: CounterState(None, Level(float("inf"), START_US, START_US, None))}),
        b"\x91" * FILE_BYTES_MAX,
        encode_counters({ENERGY: STATE}) + bytes(FILE_BYTES_MAX),
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, data: bytes):
    (tmp_path / FILE_NAME).write_bytes(data)
    assert read_counters(tmp_path) == {}


def test_no_file_and_one_that_cannot_be_read_are_no_trouble(tmp_path: Path):
    assert read_counters(tmp_path) == {}
    (tmp_path / FILE_NAME).mkdir()
    assert read_counters(tmp_path) == {}


def test_what_is_no_counter_here_is_left_out():
    power = Series(MeterId("grid"), Measurand.ACTIVE_POWER_W)
    assert decode_counters(encode_counters({power: STATE, ENERGY: STATE})) == {ENERGY: STATE}


async def test_what_has_not_changed_is_not_written_again(tmp_path: Path):
    keeper = CounterFile(tmp_path, a_bridge({ENERGY: STATE}), SimClock())
    await keeper.keep()
    (tmp_path / FILE_NAME).unlink()
    await keeper.keep()
    assert not (tmp_path / FILE_NAME).exists()


async def test_a_disk_that_refuses_is_no_reason_not_to_stop(tmp_path: Path):
    keeper = CounterFile(tmp_path / "gone", a_bridge({ENERGY: STATE}), SimClock())
    with pytest.raises(FileNotFoundError):
        await keeper.keep()
    await keeper.finish()


async def test_it_is_written_once_in_a_while(tmp_path: Path):
    class EndError(Exception):
        pass

    class BrokenBridge(Bridge):
        asked = 0

        @property
        def counters(self) -> dict[Series, CounterState]:
            self.asked += 1
            if self.asked == 4:
                raise EndError
            return {}

    clock = SimClock()
    bridge = BrokenBridge([BusConfig("mains", "tcp://127.0.0.1:1")], [], clock)
    with pytest.raises(EndError):
        await CounterFile(tmp_path, bridge, clock).keep_for_ever()
    assert clock.utc_us() == START_US + 4 * PERIOD_S * 1_000_000
