"""Which addresses answer."""

from firmware_bridge.simulator.memory import Memory, Place
from firmware_bridge.simulator.nameplate import Cell

VALUES = [(3, 10, 2), (3, 14, 2), (4, 12, 1), (3, 40, 1)]
CELLS = [Cell(3, 11, b"\1\2\3\4"), Cell(3, 100, b"\5\6")]


def memory() -> Memory:
    return Memory(VALUES, CELLS, hole_max=5)


def test_small_holes_between_values_answer_and_large_ones_do_not():
    assert memory().place(3, 10, 6) == Place(0, 0, 12)
    assert memory().place(3, 12, 2) == Place(0, 4, 8)
    for address, count in ((9, 2), (15, 2), (16, 1), (39, 2), (40, 2)):
        assert memory().place(3, address, count) is None


def test_functions_have_registers_of_their_own():
    assert memory().place(4, 12, 1) is not None
    assert memory().place(4, 10, 1) is None
    assert memory().place(6, 10, 1) is None


def test_what_a_meter_says_of_itself_answers_at_its_place_alone():
    place = memory().place(3, 100, 1)
    assert place is not None
    assert memory().images(CELLS)[place.bank] == b"\5\6"
    assert memory().place(3, 99, 2) is None
    assert memory().place(3, 100, 2) is None


def test_cells_among_values_are_seen_through_the_same_bank():
    assert memory().images(CELLS)[0] == b"\0\0\1\2\3\4" + bytes(6)
