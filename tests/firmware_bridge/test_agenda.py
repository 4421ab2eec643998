"""What is asked of one device, sweep by sweep."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.agenda import (
    REFUSALS_MAX,
    REFUSED_REST_FIRST_S,
    REFUSED_REST_LAST_S,
    SERIAL_PERIOD_S,
    WALK_PERIOD_S,
    Agenda,
)
from firmware_bridge.catalog import load_profile
from firmware_bridge.poll_plan import TCP, Block, WireCost
from firmware_bridge.read_limits import unreadable
from firmware_bridge.reading import US_PER_S, UtcUs

START_S = 1_700_000_000
COST = WireCost(request_s=0.02, register_s=0.002)
# What a device does with a block: the words that come, a refusal, or silence.
Device = Callable[[Block], list[int] | str]

REFUSED, SILENT = "refused", "silent"


def well(block: Block) -> list[int]:
    return [0] * block.count


def refusing(address: int) -> Device:
    """A firmware that does not have one register."""
    return lambda block: REFUSED if address in span(block) else well(block)


def span(block: Block) -> range:
    return range(block.address, block.address + block.count)


def sweep(agenda: Agenda, at_s: float, device: Device = well) -> list[Block]:
    """One sweep at a time after the start; the blocks that were asked for."""
    agenda.begin(UtcUs(round((START_S + at_s) * US_PER_S)))
    asked = []
    while (block := agenda.next()) is not None:
        asked.append(block)
        assert len(asked) <= 1000, "a sweep ends"
        answer = device(block)
        if answer == REFUSED:
            agenda.refused()
        elif answer == SILENT:
            agenda.failed()
        else:
            agenda.took(list(answer))
    return asked


def times(agenda: Agenda, is_wanted: Callable[[Block], bool], until_s: int, device: Device = well) -> list[int]:
    """The seconds in which such a block was asked for."""
    return [at_s for at_s in range(until_s) if any(map(is_wanted, sweep(agenda, at_s, device)))]


def an_agenda(profile: str = "abb_b23", phase: float = 0.0, cost: WireCost = COST) -> Agenda:
    return Agenda(load_profile(profile), cost, phase)


# --- when ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "expected"), [(0.0, [0, 10, 20, 30]), (0.5, [0, 15, 25, 35]), (0.9, [0, 19, 29, 39])]
)
def test_slow_blocks_are_read_at_once_and_then_in_their_time_each_device_in_its_own_phase(
    phase: float, expected: list[int]
):
    agenda = an_agenda(phase=phase)
    slow, fast = agenda.blocks[-1], agenda.blocks[0]
    assert (slow.period_s, fast.period_s) == (10.0, 0.0)
    assert times(agenda, lambda block: block.address == slow.address, 40) == expected
    assert times(an_agenda(phase=phase), lambda block: block.address == fast.address, 20) == list(range(20))


def test_a_block_that_failed_is_asked_again_in_the_next_sweep_before_the_others():
    agenda = an_agenda()
    first, *_, slow = agenda.blocks
    sweep(agenda, 0)
    sweep(agenda, 1, lambda block: SILENT if block.address == first.address else well(block))
    assert sweep(agenda, 2)[0] == first
    asked = sweep(agenda, 10, lambda block: SILENT if block.address == slow.address else well(block))
    assert [block.address for block in asked].count(slow.address) == 1
    assert slow in sweep(agenda, 11)
    assert slow not in sweep(agenda, 12)


def test_a_clock_that_is_set_back_makes_everything_due():
    agenda = an_agenda()
    sweep(agenda, 0)
    assert {block.address for block in agenda.blocks} <= {block.address for block in sweep(agenda, -7200)}
    assert times(agenda, lambda block: block.period_s > 0, 1) == [0]


def test_a_device_that_wants_to_be_left_alone_is_asked_for_one_block_in_each_of_its_pauses():
    agenda = an_agenda("growatt_hybrid_sph")
    pause_s = load_profile("growatt_hybrid_sph").file.pause_s
    round_s = pause_s * len(agenda.blocks)
    assert round_s > 1
    for block in agenda.blocks:
        seconds = times(an_agenda("growatt_hybrid_sph"), lambda one, block=block: one == block, 60)
        assert all(later - earlier >= round_s for earlier, later in pairwise(seconds))


# --- refusals --------------------------------------------------------------------------------------


def test_a_refused_block_is_halved_until_the_register_that_is_not_there_is_alone_and_the_rest_is_read():
    agenda = an_agenda("carlo_gavazzi_em340")
    for at_s in range(40):
        sweep(agenda, at_s, refusing(0x33))
    alone = [block for block in agenda.blocks if 0x33 in span(block)]
    assert [len(block.registers) for block in alone] == [1]
    profile = load_profile("carlo_gavazzi_em340")
    assert {one for block in agenda.blocks for one in block.registers} == set(profile.registers)
    assert all(0x33 not in span(block) for block in sweep(agenda, 41, refusing(0x33)))


def test_one_refusal_may_be_an_accident():
    agenda = an_agenda()
    planned = agenda.blocks
    for at_s in range(0, 4, 2):
        sweep(agenda, at_s, lambda _: REFUSED)
        assert agenda.blocks == planned or at_s
        sweep(agenda, at_s + 1)
    assert REFUSALS_MAX == 2


def test_what_is_refused_rests_twice_as_long_each_time_and_comes_back_when_it_is_answered():
    agenda = an_agenda("eastron_sdm120")
    place = agenda.blocks[0].registers[0].start
    asked = times(agenda, lambda block: place in span(block), 12_000, refusing(place))
    rests = [later - earlier for earlier, later in pairwise(asked) if later - earlier > 2]
    doublings = [REFUSED_REST_FIRST_S * 2**number for number in range(len(rests))]
    assert rests == [pytest.approx(min(rest, REFUSED_REST_LAST_S), abs=2) for rest in doublings]
    assert len(rests) >= 7
    for at_s in range(12_000, 16_000):
        sweep(agenda, at_s)
    assert agenda.blocks == an_agenda("eastron_sdm120").blocks


# --- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["eastron_sdm630", "carlo_gavazzi_em340", "abb_b23", "schneider_iem3155"])
def test_a_block_is_asked_in_parts_that_tear_no_value_and_have_other_lengths(profile: str):
    agenda = an_agenda(profile)
    agenda.begin(UtcUs(START_S * US_PER_S))
    whole = agenda.next()
    assert whole is not None
    assert agenda.avoid({whole.count})
    parts = []
    while (part := agenda.next()) is not None and part.address in span(whole):
        parts.append(part)
        agenda.took(well(part))
    assert whole.count not in {part.count for part in parts}
    assert [one for part in parts for one in part.registers] == list(whole.registers)
    assert all(
        span(part).start <= one.start and one.end <= span(part).stop for part in parts for one in part.registers
    )
    assert not any(unreadable(load_profile(profile).file, *_ends(part)) for part in parts)


def _ends(block: Block) -> tuple[int, int]:
    return block.address, block.address + block.count


def test_what_cannot_be_asked_otherwise_is_left_as_it_is():
    agenda = an_agenda()
    agenda.begin(UtcUs(START_S * US_PER_S))
    block = agenda.next()
    assert not agenda.avoid(range(1, 126))
    assert agenda.next() == block
    assert not an_agenda("sunspec_meter").avoid({2}), "a walk has one length"


def test_a_part_that_is_refused_counts_though_another_is_answered():
    agenda = an_agenda()
    whole = agenda.blocks[0]
    for at_s in range(REFUSALS_MAX):
        agenda.begin(UtcUs((START_S + at_s) * US_PER_S))
        assert agenda.next() == whole
        assert agenda.avoid({whole.count})
        agenda.refused()
        while (part := agenda.next()) is not None:
            agenda.took(well(part))
    assert whole not in agenda.blocks


def test_a_slow_block_of_which_a_part_failed_is_not_done():
    agenda = an_agenda()
    slow = agenda.blocks[-1]
    agenda.begin(UtcUs(START_S * US_PER_S))
    while (block := agenda.next()) != slow:
        assert block is not None
        agenda.took(well(block))
    assert agenda.avoid({slow.count})
    agenda.failed()
    part = agenda.next()
    assert part is not None
    assert part.address in span(slow)
    agenda.took(well(part))
    assert slow in sweep(agenda, 1)
    assert slow not in sweep(agenda, 2)


def test_a_slow_block_of_which_only_a_part_could_be_asked_is_not_done():
    agenda = an_agenda()
    slow = agenda.blocks[-1]
    agenda.begin(UtcUs(START_S * US_PER_S))
    while (block := agenda.next()) != slow:
        assert block is not None
        agenda.took(well(block))
    cut = slow.registers[0].end - slow.address
    assert agenda.avoid(set(range(1, 126)) - {cut})
    part = agenda.next()
    assert part is not None
    assert part.count == cut
    agenda.took(well(part))
    assert slow in sweep(agenda, 1)


# --- SunSpec ---------------------------------------------------------------------------------------

SUNS = (0x5375, 0x6E53)


def chain(base: int, *models: tuple[int, int]) -> dict[int, int]:
    words = [*SUNS]
    for model, length in models:
        words += [model, length, *[0] * length]
    return dict(enumerate([*words, 0xFFFF, 0], base))


def having(registers: dict[int, int]) -> Device:
    return lambda block: (
        [registers[at] for at in span(block)] if all(at in registers for at in span(block)) else REFUSED
    )


COMMON, METER = (1, 66), (203, 105)


def test_a_sunspec_device_is_walked_through_and_read_in_the_same_sweep():
    agenda = an_agenda("sunspec_meter")
    assert agenda.blocks == []
    asked = sweep(agenda, 0, having(chain(40_000, COMMON, METER)))
    assert [block.count for block in asked[:3]] == [2, 2, 2]
    base = 40_000 + 2 + 68
    assert agenda.blocks
    assert all(base <= block.address < base + 107 for block in agenda.blocks)
    assert {block.address for block in agenda.blocks} <= {block.address for block in asked[3:]}
    assert all(block.count > 2 for block in sweep(agenda, 1, having(chain(40_000, COMMON, METER))))


def test_a_device_without_the_model_is_walked_through_anew_once_a_minute():
    agenda = an_agenda("sunspec_meter")
    walks = times(agenda, lambda block: block.address == 40_000, 150, having(chain(40_000, COMMON)))
    assert walks == [0, WALK_PERIOD_S, 2 * WALK_PERIOD_S]
    sweep(agenda, 200, having(chain(40_000, COMMON, METER)))
    assert agenda.blocks


def test_a_step_of_a_walk_that_fails_is_taken_in_the_next_sweep():
    agenda = an_agenda("sunspec_meter")
    device = having(chain(40_000, COMMON, METER))
    (first,) = sweep(agenda, 0, lambda _: SILENT)
    assert sweep(agenda, 1, device)[0] == first
    assert agenda.blocks


def test_a_device_that_may_be_another_one_is_walked_through_again():
    agenda = an_agenda("sunspec_meter")
    sweep(agenda, 0, having(chain(40_000, COMMON, METER)))
    before = agenda.blocks
    agenda.doubt()
    sweep(agenda, 1, having(chain(40_000, COMMON, (11, 13), METER)))
    assert [block.address for block in agenda.blocks] == [block.address + 15 for block in before]
    plain = an_agenda()
    plain.doubt()
    assert plain.next() is None, "nothing to walk through"


# --- serial number -----------------------------------------------------------------------------------

SERIAL = "eastron_sdm630"


def is_serial(block: Block) -> bool:
    return not block.registers


def test_the_serial_number_is_read_at_the_first_contact_once_an_hour_and_after_a_silence():
    agenda = an_agenda(SERIAL)
    told = []

    def device(block: Block) -> list[int]:
        if is_serial(block):
            told.append(block)
            return [0x0102, 0x0304][: block.count]
        return well(block)

    asked = [at_s for at_s in range(0, 8_000, 10) if any(map(is_serial, sweep(agenda, at_s, device)))]
    assert asked == [0, SERIAL_PERIOD_S, 2 * SERIAL_PERIOD_S]
    assert agenda.serial_number == str(0x01020304)
    agenda.greet()
    assert any(map(is_serial, sweep(agenda, 8_000, device)))
    assert not any(map(is_serial, sweep(agenda, 8_001, device)))


def test_after_a_silence_everything_is_read_anew():
    agenda = an_agenda()
    sweep(agenda, 0)
    agenda.greet()
    assert {block.address for block in agenda.blocks} <= {block.address for block in sweep(agenda, 1)}


def test_a_serial_number_that_is_refused_is_left_alone_for_a_while():
    agenda = an_agenda(SERIAL)
    asked = times(agenda, is_serial, 60, lambda block: REFUSED if is_serial(block) else well(block))
    assert asked == [0, 1]
    assert agenda.serial_number is None


# --- whatever comes ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["eastron_sdm630", "carlo_gavazzi_em340", "sunspec_meter", "growatt_hybrid_sph"])
@settings(max_examples=30)
@given(outcomes=st.lists(st.sampled_from([well, REFUSED, SILENT, "avoid"]), max_size=60))
def test_whatever_comes_sweeps_end_and_no_register_is_lost(profile: str, outcomes: Sequence[Device | str]):
    agenda, left = an_agenda(profile, cost=TCP), list(outcomes)
    file = load_profile(profile).file

    def device(block: Block) -> list[int] | str:
        assert 1 <= block.count <= file.max_read
        while left and left[-1] == "avoid":
            left.pop()
            agenda.avoid({block.count})
            block = agenda.next() or block
        outcome = left.pop() if left else well
        return outcome if isinstance(outcome, str) else outcome(block)

    for at_s in range(20):
        sweep(agenda, at_s, device)
    if agenda.blocks:
        assert {one.measurand for block in agenda.blocks for one in block.registers} == {
            one.measurand for one in load_profile(profile).registers
        }
