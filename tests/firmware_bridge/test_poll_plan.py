from collections.abc import Iterator
from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import MapFile, RegisterType
from firmware_bridge.poll_plan import SWEEP_PERIOD_S, TCP, Block, WireCost, plan, split, without_holes
from firmware_bridge.profile import Profile, Register

BASE = load_profile("eastron_sdm630")
SLOW_S = 10.0
REGISTERS_MAX = 7
# Seconds are rounded in the last places.
JUST = 1 + 1e-9

WIRES = st.sampled_from(
    [
        TCP,
        WireCost.of_serial(10 / 115200),
        WireCost.of_serial(10 / 9600),
        WireCost.of_serial(11 / 1200),
        WireCost(request_s=1, register_s=1),
        WireCost(request_s=1, register_s=5),
    ]
)


def a_register(address: int, kind: RegisterType = RegisterType.U16, **rest) -> Register:
    return msgspec.structs.replace(BASE.registers[0], address=address, type=kind, **rest)


def a_profile(*registers: Register, **limits) -> Profile:
    return Profile("drawn", msgspec.structs.replace(BASE.file, **({"even": False} | limits)), registers)


def reach(file: MapFile, registers: list[Register]) -> tuple[int, int]:
    """First address and the one after the last of the request that these registers need."""
    start, end = min(one.start for one in registers), max(one.end for one in registers)
    return (start - start % 2, end + end % 2) if file.even else (start, end)


def is_allowed(file: MapFile, start: int, end: int) -> bool:
    addresses = set(range(start, end))
    return (
        len(addresses) <= file.max_read
        and not any(first <= address <= last for first, last in file.forbidden for address in addresses)
        and not any({border - 1, border} <= addresses for border in file.never_across)
    )


@st.composite
def profiles(draw, slow: float = 0.0, registers_max: int = REGISTERS_MAX) -> Profile:
    """Registers anywhere, also of several parts and over one another, as the device's drawn limits allow."""
    file = msgspec.structs.replace(
        BASE.file,
        max_read=draw(st.integers(4, 20)),
        even=draw(st.booleans()),
        forbidden=draw(st.lists(st.integers(0, 30).map(lambda first: (first, first + 1)), max_size=1)),
        never_across=draw(st.lists(st.integers(1, 30), max_size=1)),
    )
    near = st.lists(st.integers(-4, 6), max_size=1)
    one = st.builds(
        lambda address, kind, function, plus, minus, scale, period_s: a_register(
            address,
            kind,
            function=function,
            plus=tuple(max(0, address + far) for far in plus),
            minus=tuple(max(0, address + far) for far in minus),
            scale_address=next((max(0, address + far) for far in scale), None),
            period_s=period_s,
        ),
        st.integers(0, 30),
        st.sampled_from(RegisterType),
        st.sampled_from([4, 4, 4, 3]),
        *[st.just([]) | near] * 3,
        st.sampled_from([0.0, slow]),
    )
    registers = draw(st.lists(one, max_size=registers_max))
    readable = [register for register in registers if is_allowed(file, *reach(file, [register]))]
    return Profile("drawn", file, tuple(readable))


def partitions(registers: list[Register]) -> Iterator[list[list[Register]]]:
    """All ways to put registers into groups."""
    if not registers:
        yield []
        return
    for groups in partitions(registers[1:]):
        yield [[registers[0]], *groups]
        for place, group in enumerate(groups):
            yield [*groups[:place], [registers[0], *group], *groups[place + 1 :]]


def seconds_per_second(file: MapFile, wire: WireCost, groups: list[list[Register]]) -> float:
    """What these requests take of the wire; infinite where one is not allowed."""
    total = 0.0
    for group in groups:
        start, end = reach(file, group)
        if len({one.function for one in group}) > 1 or not is_allowed(file, start, end):
            return inf
        period_s = max(SWEEP_PERIOD_S, min(one.period_s for one in group))
        total += (wire.request_s + wire.register_s * (end - start)) / period_s
    return total


def cost_and_least(profile: Profile, wire: WireCost) -> tuple[float, float]:
    """What our plan takes of the wire, and the cheapest of all there are."""
    ours = [list(block.registers) for block in plan(profile, wire)]
    least = min(seconds_per_second(profile.file, wire, groups) for groups in partitions(list(profile.registers)))
    return seconds_per_second(profile.file, wire, ours), least


def shown(blocks: list[Block]) -> list[tuple[int, int, int, float]]:
    return [(block.address, block.count, len(block.registers), block.period_s) for block in blocks]


@given(profiles(slow=SLOW_S, registers_max=20), WIRES)
def test_every_register_is_read_once_and_whole_within_the_limits(profile: Profile, wire: WireCost):
    blocks = plan(profile, wire)
    read = [register for block in blocks for register in block.registers]
    assert sorted(map(repr, read)) == sorted(map(repr, profile.registers))
    for block in blocks:
        assert {register.function for register in block.registers} == {block.function}
        assert (block.address, block.address + block.count) == reach(profile.file, list(block.registers))
        assert is_allowed(profile.file, block.address, block.address + block.count)


@given(profiles(slow=SLOW_S, registers_max=20), WIRES)
def test_every_register_is_read_as_often_as_it_wants_and_no_block_more_often_than_one_of_its_registers(
    profile: Profile, wire: WireCost
):
    for block in plan(profile, wire):
        assert block.period_s == min(register.period_s for register in block.registers)


@settings(max_examples=200, deadline=None)
@given(profiles(), WIRES)
def test_no_plan_is_cheaper_for_registers_of_one_pace(profile: Profile, wire: WireCost):
    ours, least = cost_and_least(profile, wire)
    assert ours <= least * JUST


@settings(max_examples=200, deadline=None)
@given(profiles(slow=SLOW_S), WIRES)
def test_no_plan_is_cheaper_by_more_than_the_ratio_of_the_paces(profile: Profile, wire: WireCost):
    ours, least = cost_and_least(profile, wire)
    assert ours <= least * (1 + SWEEP_PERIOD_S / SLOW_S) * JUST


@given(profiles(registers_max=20))
def test_where_registers_cost_next_to_nothing_there_are_never_more_requests_than_greed_would_make(profile: Profile):
    requests = 0
    for function in (3, 4):
        group: list[Register] = []
        for register in sorted(profile.registers, key=lambda one: (one.start, one.end)):
            if register.function == function:
                if not group or not is_allowed(profile.file, *reach(profile.file, [*group, register])):
                    group = []
                    requests += 1
                group.append(register)
    assert len(plan(profile, TCP)) <= requests


@given(profiles(slow=SLOW_S, registers_max=20), WIRES, st.randoms())
def test_the_plan_does_not_depend_on_the_order_in_the_file(profile: Profile, wire: WireCost, random):
    measurands = [register.measurand for register in load_profile("eastron_sdm630").registers]
    registers = [
        msgspec.structs.replace(one, measurand=measurand)
        for one, measurand in zip(profile.registers, measurands, strict=False)
    ]
    shuffled = random.sample(registers, len(registers))
    assert plan(a_profile(*registers), wire) == plan(a_profile(*shuffled), wire)


@pytest.mark.parametrize(("hole", "requests"), [(0, 1), (20, 1), (21, 2), (60, 2)])
def test_a_hole_is_read_through_when_that_is_cheaper_than_another_request(hole: int, requests: int):
    wire = WireCost(request_s=0.0205, register_s=0.001)
    assert len(plan(a_profile(a_register(0), a_register(1 + hole)), wire)) == requests


def test_a_device_that_needs_rest_between_requests_is_read_through_longer_holes():
    pair = (a_register(0), a_register(61))
    wire = WireCost.of_serial(10 / 9600)
    assert len(plan(a_profile(*pair), wire)) == 2
    assert len(plan(a_profile(*pair, pause_s=0.1), wire)) == 1


def test_a_slow_register_rides_where_that_is_cheaper_per_second():
    fast, near, far = a_register(0), a_register(2, period_s=SLOW_S), a_register(50, period_s=SLOW_S)
    wire = WireCost(request_s=0.05, register_s=0.002)
    assert shown(plan(a_profile(fast, near, far), wire)) == [(0, 3, 2, 0.0), (50, 1, 1, SLOW_S)]
    assert shown(plan(a_profile(fast, near, far), TCP)) == [(0, 51, 3, 0.0)]
    # where sweeps are slower still, there is only one pace
    assert shown(plan(a_profile(fast, near, far), wire, sweep_period_s=60)) == [(0, 3, 2, 0.0), (50, 1, 1, 0.0)]


def test_a_slow_block_reaches_across_a_fast_one():
    slow = [a_register(place, period_s=SLOW_S) for place in (0, 20)]
    blocks = plan(a_profile(a_register(10), *slow), WireCost(request_s=1, register_s=0.05))
    assert shown(blocks) == [(10, 1, 1, 0.0), (0, 21, 2, SLOW_S)]


def test_three_phases_of_a_meter_take_one_request_and_a_far_counter_one_now_and_then():
    assert shown(plan(load_profile("eastron_sdm630"))) == [(0x0000, 0x4C, 16, 0.0), (0x0156, 2, 1, SLOW_S)]


def test_a_line_of_9600_baud_costs_what_its_characters_take():
    wire = WireCost.of_serial(11 / 9600)
    assert wire.register_s == pytest.approx(2 * 11 / 9600)
    assert wire.request_s == pytest.approx(13 * 11 / 9600 + 2 * 3.5 * 11 / 9600 + 0.02)
    # above 19200 baud, the silence is 1.75 ms
    assert WireCost.of_serial(1e-6).request_s == pytest.approx(13e-6 + 0.0035 + 0.02)


@pytest.mark.parametrize("name", [name for name in profile_names() if load_profile(name).registers])
def test_a_known_meter_takes_two_requests_in_each_sweep_unless_it_allows_only_short_ones(name: str):
    profile = load_profile(name)
    fast = [block for block in plan(profile) if not block.period_s]
    assert len(fast) <= (2 if profile.file.max_read >= 50 else 5)


@given(profiles(slow=SLOW_S, registers_max=12), WIRES)
def test_a_block_is_split_between_registers_down_to_single_ones(profile: Profile, wire: WireCost):
    for block in plan(profile, wire):
        parts, whole = [block], []
        while parts:
            part = parts.pop()
            halves = split(part)
            assert (halves is None) == (len(part.registers) == 1)
            if halves is None:
                whole.append(part)
                continue
            for half in halves:
                assert (half.address, half.address + half.count) == reach(profile.file, list(half.registers))
                assert is_allowed(profile.file, half.address, half.address + half.count)
                assert (half.function, half.period_s, half.even) == (block.function, block.period_s, block.even)
                assert len(half.registers) < len(part.registers)
            parts += halves
        assert sorted(repr(part.registers[0]) for part in whole) == sorted(map(repr, block.registers))


def test_a_block_is_halved_and_a_hole_in_the_middle_is_left_out():
    row = [a_register(place) for place in (0, 1, 2, 3, 90, 91)]
    (block,) = plan(a_profile(*row, max_read=125))
    halves = split(block)
    assert halves is not None
    assert shown(list(halves)) == [(0, 4, 4, 0.0), (90, 2, 2, 0.0)]
    again = split(halves[0])
    assert again is not None
    assert shown(list(again)) == [(0, 2, 2, 0.0), (2, 2, 2, 0.0)]


@given(profiles(registers_max=12))
def test_blocks_without_holes_read_nothing_but_what_their_registers_span(profile: Profile):
    for block in plan(profile):
        parts = without_holes(block)
        assert sorted(repr(one) for part in parts for one in part.registers) == sorted(map(repr, block.registers))
        for part in parts:
            wanted = {address for one in part.registers for address in range(one.start, one.end)}
            padding = set(range(part.address, part.address + part.count)) - wanted
            assert len(padding) <= (2 if block.even else 0)
            assert is_allowed(profile.file, part.address, part.address + part.count)


def test_even_devices_are_asked_for_even_blocks_also_in_parts():
    (block,) = plan(a_profile(a_register(1), a_register(4), even=True))
    assert (block.address, block.count) == (0, 6)
    halves = split(block)
    assert halves is not None
    assert [(half.address, half.count) for half in halves] == [(0, 2), (4, 2)]
    assert [(part.address, part.count) for part in without_holes(block)] == [(0, 2), (4, 2)]
