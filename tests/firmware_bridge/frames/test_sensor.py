import json
import zlib

import cbor2
import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frames.frame import Frame, Refusal
from firmware_bridge.frames.sensor import BODY_BYTES_MAX, FRAME_BYTES_MAX, SensorReader
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.sensor_encoder import crc32, framed, json_frame, stuffed


def refusals(data: bytes) -> list[str]:
    reader = SensorReader()
    assert reader.feed(data) == []
    return [*reader.refused.elements()]


def frame_of(data: bytes) -> Frame:
    (frame,) = SensorReader().feed(data)
    return frame


@pytest.mark.parametrize("data", [golden.SENSOR_JSON, golden.SENSOR_CBOR])
def test_the_two_examples_of_the_readme(data: bytes):
    assert frame_of(data) == Frame("7", {"temperature_c": (21.5, "")})


@given(st.binary(max_size=600))
def test_the_encoder_of_these_tests_agrees_with_two_others(data: bytes):
    assert stuffed(data) == cobs.encode(data)
    assert crc32(data) == zlib.crc32(data)


def test_yes_and_no_are_numbers_and_nothing_is_left_out():
    frame = frame_of(json_frame(id=3, contact=True, leak=False, humidity_pct=None))
    assert frame == Frame("3", {"contact": (1.0, ""), "leak": (0.0, "")})
    assert frame_of(framed(cbor2.dumps({"id": 3, "contact": True, "humidity_pct": None}))).values == {
        "contact": (1.0, "")
    }


def test_a_frame_without_values_says_that_the_sensor_lives():
    assert frame_of(json_frame(id=1)) == Frame("1", {})


def test_every_number_of_cbor_is_read():
    for number in (0, 23, 24, 255, 65536, 2**40, -1, -300, 1.5, 0.1, 1e300):
        assert frame_of(framed(cbor2.dumps({"id": 1, "x": number}))).values == {"x": (float(number), "")}
    halves = bytes.fromhex("a2 62 6964 01 61 78 f9 3e00")
    assert frame_of(framed(halves)).values == {"x": (1.5, "")}


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.floats(-1e9, 1e9), max_size=6))
def test_what_was_sent_is_read(values: dict[str, float]):
    values = {key: value for key, value in values.items() if key not in ("id", "seq")}
    for body in (json.dumps(values | {"id": 9}).encode(), cbor2.dumps(values | {"id": 9})):
        if len(body) <= BODY_BYTES_MAX:
            assert frame_of(framed(body)) == Frame("9", {key: (value, "") for key, value in values.items()})


WRONG_BODIES = {
    "no map": b"[1]",
    "a text": b'"id"',
    "nothing": b"",
    "no JSON": b'{"id":1,}',
    "two maps": b'{"id":1}{"id":1}',
    "no UTF-8": b'{"id":1,"\xff":1}',
    "not a number": b'{"id":1,"x":NaN}',
    "endless": b'{"id":1,"x":Infinity}',
    "beyond all numbers": b'{"id":1,"x":1e999}',
    "a whole number beyond all": b'{"id":1,"x":' + b"9" * 200 + b"e200}",
    "CBOR: a whole number beyond all": bytes.fromhex("a2 626964 01 6178 c2 58c8") + b"\xff" * 200,
    "a text as value": b'{"id":1,"x":"1"}',
    "a list as value": b'{"id":1,"x":[1]}',
    "a map as value": b'{"id":1,"x":{"y":1}}',
    "a deep list": b'{"id":1,"x":' + b"[" * 200,
    "no id": b'{"x":1}',
    "id 0": b'{"id":0}',
    "id 248": b'{"id":248}',
    "half an id": b'{"id":1.5}',
    "no id but nothing": b'{"id":null}',
    "a sequence below 0": b'{"id":1,"seq":-1}',
    "a sequence of 17 bits": b'{"id":1,"seq":65536}',
    "half a sequence": b'{"id":1,"seq":0.5}',
    "capital letters": b'{"id":1,"Temperature":1}',
    "an empty name": b'{"id":1,"":1}',
    "a long name": b'{"id":1,"' + b"x" * 33 + b'":1}',
    "CBOR: a list": cbor2.dumps([1]),
    "CBOR: a map without its last value": cbor2.dumps({"id": 1, "x": 2})[:-1],
    "CBOR: something behind the map": cbor2.dumps({"id": 1}) + b"\0",
    "CBOR: a map of unknown length": bytes.fromhex("bf 626964 01 ff"),
    "CBOR: a map longer than all memory": bytes.fromhex("bb 7fffffffffffffff"),
    "CBOR: a name longer than all memory": bytes.fromhex("a1 7b 7fffffffffffffff"),
    "CBOR: a number as name": cbor2.dumps({"id": 1, 2: 3}),
    "CBOR: a name twice": bytes.fromhex("a3 626964 01 6178 01 6178 02"),
    "CBOR: not a number": bytes.fromhex("a2 626964 01 6178 f97e00"),
    "CBOR: endless": bytes.fromhex("a2 626964 01 6178 f97c00"),
    "CBOR: a day": bytes.fromhex("a2 626964 01 6178 c1 00"),
    "CBOR: a map in a map": cbor2.dumps({"id": 1, "x": {"y": 1}}),
    "CBOR: itself": bytes.fromhex("d81c a2 626964 01 6178 d81d00"),
}


@pytest.mark.parametrize("name", WRONG_BODIES)
def test_a_wrong_body_is_refused(name: str):
    body = WRONG_BODIES[name]
    reason = Refusal.CRC if not body else Refusal.BODY
    assert refusals(framed(body)) == [reason]


def test_a_whole_number_of_any_length_is_read_as_far_as_a_double_reaches():
    assert frame_of(framed(b'{"id":1,"x":' + b"9" * 200 + b"}")).values == {"x": (1e200, "")}


def test_a_name_twice_is_refused():
    assert refusals(framed(b'{"id":1,"x":1,"x":1}')) == [Refusal.DUPLICATE]


def test_the_longest_body_fits_and_the_next_does_not():
    longest = b'{"id":1,"x":' + b"1}".rjust(BODY_BYTES_MAX - 12)
    assert len(framed(longest)) == FRAME_BYTES_MAX
    assert frame_of(framed(longest)).values == {"x": (1.0, "")}
    assert refusals(framed(longest.replace(b"1}", b" 1}"))) == [Refusal.LENGTH]


def test_the_crc_is_the_low_byte_first():
    body = b'{"id":1}'
    assert refusals(stuffed(body + crc32(body).to_bytes(4, "big")) + b"\0") == [Refusal.CRC]


def test_a_piece_shorter_than_a_crc_is_refused():
    assert refusals(stuffed(b"abc") + b"\0") == [Refusal.CRC]
    assert refusals(stuffed(b"") + b"\0") == [Refusal.CRC]


def test_what_is_no_cobs_is_refused():
    assert refusals(b"\x05abc\0") == [Refusal.FRAMING]


def test_a_delimiter_before_and_after_does_no_harm():
    reader = SensorReader()
    assert len(reader.feed(b"\0\0" + json_frame(id=1) + b"\0\0" + json_frame(id=2) + b"\0")) == 2
    assert not reader.refused


def lost(*sequences: int) -> int:
    reader = SensorReader()
    for sequence in sequences:
        reader.feed(json_frame(id=1, seq=sequence))
    return reader.lost


def test_lost_frames_are_counted():
    assert lost(0, 1, 2, 3) == 0
    assert lost(5, 6, 9) == 2
    assert lost(65534, 65535, 0, 1) == 0
    assert lost(65534, 1) == 2


def test_a_sensor_that_begins_anew_or_sleeps_lost_nothing():
    assert lost(500, 0, 1, 2) == 0
    assert lost(0, 0, 0, 0) == 0


def test_each_sensor_of_a_line_counts_for_itself():
    reader = SensorReader()
    for number, sequence in ((1, 0), (2, 100), (1, 1), (2, 102)):
        reader.feed(json_frame(id=number, seq=sequence))
    assert reader.lost == 1
