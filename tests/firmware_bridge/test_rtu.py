import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.config import BusConfig
from firmware_bridge.rtu import (
    RECEIVED_BYTES_MAX,
    LineTiming,
    asked_by,
    crc,
    judge,
    read_request,
    take_frames,
)
from firmware_bridge.verdict import WAITING, Fault, Frame, Request, State
from tests.firmware_bridge.modbus_slave import Asked, framed
from tests.firmware_bridge.modbus_slave import crc as crc_bit_by_bit

REQUEST = read_request(1, 4, 0x34, 2)
ASKED = Asked(1, 4, 0x34, 2)
ANSWER = ASKED.registers([0xC4BB, 0x9000])
REFUSAL = ASKED.refusal(2)
IDENTIFY = Request(1, 0x2B, 0, framed(b"\x01\x2b\x0e\x01\x00"))
IDENTITY = Asked(1, 0x2B, 0, 0).identity({0: b"Eastron", 1: b"SDM630"})

OTHERS = {
    "another unit": (Asked(2, 4, 0, 2).registers([1, 2]), Frame(2, 4, 2, Fault.UNIT)),
    "another function": (Asked(1, 3, 0, 2).registers([1, 2]), Frame(1, 3, 2, Fault.FUNCTION)),
    "another length": (Asked(1, 4, 0, 3).registers([1, 2, 3]), Frame(1, 4, 3, Fault.LENGTH)),
    "no registers": (Asked(1, 4, 0, 0).registers([]), Frame(1, 4, 0, Fault.LENGTH)),
    "the longest": (Asked(1, 4, 0, 125).registers(list(range(125))), Frame(1, 4, 125, Fault.LENGTH)),
    "an exception to another function": (Asked(1, 3, 0, 2).refusal(2), Frame(1, 0x83, 0, Fault.FUNCTION)),
    "an exception of another unit": (Asked(2, 4, 0, 2).refusal(2), Frame(2, 0x84, 0, Fault.UNIT)),
    "an identification": (IDENTITY, Frame(1, 0x2B, 0, Fault.FUNCTION)),
}
# What hangs on a line without a bias, or a driver that is switched on.
NOISE = [
    b"\x00",
    b"\xff\xff",
    b"\x01",
    b"\x01\x04",
    b"\x01\x04\x04",
    b"\x01\x04\x04\xc4\xbb",
    b"\x01\x84",
    b"\x2b" * 9,
]

several = st.lists(st.sampled_from([other for other, _ in OTHERS.values()]), max_size=3).map(b"".join)


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_the_standard(data: bytes):
    assert crc(data) == crc_bit_by_bit(data)


def test_a_request_is_written_as_the_standard_shows_it():
    # Modbus over Serial Line V1.02 gives the order of the fields; the bytes are those of a meter's manual.
    assert read_request(1, 4, 0, 2).frame == bytes.fromhex("010400000002 71cb")
    assert asked_by(REQUEST.frame) == REQUEST
    assert asked_by(IDENTIFY.frame) == IDENTIFY


class TestTiming:
    @pytest.mark.parametrize(
        ("line", "bits", "silence_s"),
        [
            ({"baud": 9600}, 10, 0.0036458),
            ({"baud": 9600, "parity": "E"}, 11, 0.0040104),
            ({"baud": 2400, "parity": "O", "stop_bits": 2, "data_bits": 7}, 11, 0.0160417),
            ({"baud": 19200}, 10, 0.0018229),
            ({"baud": 38400}, 10, 0.00175),
            ({"baud": 115200, "parity": "E"}, 11, 0.00175),
        ],
    )
    def test_characters_and_silences_are_those_of_the_standard(self, line: dict, bits: int, silence_s: float):
        timing = LineTiming.of(BusConfig("main", "serial:///dev/ttyUSB0", **line))
        assert timing.character_s == bits / line["baud"]
        assert timing.silence_s == pytest.approx(silence_s, abs=1e-7)

    def test_a_read_takes_its_request_its_answer_and_two_silences(self):
        timing = LineTiming.of(BusConfig("main", "serial:///dev/ttyUSB0", baud=9600))
        assert timing.read_s(40) == pytest.approx((8 + 85) * 10 / 9600 + 2 * 35 / 9600)


class TestAnswer:
    def test_its_registers_are_told(self):
        verdict = judge(REQUEST, ANSWER)
        assert (verdict.state, verdict.words, verdict.frame, verdict.rest) == (
            State.ANSWER,
            (0xC4BB, 0x9000),
            ANSWER,
            b"",
        )

    def test_an_exception_is_told_by_its_code(self):
        verdict = judge(REQUEST, REFUSAL)
        assert (verdict.state, verdict.code, verdict.frame) == (State.EXCEPTION, 2, REFUSAL)

    def test_an_identification_is_one_too(self):
        assert judge(IDENTIFY, IDENTITY).frame == IDENTITY
        assert judge(IDENTIFY, Asked(1, 0x2B, 0, 0).refusal(1)).code == 1

    @pytest.mark.parametrize(("request_", "answer"), [(REQUEST, ANSWER), (REQUEST, REFUSAL), (IDENTIFY, IDENTITY)])
    def test_it_may_come_byte_by_byte(self, request_: Request, answer: bytes):
        for end in range(len(answer)):
            assert judge(request_, answer[:end]).state is State.WAITING
        assert judge(request_, answer).frame == answer

    @given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125), st.integers(1, 247), st.sampled_from([3, 4]))
    def test_any_registers_come_through(self, words: list[int], unit: int, function: int):
        request = read_request(unit, function, 7, len(words))
        assert judge(request, Asked(unit, function, 7, len(words)).registers(words)).words == tuple(words)

    @pytest.mark.parametrize("noise", NOISE)
    def test_noise_before_it_is_survived(self, noise: bytes):
        assert judge(REQUEST, noise + ANSWER).words == (0xC4BB, 0x9000)
        assert judge(REQUEST, noise + REFUSAL, is_idle=True).code == 2

    @given(st.binary(max_size=200), several, st.binary(max_size=50))
    def test_anything_before_it_is_survived_and_anything_behind_it_is_left(
        self, noise: bytes, others: bytes, rest: bytes
    ):
        verdict = judge(REQUEST, noise + others + ANSWER + rest)
        assert verdict.words == (0xC4BB, 0x9000)
        assert verdict.rest == rest

    def test_the_echo_of_the_request_is_skipped(self):
        assert judge(REQUEST, REQUEST.frame + ANSWER).words == (0xC4BB, 0x9000)
        assert judge(REQUEST, REQUEST.frame, is_idle=True) == WAITING
        assert judge(REQUEST, b"\xff" + REQUEST.frame, is_idle=True) == WAITING

    def test_an_echo_that_begins_like_the_answer_is_skipped(self):
        request = read_request(1, 4, 0x0400, 2)
        assert judge(request, request.frame + ANSWER).words == (0xC4BB, 0x9000)


class TestOtherAnswers:
    @pytest.mark.parametrize("name", OTHERS)
    def test_they_are_passed_over_and_told(self, name: str):
        other, frame = OTHERS[name]
        for received in (other, b"\xff" + other):
            assert judge(REQUEST, received).passed_over == (frame,)
            assert judge(REQUEST, received, is_idle=True).state is State.WAITING
            verdict = judge(REQUEST, received + ANSWER)
            assert (verdict.state, verdict.passed_over) == (State.ANSWER, (frame,))

    @pytest.mark.parametrize("name", OTHERS)
    def test_one_that_is_still_coming_keeps_nobody_from_the_answer(self, name: str):
        other, _ = OTHERS[name]
        for end in range(len(other)):
            assert judge(REQUEST, other[:end] + ANSWER).words == (0xC4BB, 0x9000)

    def test_a_request_of_another_master_is_none(self):
        request = read_request(9, 3, 0x0300, 2).frame
        assert judge(REQUEST, request + ANSWER).passed_over == ()
        assert take_frames(request) == ([], request)

    @given(several)
    def test_when_nobody_asked_they_are_told_too(self, others: bytes):
        frames, rest = take_frames(others)
        told = [Frame(frame.unit, frame.function, frame.count) for frame in judge(REQUEST, others).passed_over]
        assert (frames, rest) == (told, b"")

    def test_the_beginning_of_one_is_kept_until_its_end_comes(self):
        frames, rest = take_frames(b"\xff" + ANSWER + ANSWER[:5])
        assert frames == [Frame(1, 4, 2)]
        assert take_frames(rest + ANSWER[5:]) == ([Frame(1, 4, 2)], b"")

    @given(st.binary(max_size=3000))
    def test_what_is_kept_is_bounded(self, received: bytes):
        _, rest = take_frames(received)
        assert len(rest) <= 256
        assert received.endswith(rest)


class TestBroken:
    @pytest.mark.parametrize("end", range(len(ANSWER)))
    def test_a_truncated_answer_is_waited_for_until_the_line_is_idle(self, end: int):
        assert judge(REQUEST, ANSWER[:end]).state is State.WAITING
        verdict = judge(REQUEST, ANSWER[:end], is_idle=True)
        if end < 5:  # as short as the noise that comes before answers
            assert verdict == WAITING
        else:
            assert (verdict.state, verdict.fault) == (State.REFUSED, Fault.LENGTH)
            assert verdict.detail == f"length wrong, {end} bytes"

    @given(st.sets(st.integers(0, 8 * len(ANSWER) - 1), min_size=1, max_size=3))
    def test_up_to_three_flipped_bits_are_always_found(self, bits: set[int]):
        flipped = _flipped(ANSWER, bits)
        assert judge(REQUEST, flipped).state is State.WAITING
        assert judge(REQUEST, flipped, is_idle=True).state in {State.REFUSED, State.WAITING}

    @given(st.integers(0, 8 * len(ANSWER) - 16), st.integers(1, 0xFFFF))
    def test_a_burst_of_up_to_sixteen_bits_is_always_found(self, at: int, burst: int):
        flipped = (int.from_bytes(ANSWER, "little") ^ burst << at).to_bytes(len(ANSWER), "little")
        assert judge(REQUEST, flipped).state is State.WAITING

    def test_a_wrong_checksum_is_refused_when_the_line_is_idle(self):
        verdict = judge(REQUEST, ANSWER[:-1] + b"\x00", is_idle=True)
        assert (verdict.state, verdict.fault, verdict.detail) == (
            State.REFUSED,
            Fault.CRC,
            "checksum wrong, 9 bytes",
        )
        assert judge(REQUEST, REFUSAL[:-1] + b"\x00", is_idle=True).fault is Fault.CRC

    def test_bytes_that_only_have_the_length_of_the_answer_were_meant_as_it(self):
        assert judge(REQUEST, b"\xff" * 8, is_idle=True) == WAITING
        assert judge(REQUEST, b"\xff" * 9, is_idle=True).fault is Fault.CRC
        assert judge(IDENTIFY, b"\xff" * 9, is_idle=True) == WAITING
        assert judge(IDENTIFY, b"\xff" * 10, is_idle=True).fault is Fault.CRC

    def test_another_answer_counts_as_nothing_of_the_answer(self):
        verdict = judge(REQUEST, OTHERS["the longest"][0] + b"\xff" * 8, is_idle=True)
        assert verdict.state is State.WAITING

    @pytest.mark.parametrize("talk", [b"\xff", b"\x01\x04\x04", OTHERS["the longest"][0]])
    def test_who_babbles_is_refused(self, talk: bytes):
        babble = talk * (RECEIVED_BYTES_MAX // len(talk) + 1)
        verdict = judge(REQUEST, babble)
        assert (verdict.state, verdict.detail) == (State.REFUSED, f"babble of {len(babble)} bytes")

    @given(st.binary(max_size=400), st.booleans())
    def test_any_bytes_are_judged_and_no_noise_is_an_answer(self, received: bytes, is_idle: bool):
        assert judge(REQUEST, received, is_idle=is_idle).state is not State.ANSWER

    @given(several, st.binary(max_size=30), st.booleans())
    def test_the_verdict_does_not_depend_on_how_the_bytes_were_cut(self, others: bytes, rest: bytes, is_right: bool):
        received = others + (ANSWER if is_right else REFUSAL[:-1]) + rest
        cut = next(
            (one for end in range(len(received)) if (one := judge(REQUEST, received[:end])).state is State.ANSWER),
            judge(REQUEST, received),
        )
        assert (cut.words, cut.passed_over) == (
            judge(REQUEST, received).words,
            judge(REQUEST, received).passed_over,
        )


def test_of_corrupted_long_frames_the_checksum_stops_all_but_a_few():
    source = random.Random(7)
    asked = Asked(1, 3, 0, 40)
    request = read_request(1, 3, 0, 40)
    good = asked.registers([source.randrange(0x10000) for _ in range(40)])
    escaped = 0
    for _ in range(3000):
        bits = {source.randrange(8 * len(good)) for _ in range(source.randrange(4, 17))}
        escaped += judge(request, _flipped(good, bits), is_idle=True).state is State.ANSWER
    assert escaped <= 3  # one in 65,536 is expected


def test_a_frame_with_a_right_checksum_is_stopped_by_what_it_says_of_itself():
    caught = {}
    for at in range(3):
        body = bytearray(ANSWER[:-2])
        body[at] ^= 2
        verdict = judge(REQUEST, framed(bytes(body)), is_idle=True)
        caught[at] = [frame.fault for frame in verdict.passed_over] or verdict.fault
    assert caught == {0: [Fault.UNIT], 1: Fault.FUNCTION, 2: Fault.LENGTH}
    assert judge(REQUEST, framed(b"\x03\x06" + ANSWER[2:-2]), is_idle=True).fault is Fault.UNIT


def _flipped(frame: bytes, bits: set[int]) -> bytes:
    whole = int.from_bytes(frame, "big")
    for bit in bits:
        whole ^= 1 << bit
    return whole.to_bytes(len(frame), "big")
