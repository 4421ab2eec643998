from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.mbap import RECEIVED_BYTES_MAX, Peer, asked_by, judge, read_request, take_frames
from firmware_bridge.verdict import WAITING, Fault, Frame, Request, State
from tests.firmware_bridge.modbus_server import Request as Asked

ASKED = Asked(transaction=7, unit=1, function=4, address=0x34, count=2)
REQUEST = read_request(7, 1, 4, 0x34, 2)
ANSWER = ASKED.registers([0xC4BB, 0x9000])
REFUSAL = ASKED.refusal(2)
LATE = ASKED.frame(b"\x03\x02\x00\x00", transaction=-3, unit=5)
IDENTIFY = Request(1, 0x2B, 0, b"\x00\x07\x00\x00\x00\x05\x01\x2b\x0e\x01\x00", transaction=7)
IDENTITY_PDU = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x03abc\x01\x02de"

# What can be wrong with a reply, how it counts and how it is named.
BAD_REPLIES: dict[str, tuple[Callable[[Asked], bytes], Fault, str]] = {
    "another unit": (lambda asked: asked.frame(b"\x04\x04" + bytes(4), unit=1), Fault.UNIT, "unit 2"),
    "another function": (lambda asked: asked.frame(b"\x03\x04" + bytes(4)), Fault.FUNCTION, "function 3"),
    "a function nobody knows": (lambda asked: asked.frame(b"\x63\x04" + bytes(4)), Fault.FUNCTION, "function 99"),
    "an exception to another function": (lambda asked: asked.frame(b"\x83\x02"), Fault.FUNCTION, "function 131"),
    "too few registers": (lambda asked: asked.registers([1]), Fault.LENGTH, "length 5 for 4 bytes of registers"),
    "too many registers": (
        lambda asked: asked.registers([1, 2, 3]),
        Fault.LENGTH,
        "length 9 for 4 bytes of registers",
    ),
    "no registers": (lambda asked: asked.frame(b"\x04\x00"), Fault.LENGTH, "length 3 for 4 bytes of registers"),
    "a byte count that lies": (
        lambda asked: asked.frame(b"\x04\x08" + bytes(4)),
        Fault.LENGTH,
        "byte count 8 for 4",
    ),
    "another protocol": (lambda asked: asked.frame(b"\x04\x04" + bytes(4), protocol=1), Fault.PROTOCOL, "protocol 1"),
    "a length below any": (lambda asked: asked.frame(b"\x04"), Fault.LENGTH, "length 2"),
    "a length above any": (
        lambda asked: asked.frame(b"\x04\x04" + bytes(4), length=300),
        Fault.LENGTH,
        "length 307",
    ),
    "an exception with words": (
        lambda asked: asked.frame(b"\x84\x02\x00"),
        Fault.LENGTH,
        "length 4 of an exception",
    ),
    "a web page": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", Fault.PROTOCOL, "protocol 21584"),
    "no transaction and another unit": (
        lambda asked: asked.frame(b"\x04\x04" + bytes(4), transaction=-asked.transaction, unit=1),
        Fault.UNIT,
        "unit 2",
    ),
}


def test_a_request_is_written_as_the_standard_shows_it():
    assert REQUEST.frame == bytes.fromhex("0007 0000 0006 01 04 0034 0002")
    assert asked_by(REQUEST.frame) == REQUEST
    assert asked_by(IDENTIFY.frame) == IDENTIFY


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_a_bad_reply_is_known_by_its_head(name: str):
    reply, fault, detail = BAD_REPLIES[name]
    verdict = judge(REQUEST, reply(ASKED))
    assert (verdict.state, verdict.fault, verdict.detail) == (State.REFUSED, fault, detail)


def test_an_answer_has_its_registers_and_an_exception_its_code():
    assert judge(REQUEST, ANSWER).words == (0xC4BB, 0x9000)
    verdict = judge(REQUEST, REFUSAL)
    assert (verdict.state, verdict.code, verdict.frame) == (State.EXCEPTION, 2, REFUSAL)


@pytest.mark.parametrize("answer", [ANSWER, REFUSAL])
def test_a_good_reply_is_waited_for_however_little_of_it_has_come(answer: bytes):
    for end in range(len(answer)):
        assert judge(REQUEST, answer[:end]) == WAITING
        late = judge(REQUEST, LATE + answer[:end])
        assert (late.state, late.passed_over) == (State.WAITING, (Frame(6, 3, 1),))
    verdict = judge(REQUEST, LATE + answer + b"rest")
    assert (verdict.frame, verdict.rest, verdict.passed_over) == (answer, b"rest", (Frame(6, 3, 1),))


def test_an_answer_without_a_transaction_is_taken_as_ours_until_the_peer_is_known_to_number_them():
    unnumbered = ASKED.frame(ANSWER[7:], transaction=-7)
    assert judge(REQUEST, unnumbered).words == (0xC4BB, 0x9000)
    echoed = Request(1, 4, 2, REQUEST.frame, 7, is_transaction_echoed=True)
    verdict = judge(echoed, unnumbered + ANSWER)
    assert (verdict.frame, verdict.passed_over) == (ANSWER, (Frame(1, 4, 2),))


class TestIdentification:
    def test_its_objects_fill_it_exactly(self):
        frame = ASKED.frame(IDENTITY_PDU)
        assert judge(IDENTIFY, frame).frame == frame
        for end in range(len(frame)):
            assert judge(IDENTIFY, frame[:end]).state is State.WAITING

    @pytest.mark.parametrize(
        "pdu", [IDENTITY_PDU + b"\x00", IDENTITY_PDU[:-1], IDENTITY_PDU[:6], b"\x2b\x0d" + bytes(9)]
    )
    def test_else_it_is_refused(self, pdu: bytes):
        verdict = judge(IDENTIFY, ASKED.frame(pdu))
        assert (verdict.state, verdict.fault) == (State.REFUSED, Fault.LENGTH)
        assert verdict.detail == f"length {len(pdu) + 1} of an identification"


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(received: bytes):
    assert judge(REQUEST, received).state is State.WAITING or received
    assert judge(IDENTIFY, received).state is State.WAITING or received


@given(st.integers(0, 8 * 9 - 1))
def test_a_flipped_bit_in_the_head_of_a_reply_is_a_fault_or_another_transaction(bit: int):
    flipped = bytearray(ANSWER)
    flipped[bit // 8] ^= 1 << bit % 8
    is_transaction = bit // 8 < 2
    is_exception = flipped[7] == 0x84
    assert is_transaction or is_exception or judge(REQUEST, bytes(flipped)).fault is not None


def test_who_babbles_is_refused():
    babble = LATE * (RECEIVED_BYTES_MAX // len(LATE) + 1)
    assert judge(REQUEST, babble).detail == f"babble of {len(babble)} bytes"


def test_late_answers_are_taken_when_nobody_asked_and_the_beginning_of_one_is_kept():
    frames, rest = take_frames(LATE + ANSWER + REFUSAL[:8])
    assert frames == [Frame(6, 3, 1), Frame(1, 4, 2)]
    assert take_frames(rest + REFUSAL[8:]) == ([Frame(1, 0x84, 0)], b"")


@given(st.binary(max_size=1000))
def test_any_bytes_can_come_when_nobody_asked(received: bytes):
    _, rest = take_frames(received)
    assert len(rest) < 260
    assert received.endswith(rest)


class TestPeer:
    def test_who_has_not_answered_yet_is_not_kept(self):
        assert not Peer(is_numbered=True).is_kept_after(1, is_mute=True)

    def test_who_numbers_its_answers_is_kept_after_a_lost_one(self):
        peer = _peer(1, 2)
        assert peer.is_echoing
        assert peer.is_kept_after(1, is_mute=True)

    def test_who_does_not_is_not_kept_whatever_it_did_before(self):
        peer = _peer(1)
        peer.answered(REQUEST, ASKED.frame(ANSWER[7:], transaction=-7))
        peer.answered(REQUEST, ANSWER)
        assert not peer.is_echoing
        assert not peer.is_kept_after(1, is_mute=False)

    def test_a_line_behind_a_converter_has_no_numbers_to_echo(self):
        assert Peer(is_numbered=False).is_kept_after(1, is_mute=True)

    def test_two_mute_reads_in_a_row_end_the_connection(self):
        peer = _peer(1, 2)
        assert peer.is_kept_after(1, is_mute=True)
        assert not peer.is_kept_after(2, is_mute=True)

    def test_two_mute_reads_of_the_only_meter_end_it_too(self):
        peer = _peer(1)
        assert peer.is_kept_after(1, is_mute=True)
        assert not peer.is_kept_after(1, is_mute=True)

    def test_a_byte_or_an_answer_between_them_proves_that_somebody_is_there(self):
        peer = _peer(1, 2, 3)
        assert peer.is_kept_after(1, is_mute=True)
        assert peer.is_kept_after(3, is_mute=False)
        assert peer.is_kept_after(2, is_mute=True)
        peer.answered(REQUEST, ANSWER)
        assert peer.is_kept_after(1, is_mute=True)

    def test_dead_meters_do_not_cost_the_others_their_connection(self):
        peer = _peer(1, 2, 3)
        for dead in (7, 8, 9) * 3:
            assert peer.is_kept_after(dead, is_mute=True)
        assert peer.is_kept_after(1, is_mute=True)  # dies now
        assert peer.is_kept_after(7, is_mute=True)
        assert peer.is_kept_after(1, is_mute=True)

    def test_a_new_connection_has_yet_to_show_that_somebody_is_there(self):
        peer = _peer(1, 2)
        peer.is_kept_after(1, is_mute=True)
        peer.connected()
        assert peer.is_kept_after(1, is_mute=True)
        assert not peer.is_kept_after(2, is_mute=True)


def _peer(*answering: int) -> Peer:
    peer = Peer(is_numbered=True)
    for unit in answering:
        peer.answered(read_request(7, unit, 4, 0, 2), ANSWER)
    return peer
