"""The guard, alone and in a simulated line where every third answer comes late."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.late_reply import LATE_S_MAX, Guard, parts
from firmware_bridge.reading import MonotonicS
from firmware_bridge.rtu import judge, read_request, take_frames
from firmware_bridge.verdict import Frame, State
from tests.firmware_bridge.modbus_slave import Asked

REQUESTS = 100_000


def s(seconds: float) -> MonotonicS:
    return MonotonicS(seconds)


class TestGuard:
    def test_a_lost_count_is_avoided_for_its_unit_and_function_until_the_window_has_passed(self):
        guard = Guard()
        guard.lost(1, 3, 20, s(100))
        assert guard.avoided(1, 3, s(100)) == {20}
        assert guard.avoided(1, 4, s(100)) == guard.avoided(2, 3, s(100)) == frozenset()
        assert guard.free_at_s(1, 3) == 100 + LATE_S_MAX
        assert guard.avoided(1, 3, s(100 + LATE_S_MAX)) == frozenset()
        assert guard.free_at_s(1, 3) is None

    def test_a_late_answer_that_came_comes_no_more(self):
        guard = Guard()
        guard.lost(1, 3, 20, s(100))
        guard.came(1, 3, 19)
        assert guard.avoided(1, 3, s(101)) == {20}
        guard.came(1, 3, 20)
        assert guard.avoided(1, 3, s(101)) == frozenset()

    def test_as_many_answers_are_awaited_as_were_lost(self):
        guard = Guard()
        for at in (100, 101):
            guard.lost(1, 3, 20, s(at))
        guard.came(1, 3, 20)
        assert guard.avoided(1, 3, s(102)) == {20}


class TestParts:
    def test_a_block_that_is_not_avoided_is_asked_whole(self):
        assert parts(10, 6, [12, 14], {4}) == [(10, 6)]

    def test_else_it_is_cut_where_no_value_is_torn(self):
        assert parts(10, 6, [12, 14], {6}) == [(10, 4), (14, 2)]
        assert parts(10, 6, [12, 15], {6, 5}) == [(10, 2), (12, 4)]

    def test_what_cannot_be_cut_is_made_longer_where_that_is_allowed(self):
        assert parts(10, 2, [], {2}, count_max=4) == [(10, 3)]
        assert parts(10, 2, [], {2, 3}, count_max=4) == [(10, 4)]
        assert parts(10, 2, [], {2, 3, 4}, count_max=4) == []

    def test_where_both_ends_cannot_be_had_the_longer_one_is(self):
        assert parts(10, 6, [12], {6, 2}) == [(12, 4)]
        assert parts(10, 6, [12], {6, 4}) == [(10, 2)]
        assert parts(10, 6, [12], {6, 4, 2}) == []

    @given(
        st.integers(1, 125),
        st.sets(st.integers(0, 140)),
        st.sets(st.integers(1, 125)),
        st.integers(0, 125),
    )
    def test_no_part_is_avoided_torn_or_longer_than_allowed(
        self, count: int, cuts: set[int], avoided: set[int], most: int
    ):
        chosen = parts(0, count, sorted(cuts), avoided, most)
        for address, registers in chosen:
            assert registers not in avoided
            assert address == 0 or address in cuts
            assert address + registers in cuts | {count} or (address == 0 and count < registers <= most)
        if len(chosen) == 2:
            assert chosen[0][1] + chosen[1][1] == count
            assert chosen[1][0] == chosen[0][1]


@dataclass
class Line:
    """Meters whose answers come when they like; real frames, simulated time."""

    source: random.Random
    timeout_s: float = 0.1
    now_s: float = 0.0
    serial: int = 0
    # frames under way: when they come, and the bytes
    under_way: list[tuple[float, bytes]] = field(default_factory=list)

    def ask(self, unit: int, address: int, count: int, guard: Guard) -> bool | None:
        """Whether the answer taken is the one to this request; None for no answer in time."""
        self.serial += 1
        self._drain(guard)
        # The words of an answer tell its request.
        words = (
            [self.serial >> 16, self.serial & 0xFFFF, *range(count)][:count] if count > 1 else [self.serial & 0xFFFF]
        )
        is_late = self.serial % 3 == 0
        delay_s = self.timeout_s + self.source.choice([0.001, 0.05, 0.2, 0.7, 1.5]) if is_late else 0.03
        self.under_way.append((self.now_s + delay_s, Asked(unit, 3, address, count).registers(words)))
        self.under_way.sort()
        until_s = self.now_s + self.timeout_s
        request = read_request(unit, 3, address, count)
        received = b""
        while self.under_way and self.under_way[0][0] <= until_s:
            self.now_s, frame = self.under_way.pop(0)
            received += frame
            verdict = judge(request, received)
            if verdict.state is State.ANSWER:
                self._tell(verdict.passed_over, guard)
                return list(verdict.words) == words
        self._tell(judge(request, received).passed_over, guard)
        self.now_s = until_s
        return None

    def _drain(self, guard: Guard) -> None:
        """What came when nobody asked is dropped before the request leaves."""
        while self.under_way and self.under_way[0][0] <= self.now_s:
            self._tell(take_frames(self.under_way.pop(0)[1])[0], guard)

    @staticmethod
    def _tell(frames: Sequence[Frame], guard: Guard) -> None:
        for frame in frames:
            guard.came(frame.unit, frame.function, frame.count)


def _outcomes(
    requests: int, seed: int, blocks: dict[int, tuple[int, list[int]]], *, is_guarded: bool = True
) -> Counter:
    line, guard, outcomes = Line(random.Random(seed)), Guard(), Counter()
    while line.serial < requests:
        for unit, (count, cuts) in blocks.items():
            avoided = guard.avoided(unit, 3, s(line.now_s)) if is_guarded else frozenset()
            asked = parts(0, count, cuts, avoided)
            if not asked:
                line.now_s += 0.01
            for address, part in asked:
                if is_guarded and part in guard.avoided(unit, 3, s(line.now_s)):
                    break
                outcome = line.ask(unit, address, part, guard)
                outcomes[outcome] += 1
                if outcome is None:
                    guard.lost(unit, 3, part, s(line.now_s))
    return outcomes


BLOCKS = {
    1: (20, list(range(2, 20, 2))),
    2: (76, list(range(2, 76, 2))),
    3: (10, [4, 6]),
    4: (2, []),
    5: (125, list(range(1, 125))),
}


@pytest.mark.slow
def test_of_a_hundred_thousand_requests_a_third_of_them_answered_late_none_is_misattributed():
    outcomes = _outcomes(REQUESTS, 1, BLOCKS)
    assert outcomes[False] == 0
    assert outcomes[None] > REQUESTS / 4
    assert outcomes[True] > REQUESTS / 2


def test_without_the_guard_late_answers_are_taken_for_the_next_ones():
    assert _outcomes(3000, 1, {1: BLOCKS[1]}, is_guarded=False)[False] > 100


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**32),
    st.dictionaries(st.integers(1, 247), st.integers(1, 125), min_size=1, max_size=5),
    st.integers(1, 5),
)
def test_on_no_line_a_late_answer_is_misattributed(seed: int, counts: dict[int, int], width: int):
    blocks = {unit: (count, list(range(width, count, width))) for unit, count in counts.items()}
    assert _outcomes(300, seed, blocks)[False] == 0
