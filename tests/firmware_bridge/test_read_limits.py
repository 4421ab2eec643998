import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile
from firmware_bridge.map_file import MapFile
from firmware_bridge.read_limits import ADDRESSES, aligned, evened, unreadable

PLACE = st.integers(0, 40)


def a_file(**limits) -> MapFile:
    return msgspec.structs.replace(load_profile("eastron_sdm630").file, **({"max_read": 20, "even": False} | limits))


@pytest.mark.parametrize(
    ("limits", "start", "end", "key"),
    [
        ({}, 0, 20, None),
        ({}, 0, 21, "type"),
        ({"even": True}, 1, 20, None),
        ({"even": True}, 1, 21, "type"),
        ({"forbidden": [(5, 6)]}, 0, 5, None),
        ({"forbidden": [(5, 6)]}, 7, 9, None),
        ({"forbidden": [(5, 6)]}, 0, 6, "address"),
        ({"forbidden": [(5, 6)]}, 6, 8, "address"),
        ({"forbidden": [(5, 6)], "even": True}, 7, 9, "address"),
        ({"never_across": [8]}, 4, 8, None),
        ({"never_across": [8]}, 8, 12, None),
        ({"never_across": [8]}, 7, 9, "address"),
    ],
)
def test_a_request_stays_within_the_limits(limits: dict, start: int, end: int, key: str | None):
    reason = unreadable(a_file(**limits), start, end)
    assert (reason and reason[0]) == key


@given(PLACE, PLACE, PLACE, PLACE, st.booleans(), PLACE, PLACE)
def test_what_may_be_read_may_be_read_in_part(
    start: int, length: int, before: int, after: int, even: bool, first: int, border: int
):
    file = a_file(even=even, forbidden=[(first, first + 1)], never_across=[border])
    end = start + length + 1
    part = start + min(before, length), max(end - after, start + min(before, length) + 1)
    if unreadable(file, start, end) is None:
        assert unreadable(file, *part) is None


@given(st.integers(0, ADDRESSES - 1), st.integers(1, 125))
def test_an_even_request_is_the_shortest_that_holds_its_registers_and_stays_in_the_address_space(
    start: int, length: int
):
    end = min(start + length, ADDRESSES)
    first, count = evened(start, end)
    assert first % 2 == count % 2 == 0
    assert start - 1 <= first <= start
    assert end <= first + count <= min(end + 1, ADDRESSES)
    assert aligned(a_file(even=True), start, end) == (first, count)
    assert aligned(a_file(), start, end) == (start, end - start)
