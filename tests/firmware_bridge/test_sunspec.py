from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.map_file import SunSpecChain
from firmware_bridge.sunspec import COMMON_TEXTS, MODELS_MAX, TABLE, Event, State, Walk, draw

INVERTERS = SunSpecChain(models=[101, 102, 103])
SUNS = b"SunS"
WORD = st.integers(0, 0xFFFF)


def a_device(base: int, *models: tuple[int, int]) -> dict[int, int]:
    """Registers by address: marker, models with their lengths (their inside says 7), the end."""
    words = [int.from_bytes(SUNS[:2], "big"), int.from_bytes(SUNS[2:], "big")]
    for model, length in models:
        words += [model, length, *[7] * length]
    return dict(enumerate([*words, 0xFFFF, 0], base))


def walk_through(device: dict[int, int], chain: SunSpecChain = INVERTERS, registers: int = 2) -> tuple[Walk, int]:
    """The walk at its end, and the reads it took; the device refuses to read what it does not have."""
    walk, reads = Walk(chain, registers), 0
    while (step := walk.next) is not None:
        addresses = range(step[0], sum(step))
        reads += 1
        if all(address in device for address in addresses):
            walk.take([device[address] for address in addresses])
        else:
            walk.refuse()
    return walk, reads


@pytest.mark.parametrize("base", [40000, 50000, 0])
@pytest.mark.parametrize("common_length", [65, 66])
def test_our_model_is_found_behind_the_common_one_wherever_the_chain_begins(base: int, common_length: int):
    walk, _ = walk_through(a_device(base, (1, common_length), (103, 50), (160, 88)))
    assert (walk.state, walk.model, walk.base) == (State.FOUND, 103, base + 4 + common_length)
    assert (walk.common, walk.registers, walk.shift) == (base + 2, 52, base - 40000)


def test_the_first_base_takes_one_read_for_the_marker_and_one_for_each_model():
    assert walk_through(a_device(40000, (1, 66), (120, 26), (103, 50)))[1] == 4


def test_the_first_of_our_models_in_the_chain_is_taken():
    walk, _ = walk_through(a_device(0, (1, 66), (102, 50), (101, 50)))
    assert walk.model == 102


def test_a_model_that_is_shorter_than_our_registers_need_is_passed():
    walk, _ = walk_through(a_device(0, (1, 66), (103, 10), (101, 50)), registers=41)
    assert walk.model == 101
    assert walk_through(a_device(0, (1, 66), (103, 38)), registers=41)[0].base is None
    assert walk_through(a_device(0, (1, 66), (103, 39)), registers=41)[0].base is not None


NOT_THERE = {
    "a device that refuses everything": {},
    "no SunSpec device": dict.fromkeys(range(0x10000), 1),
    "nothing but zeros": dict.fromkeys(range(0x10000), 0),
    "a chain without our model": a_device(40000, (1, 66), (111, 60)),
    "a chain without an end": dict(list(a_device(40000, (1, 66), (111, 60)).items())[:-2]),
    "a marker at the end of the address space": a_device(0xFFFC) | dict.fromkeys(range(40000, 40002), 0x5375),
    "a model that leaves the address space": a_device(40000, (1, 66)) | {40070: 103, 40071: 0xFFFF},
    "models without length for ever": a_device(0) | dict.fromkeys(range(2, 0x10000, 2), 9),
    "an end in the first place": a_device(50000),
}


@pytest.mark.parametrize("name", NOT_THERE)
def test_not_found_in(name: str):
    device = dict.fromkeys(range(0x10000), 0) if "for ever" in name else {}
    walk, reads = walk_through(device | NOT_THERE[name])
    assert (walk.state, walk.base, walk.model, walk.next) == (State.LOST, None, None, None)
    assert reads <= len(INVERTERS.bases) * (1 + MODELS_MAX)


def test_a_chain_is_given_up_after_the_most_models_there_can_be():
    models = [(1, 66)] + [(9, 0)] * (MODELS_MAX - 2)
    assert walk_through(a_device(0, *models, (103, 50)))[0].model == 103
    assert walk_through(a_device(0, *models, (9, 0), (103, 50)))[0].model is None


def test_the_next_base_is_tried_after_a_chain_without_our_model():
    walk, _ = walk_through(a_device(40000, (1, 66), (9, 4)) | a_device(50000, (1, 66), (101, 50)))
    assert (walk.base, walk.common, walk.shift) == (50070, 50002, 10000)


def test_a_base_without_room_for_a_chain_is_not_read():
    assert walk_through({}, SunSpecChain(models=[101], bases=(0xFFFF, 0xFFFD)))[1] == 0
    assert walk_through({}, SunSpecChain(models=[101], bases=(0xFFFF, 0xFFFC)))[1] == 1


def test_texts_of_the_common_model_lie_in_it_and_not_over_one_another():
    places = sorted(COMMON_TEXTS.values())
    assert places[0][0] == 2
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(places))
    walk, _ = walk_through(a_device(0, (1, 63), (101, 50)))
    assert (walk.base, walk.common) == (67, None)


@given(
    st.sampled_from(INVERTERS.bases),
    st.lists(st.tuples(st.integers(200, 900), st.integers(0, 200)), max_size=20),
    st.sampled_from(INVERTERS.models),
    st.integers(0, 100),
)
def test_our_model_is_found_behind_any_others(base: int, others: list[tuple[int, int]], model: int, length: int):
    walk, reads = walk_through(a_device(base, *others, (model, length), (1, 66)))
    assert (walk.model, walk.base) == (model, base + 2 + sum(2 + other for _, other in others))
    assert reads <= len(INVERTERS.bases) + len(others) + 1


@given(st.data())
def test_any_replies_end_the_walk_within_the_limit_and_it_never_leaves_the_address_space(data):
    bases = data.draw(st.lists(WORD, min_size=1, max_size=3).map(tuple))
    walk = Walk(SunSpecChain(models=[103, 9], bases=bases), registers=data.draw(st.integers(2, 60)))
    likely = st.sampled_from([(0x5375, 0x6E53), (1, 66), (9, 0), (103, 3), (0xFFFF, 0)])
    reads = 0
    while (step := walk.next) is not None:
        assert (step[0] >= 0, step[1]) == (True, 2)
        assert sum(step) <= 0x10000
        reads += 1
        match data.draw(st.sampled_from(["likely", "likely", "any", "refused", "too long"])):
            case "likely":
                walk.take(data.draw(likely))
            case "any":
                walk.take([data.draw(WORD), data.draw(WORD)])
            case "too long":
                walk.take([1, 2, 3])
            case _:
                walk.refuse()
    assert reads <= len(bases) * (1 + MODELS_MAX)
    assert (walk.base is None) == (walk.model is None) == (walk.state is State.LOST)
    if walk.base is not None:
        assert walk.registers is not None
        assert walk.base + walk.registers <= 0x10000


def test_a_reply_after_the_end_changes_nothing():
    found, _ = walk_through(a_device(0, (101, 50)))
    found.take([0x5375, 0x6E53])
    found.refuse()
    assert (found.is_over, found.base, found.model) == (True, 2, 101)


def test_every_state_has_an_answer_to_every_event():
    assert set(TABLE) == {(state, event) for state in State for event in Event}


@given(st.lists(st.sampled_from(Event)))
def test_no_event_leads_out_of_the_end(events: list[Event]):
    state = State.AT_BASE
    for event in events:
        before, state = state, TABLE[state, event][0]
        assert before not in (State.FOUND, State.LOST) or state is before


def test_the_drawing_shows_the_way():
    assert draw().splitlines()[:3] == [
        "stateDiagram-v2",
        "    [*] --> AT_BASE",
        "    AT_BASE --> IN_CHAIN: marker / go to the first model",
    ]
