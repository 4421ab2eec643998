import asyncio
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge import clock, kernel_clock
from firmware_bridge.clock import HOLD_S_MAX, SIGNED_LATE_US_MAX, ScaledClock, SystemClock, open_clock
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs

START_US = UtcUs(1_700_000_000 * US_PER_S)
MINUTE_US = 60 * US_PER_S
# A simulated minute takes 10 ms, a whole number of nanoseconds.
RATE = 6000.0


class Machine:
    """The machine's monotonic clock, moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 12_345_678_901
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now_ns)

    def pass_s(self, duration_s: float) -> None:
        self.now_ns += round(duration_s * 1e9)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return tmp_path / "clock.origin"


def a_clock(origin: Path, rate: float = RATE) -> ScaledClock:
    return ScaledClock.create(origin, start_us=START_US, rate=rate)


def test_simulated_time_runs_at_its_rate_from_its_start(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    assert scaled.utc_us() == START_US
    machine.pass_s(0.5)
    assert scaled.utc_us() == START_US + 3000 * US_PER_S
    assert scaled.rate == RATE


def test_deadlines_stay_real(origin: Path):
    before_s = SystemClock().monotonic_s()
    assert before_s <= a_clock(origin).monotonic_s() <= SystemClock().monotonic_s()


def test_a_held_time_stays_below_the_instant_until_the_next_hold(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    scaled.hold_before(UtcUs(START_US + MINUTE_US))
    machine.pass_s(0.1)
    assert scaled.utc_us() == START_US + MINUTE_US - 1
    machine.pass_s(0.1)
    scaled.hold_before(UtcUs(START_US + 2 * MINUTE_US))
    assert scaled.utc_us() == START_US + MINUTE_US - 1
    machine.pass_s(60 / RATE)
    assert scaled.utc_us() == START_US + 2 * MINUTE_US - 1


def test_time_below_the_hold_runs_freely(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    scaled.hold_before(UtcUs(START_US + MINUTE_US))
    machine.pass_s(30 / RATE)
    assert scaled.utc_us() == START_US + 30 * US_PER_S


def test_a_forgotten_hold_ends_after_half_a_second_and_no_instant_is_skipped(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    scaled.hold_before(UtcUs(START_US + MINUTE_US))
    machine.pass_s(60 / RATE + HOLD_S_MAX)
    assert scaled.utc_us() == START_US + MINUTE_US
    machine.pass_s(1)
    assert scaled.utc_us() == START_US + MINUTE_US + round(RATE * US_PER_S)


def test_a_hold_far_ahead_stops_the_time_when_it_is_reached_and_makes_no_leap(machine: Machine, origin: Path):
    # One poll in 15 minutes at 60 times: the hold lies 15 real seconds ahead.
    scaled = a_clock(origin, rate=60)
    end_us = START_US + 15 * MINUTE_US
    scaled.hold_before(UtcUs(end_us))
    machine.pass_s(14.9)
    assert scaled.utc_us() == end_us - 6 * US_PER_S
    machine.pass_s(0.1 + 0.9 * HOLD_S_MAX)
    assert scaled.utc_us() == end_us - 1
    machine.pass_s(0.1 * HOLD_S_MAX)
    assert scaled.utc_us() == end_us


def test_a_hold_in_the_past_stops_the_time_where_it_is(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    machine.pass_s(1)
    now_us = scaled.utc_us()
    scaled.hold_before(START_US)
    machine.pass_s(0.9 * HOLD_S_MAX)
    assert scaled.utc_us() == now_us


STEPS = st.lists(
    st.tuples(st.floats(0, 2), st.none() | st.integers(-MINUTE_US, 1000 * MINUTE_US)), min_size=1, max_size=30
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from([0.5, 1.0, 60.0, RATE]))
def test_time_never_runs_backwards_nor_faster_than_its_rate(
    machine: Machine, origin: Path, steps: list[tuple[float, int | None]], rate: float
):
    scaled, reader = a_clock(origin, rate), ScaledClock(origin)
    for pause_s, hold_us in steps:
        before_us, before_ns = scaled.utc_us(), machine.now_ns
        if hold_us is not None:
            scaled.hold_before(UtcUs(before_us + hold_us))
        machine.pass_s(pause_s)
        passed_us = scaled.utc_us() - before_us
        assert 0 <= passed_us <= (machine.now_ns - before_ns) * rate / 1000 + 1
        assert reader.utc_us() == scaled.utc_us()


def test_a_gateway_that_was_killed_resumes_in_the_right_instant(machine: Machine, origin: Path):
    first = a_clock(origin)
    first.hold_before(UtcUs(START_US + MINUTE_US))
    machine.pass_s(60 / RATE)
    del first
    machine.pass_s(HOLD_S_MAX + 1)
    assert ScaledClock(origin).utc_us() == START_US + MINUTE_US + round(RATE * US_PER_S)


@pytest.mark.slow
def test_another_process_sees_the_same_instant(origin: Path):
    scaled = a_clock(origin, rate=1.0)
    program = "import sys; from pathlib import Path; from firmware_bridge.clock import open_clock"
    program += "; print(open_clock(Path(sys.argv[1])).utc_us())"
    before_us = scaled.utc_us()
    run = subprocess.run([sys.executable, "-c", program, str(origin)], capture_output=True, text=True, check=True)
    assert before_us <= int(run.stdout) <= scaled.utc_us()


def test_a_writer_killed_before_it_counts_leaves_the_former_time(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    scaled.hold_before(UtcUs(START_US + MINUTE_US))
    machine.pass_s(0.001)
    before_us = scaled.utc_us()
    kept = origin.read_bytes()
    count = struct.unpack_from("<Q", kept, clock._COUNT_AT)[0]
    idle_at = clock._slot_at(count + 1)
    # Whatever part of the other slot was written, the count says that it is not valid.
    for written in range(clock._SLOT.size + 1):
        torn = bytearray(kept)
        torn[idle_at : idle_at + written] = b"\xff" * written
        origin.write_bytes(torn)
        assert ScaledClock(origin).utc_us() == before_us


def test_the_count_lies_on_eight_bytes_that_are_written_at_once():
    assert clock._COUNT_AT % 8 == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be opened (No such file or directory); start the simulator first"),
        (b"", "is not a clock origin; remove it and start anew"),
        (b"SWCLOCK1", "is not a clock origin"),
        (bytes(clock._FILE_BYTES), "is not a clock origin"),
        (bytes(clock._FILE_BYTES + 1), "is not a clock origin"),
        (
            b"SWCLOCK1" + b"another-boot".ljust(clock._FILE_BYTES - 8, b"\0"),
            "is from before the last boot; remove it",
        ),
    ],
)
def test_a_bad_origin_is_named_with_the_next_step(origin: Path, content: bytes | None, problem: str):
    if content is not None:
        origin.write_bytes(content)
    with pytest.raises(SettingError) as caught:
        open_clock(origin)
    assert str(caught.value).startswith(f"clock.origin = {origin}: {problem}")


def test_a_folder_is_no_origin(tmp_path: Path):
    with pytest.raises(SettingError, match="cannot be opened"):
        open_clock(tmp_path)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_an_origin_whose_rate_was_damaged_is_none(origin: Path, rate: float):
    a_clock(origin)
    data = origin.read_bytes()
    origin.write_bytes(data.replace(struct.pack("<d", RATE), struct.pack("<d", rate)))
    with pytest.raises(SettingError, match="is not a clock origin"):
        ScaledClock(origin)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_rate_is_a_number_above_0(origin: Path, rate: float):
    with pytest.raises(SettingError, match="is not above 0"):
        a_clock(origin, rate)
    assert not origin.exists()


def test_a_new_origin_replaces_the_old_one_whole(machine: Machine, origin: Path):
    old = a_clock(origin)
    a_clock(origin, rate=1.0)
    assert [file.name for file in origin.parent.iterdir()] == [origin.name]
    assert ScaledClock(origin).rate == 1.0
    assert old.rate == RATE


async def test_sleeping_ends_at_the_simulated_instant(origin: Path):
    scaled = a_clock(origin)
    before_us = scaled.utc_us()
    await scaled.sleep_for(60)
    assert scaled.utc_us() >= before_us + MINUTE_US
    await scaled.sleep_until(START_US)


async def test_who_sleeps_beyond_a_hold_wakes_when_it_is_moved(origin: Path):
    scaled = a_clock(origin)
    scaled.hold_before(UtcUs(START_US + MINUTE_US))
    async with asyncio.TaskGroup() as group:
        group.create_task(scaled.sleep_until(UtcUs(START_US + 2 * MINUTE_US)))
        await scaled.sleep_until(UtcUs(START_US + MINUTE_US - 1))
        scaled.hold_before(UtcUs(START_US + 3 * MINUTE_US))
    assert scaled.utc_us() >= START_US + 2 * MINUTE_US


async def test_the_machines_time_cannot_be_held():
    system = open_clock(None)
    assert system.rate == 1
    now_us = system.utc_us()
    system.hold_before(now_us)
    await system.sleep_for(0.002)
    assert system.utc_us() > now_us
    await system.sleep_until(now_us)


async def test_a_rest_ends_at_a_real_instant_on_every_clock(origin: Path):
    for one in (SystemClock(), a_clock(origin)):
        at_s = MonotonicS(one.monotonic_s() + 0.01)
        await one.rest_until(at_s)
        assert one.monotonic_s() >= at_s
        await one.rest_until(MonotonicS(at_s - 10))


class Wall:
    """The machine's clocks, and what its kernel knows of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steady_ns, self.wall_ns, self.is_synchronised = 7_000_000_000, 0, False
        self.sleeps_ns: list[int] = []
        monkeypatch.setattr(time, "monotonic_ns", self._steady)
        monkeypatch.setattr(time, "time_ns", self._now)
        monkeypatch.setattr(kernel_clock, "is_synchronised", lambda: self.is_synchronised)

    def pass_s(self, duration_s: int) -> None:
        self.steady_ns += duration_s * 10**9
        self.wall_ns += duration_s * 10**9

    def set_us(self, utc_us: int) -> None:
        self.wall_ns = utc_us * 1000

    def _steady(self) -> int:
        return self.steady_ns

    def _now(self) -> int:
        if self.sleeps_ns:  # the process is put to sleep just before it reads
            slept_ns = self.sleeps_ns.pop()
            self.steady_ns += slept_ns
            self.wall_ns += slept_ns
        return self.wall_ns


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


def test_the_machines_clock_is_trusted_once_a_time_server_stands_behind_it(wall: Wall):
    system = SystemClock()
    assert not system.is_trusted
    wall.is_synchronised = True
    assert system.is_trusted


def test_the_machines_clock_shows_what_it_is_set_to(wall: Wall):
    system = SystemClock()
    wall.set_us(START_US)
    assert system.utc_us() == START_US
    assert system.utc_us() == system.steady_us() + system.ahead_us()


def test_a_process_that_was_put_to_sleep_between_two_clocks_looks_again(wall: Wall):
    system, hour_us = SystemClock(), 3600 * US_PER_S
    wall.set_us(START_US)
    ahead_us = system.ahead_us()
    wall.sleeps_ns = [hour_us * 1000]
    assert system.ahead_us() == ahead_us


def test_a_machine_that_knows_no_time_takes_the_clouds_and_keeps_it(wall: Wall):
    system = SystemClock()
    system.trust(START_US)
    assert system.is_trusted
    wall.pass_s(100)
    assert system.utc_us() == START_US + 100 * US_PER_S
    wall.set_us(5)  # whoever does that knows less
    assert system.utc_us() == START_US + 100 * US_PER_S


def test_replies_that_are_late_do_not_shake_the_clock(wall: Wall):
    system = SystemClock()
    system.trust(START_US)
    wall.pass_s(60)
    system.trust(UtcUs(START_US + 50 * US_PER_S))
    assert system.utc_us() == START_US + 60 * US_PER_S
    far_us = UtcUs(START_US + 60 * US_PER_S + 2 * SIGNED_LATE_US_MAX)
    system.trust(far_us)
    assert system.utc_us() == far_us


def test_a_time_server_is_finer_than_the_cloud_and_overruled_only_where_it_is_far_off(wall: Wall):
    system = SystemClock()
    wall.is_synchronised = True
    wall.set_us(START_US)
    system.trust(UtcUs(START_US - SIGNED_LATE_US_MAX))
    assert system.utc_us() == START_US
    system.trust(UtcUs(START_US + 10 * SIGNED_LATE_US_MAX))
    assert system.utc_us() == START_US + 10 * SIGNED_LATE_US_MAX
    wall.set_us(START_US + 11 * SIGNED_LATE_US_MAX)
    system.trust(UtcUs(START_US + 11 * SIGNED_LATE_US_MAX - US_PER_S))
    assert system.utc_us() == START_US + 11 * SIGNED_LATE_US_MAX, "it was put right"


def test_simulated_time_is_trusted_and_set_by_nobody(machine: Machine, origin: Path):
    scaled = a_clock(origin)
    scaled.trust(UtcUs(0))
    assert scaled.is_trusted
    assert scaled.utc_us() == scaled.steady_us() + scaled.ahead_us() == START_US
