import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.verdict import PDU_BYTES_MAX, Request, exception_name, objects_end

IDENTITY = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x03abc\x01\x02de"


def test_a_register_is_two_bytes():
    assert Request(1, 3, 125).data_bytes == 250


@pytest.mark.parametrize(("code", "name"), [(2, "illegal address"), (11, "gateway target silent"), (99, "unknown")])
def test_an_exception_code_has_a_name(code: int, name: str):
    assert exception_name(code) == name


def test_an_identification_ends_behind_its_last_object():
    assert objects_end(IDENTITY + b"more", 0) == len(IDENTITY)
    assert objects_end(b"\x01" + IDENTITY, 1) == 1 + len(IDENTITY)


def test_where_an_identification_ends_is_known_with_the_length_of_its_last_object():
    assert [objects_end(IDENTITY[:end], 0) for end in range(len(IDENTITY) - 2)] == [None] * (len(IDENTITY) - 2)
    assert objects_end(IDENTITY[:-2], 0) == len(IDENTITY)


@pytest.mark.parametrize(("longer_by", "end"), [(0, PDU_BYTES_MAX), (1, None)])
def test_what_no_frame_can_hold_is_no_identification(longer_by: int, end: int | None):
    objects = bytes([0, PDU_BYTES_MAX - 9 + longer_by]) + bytes(300)
    assert objects_end(b"\x2b\x0e\x01\x01\0\0\x01" + objects, 0) == end


def test_another_encapsulated_message_is_no_identification():
    assert objects_end(b"\x2b\x0d" + IDENTITY[2:], 0) is None


@given(st.binary(max_size=600), st.integers(0, 600))
def test_any_bytes_have_an_end_or_none(received: bytes, at: int):
    end = objects_end(received, at)
    assert end is None or at < end <= at + 7 + 255 * 257
