"""Each fault does to a reply what it says, to whom it says, when it says, and the same in every run."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.line_settings import OF_THE_LINE, FaultKind, WireFaultSettings
from firmware_bridge.simulator.rtu_frames import read_rtu, rtu_frame
from firmware_bridge.simulator.wire_faults import Message, WireFaults

PDU = bytes.fromhex("04 04 43664000")
MESSAGE = Message(5, PDU)
FRAME = rtu_frame(*MESSAGE)


def struck(
    now_s: float = 0.0, message: Message = MESSAGE, *, faults: WireFaults | None = None, **settings
) -> bytes | None:
    """The bytes that arrive of a reply over RTU."""
    faults = faults or with_fault(**settings)
    struck = faults.on_message(message, now_s)
    return None if struck.message is None else faults.on_frame(rtu_frame(*struck.message), struck.of_frame)


def with_fault(**settings) -> WireFaults:
    faults = WireFaults(1)
    faults.add(WireFaultSettings(**settings), 0.0)
    return faults


def test_without_a_fault_a_reply_arrives_as_it_is():
    assert struck(faults=WireFaults(1)) == FRAME


def test_faults_of_the_message_are_framed_rightly():
    assert struck(kind="silence") is None
    assert struck(kind="exception", code=6) == rtu_frame(5, bytes((0x84, 6)))
    assert struck(kind="wrong_unit") == rtu_frame(6, PDU)
    assert struck(kind="wrong_unit", message=Message(247, PDU)) == rtu_frame(1, PDU)
    assert struck(kind="wrong_function") == rtu_frame(5, b"\x03" + PDU[1:])
    assert struck(kind="wrong_function", message=Message(5, b"\x2b\x0e")) == rtu_frame(5, b"\x2a\x0e")


def test_faults_of_the_frame_change_its_bytes():
    assert struck(kind="truncated", bytes_count=2) == FRAME[:-2]
    assert struck(kind="truncated", bytes_count=200) == FRAME[:1]
    assert struck(kind="garbage_before", bytes_count=7)[7:] == FRAME
    assert struck(kind="garbage_after", bytes_count=7)[:-7] == FRAME
    assert struck(kind="drops", rate=1) == b""
    assert struck(kind="duplicates", rate=1) == b"".join(bytes((byte, byte)) for byte in FRAME)
    assert struck(kind="flips", rate=1) == bytes(0xFF ^ byte for byte in FRAME)


def test_a_merged_reply_is_glued_to_the_one_before():
    faults = with_fault(kind="merged")
    other = Message(5, bytes.fromhex("04 02 0001"))
    assert struck(faults=faults) == FRAME + FRAME
    assert struck(faults=faults, message=other) == FRAME + rtu_frame(*other)


def test_delays_add_up():
    faults = with_fault(kind="delay", delay_s=0.25)
    faults.add(WireFaultSettings(kind="delay", delay_s=1.0), 0.0)
    assert faults.on_message(MESSAGE, 0.0).delay_s == 1.25


def test_only_the_unit_that_is_meant_is_struck():
    faults = with_fault(kind="silence", unit=5)
    assert struck(faults=faults) is None
    assert struck(faults=faults, message=Message(6, PDU)) == rtu_frame(6, PDU)


def test_a_fault_has_its_time_and_can_be_taken_back():
    faults = with_fault(kind="silence", at_s=10.0, for_s=5.0)
    assert [struck(now_s, faults=faults) is None for now_s in (9.9, 10.0, 14.9, 15.0)] == [False, True, True, False]
    faults.clear()
    assert struck(12.0, faults=faults) == FRAME


def test_every_third_reply_is_struck():
    faults = with_fault(kind="silence", every=3)
    assert [struck(faults=faults) is None for _ in range(7)] == [False, False, True, False, False, True, False]


def test_babble_is_of_the_line():
    faults = with_fault(kind="babble", at_s=1.0, for_s=2.0)
    assert [faults.is_babbling(now_s) for now_s in (0.0, 1.0, 3.0)] == [False, True, False]
    assert struck(1.5, faults=faults) == FRAME, "a unit that answers at all answers rightly"
    assert len(faults.noise(16)) == 16


def test_rates_are_kept():
    frame = bytes(1000)
    for kind, expected in (("drops", 900), ("duplicates", 1100)):
        faults = with_fault(kind=kind, rate=0.1)
        arrived = [len(faults.on_frame(frame, faults.on_message(MESSAGE, 0.0).of_frame)) for _ in range(10)]
        assert abs(sum(arrived) / 10 - expected) < 20
    faults = with_fault(kind="flips", rate=0.1)
    flipped = faults.on_frame(frame, faults.on_message(MESSAGE, 0.0).of_frame)
    assert abs(int.from_bytes(flipped).bit_count() - 800) < 100


KINDS = sorted(set(get_args(FaultKind)) - OF_THE_LINE)


@given(st.sampled_from(KINDS), st.integers(1, 247), st.binary(min_size=1, max_size=253), st.integers(0, 99))
def test_the_same_seed_strikes_the_same_way(kind, unit, pdu, seed):
    first, second = WireFaults(seed), WireFaults(seed)
    for faults in (first, second):
        faults.add(WireFaultSettings(kind=kind), 0.0)
    message = Message(unit, pdu)
    assert struck(faults=first, message=message) == struck(faults=second, message=message)


@pytest.mark.parametrize("kind", ["truncated", "merged", "garbage_before", "garbage_after"])
def test_what_is_damaged_in_length_is_no_frame(kind):
    assert read_rtu(struck(kind=kind)) is None
