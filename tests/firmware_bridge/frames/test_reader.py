"""What holds for every reader: whole frames however they come, nothing from broken ones, the next after any."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.frames.frame import Frame, Refusal
from firmware_bridge.frames.reader import FrameReader, reader_of
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.targets import SEEDS, TARGETS, held_bytes

# Seconds of it: run by `make test`.
pytestmark = pytest.mark.slow

# The nightly run raises it.
EXAMPLES = int(os.environ.get("FRAME_EXAMPLES", "150"))

# name: protocol, what the line carries
GOLDEN = {
    "a sensor with JSON": ("sensor", golden.SENSOR_JSON),
    "a sensor with CBOR": ("sensor", golden.SENSOR_CBOR),
    "DSMR 5": ("p1", golden.DSMR_5),
    "Sweden": ("p1", golden.SWEDISH),
    "SML": ("sml", golden.SML),
}
every_golden = pytest.mark.parametrize("name", GOLDEN)


def read(name: str, data: bytes) -> tuple[list[Frame], FrameReader]:
    reader = reader_of(GOLDEN[name][0])
    return reader.feed(data), reader


def the_frame(name: str) -> Frame:
    (frame,), reader = read(name, GOLDEN[name][1])
    assert not reader.refused
    return frame


def good(name: str) -> bytes:
    return GOLDEN[name][1]


@every_golden
def test_one_byte_at_a_time(name: str):
    reader = reader_of(GOLDEN[name][0])
    frames = [reader.feed(good(name)[at : at + 1]) for at in range(len(good(name)))]
    assert frames[-1] == [the_frame(name)]
    assert not any(frames[:-1])
    assert not reader.refused


@every_golden
def test_many_in_one_piece_come_in_their_order(name: str):
    frames, reader = read(name, good(name) * 5)
    assert frames == [the_frame(name)] * 5
    assert not reader.refused


@every_golden
def test_every_truncation_yields_nothing_and_spoils_one_frame_at_most(name: str):
    for end in range(len(good(name))):
        frames, reader = read(name, good(name)[:end])
        assert frames == []
        assert the_frame(name) in [*reader.feed(good(name)), *reader.feed(good(name))]


@every_golden
def test_every_lost_beginning_is_followed_by_the_next_frame(name: str):
    for start in range(1, len(good(name))):
        frames, _ = read(name, good(name)[start:] + good(name))
        assert frames == [the_frame(name)]


@every_golden
def test_every_lost_byte_is_noticed(name: str):
    for at in range(len(good(name))):
        frames, _ = read(name, good(name)[:at] + good(name)[at + 1 :])
        assert all(frame == the_frame(name) for frame in frames)


@every_golden
def test_every_flipped_bit_is_refused_or_changes_nothing(name: str):
    whole, expected = good(name), the_frame(name)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        frames, reader = read(name, bytes(flipped))
        assert frames in ([], [expected])
        if bit % 8 == 0:
            assert expected in [*frames, *reader.feed(whole), *reader.feed(whole)]


@every_golden
def test_two_frames_spliced_anywhere_are_not_one(name: str):
    """The first part of one, and the last part of another that differs from it."""
    protocol, whole = GOLDEN[name]
    others = [other for seed in SEEDS[protocol] if (other := seed) != whole] or [whole[: len(whole) // 2] + whole]
    step = max(1, len(whole) // 40)
    for other in others:
        for end in range(1, len(whole), step):
            for start in range(1, len(other), max(1, len(other) // 40)):
                frames, _ = read(name, whole[:end] + other[start:])
                assert all(frame in (the_frame(name), *read(name, other)[0]) for frame in frames)


@every_golden
def test_garbage_between_frames_is_passed_over(name: str):
    for garbage in (
        b"\xff" * 300,
        b"\x1b" * 50,
        b"/" * 50,
        b"hello\r\n",
        b"!\r\n",
        bytes(range(1, 256)),
        b"\r\n\r\n",
    ):
        frames, _ = read(name, garbage + good(name) + garbage + good(name) * 2)
        assert frames[-1] == the_frame(name)
        assert len(frames) >= 2 - (GOLDEN[name][0] == "sensor")


@every_golden
def test_a_line_without_an_end_is_not_kept(name: str):
    reader = reader_of(GOLDEN[name][0])
    begun = good(name)[: len(good(name)) // 2]
    for filler in (b"x", b"\x1b", b"/XXX5", b"(", b"\r\nx"):
        reader.feed(begun)
        for _ in range(200):
            assert reader.feed(filler * 100) == []
            assert held_bytes(reader) < 20_000
    assert the_frame(name) in [*reader.feed(good(name)), *reader.feed(good(name))]


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_leave_a_reader_sound(name: str, data: st.DataObject):
    TARGETS[name](data.draw(st.binary(max_size=400)))


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_frames_with_any_bytes_in_them_leave_a_reader_sound(name: str, data: st.DataObject):
    spoiled = bytearray(data.draw(st.sampled_from(SEEDS[name])))
    for at, octet in data.draw(
        st.lists(st.tuples(st.integers(0, len(spoiled) - 1), st.integers(0, 255)), max_size=8)
    ):
        spoiled[at] = octet
    TARGETS[name](bytes(spoiled))


@every_golden
@given(cuts=st.lists(st.integers(1, 60), max_size=200))
@settings(max_examples=EXAMPLES, deadline=None)
def test_however_the_bytes_are_cut_the_frames_are_the_same(name: str, cuts: list[int]):
    line = b"noise\r\n" + good(name) * 2 + good(name)[:20] + good(name) * 2
    reader, frames, at = reader_of(GOLDEN[name][0]), [], 0
    for cut in cuts:
        frames += reader.feed(line[at : at + cut])
        at += cut
    frames += reader.feed(line[at:])
    whole, at_once = read(name, line)
    assert (frames, reader.refused) == (whole, at_once.refused)


def test_modbus_has_no_reader():
    with pytest.raises(AssertionError):
        reader_of("modbus")


def test_every_reason_of_a_refusal_can_be_seen():
    """A reason that no reader ever gives would be a count that is always 0."""
    lines = {
        Refusal.LENGTH: ("sml", golden.SML[:8] + bytes(9000)),
        Refusal.FRAMING: ("sensor", b"\x09abc\0"),
        Refusal.CRC: ("p1", golden.DSMR_5.replace(b"230.1", b"230.2")),
        Refusal.BODY: ("p1", golden.DSMR_2.replace(b"(1)", b"[1]") * 2),
        Refusal.DUPLICATE: ("p1", golden.DSMR_2.replace(b"1.8.2(", b"1.8.1(") * 2),
        Refusal.UNPROVEN: ("p1", golden.DSMR_2),
    }
    assert set(lines) == set(Refusal)
    for reason, (protocol, line) in lines.items():
        reader = reader_of(protocol)
        reader.feed(line)
        assert reader.refused[reason] == 1
