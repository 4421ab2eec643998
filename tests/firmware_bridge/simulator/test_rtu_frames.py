"""RTU frames against bytes from the documents, and against the CRC of somebody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.rtu_frames import FRAME_BYTES_MAX, crc16, read_rtu, rtu_frame, take_rtu

# "Modbus over Serial Line" V1.02, appendix B: unit 2, function 7.
GOLDEN = bytes.fromhex("02 07 41 12")
# Ten holding registers from 0 of unit 1.
READ = bytes.fromhex("01 03 0000 000A C5CD")


@pytest.mark.parametrize("frame", [GOLDEN, READ])
def test_frames_are_as_the_document_draws_them(frame):
    assert rtu_frame(frame[0], frame[1:-2]) == frame
    assert read_rtu(frame) == Request(0, frame[0], frame[1:-2])


@given(st.binary(max_size=300))
def test_the_crc_is_that_of_an_independent_implementation(data):
    assert crc16(data) == int.from_bytes(FramerRTU.compute_CRC(data).to_bytes(2, "big"), "little")


@pytest.mark.parametrize("end", range(len(READ)))
def test_a_truncated_frame_is_ignored(end):
    assert read_rtu(READ[:end]) is None


@pytest.mark.parametrize("bit", range(8 * len(READ)))
def test_a_flipped_bit_is_noticed(bit):
    frame = bytearray(READ)
    frame[bit // 8] ^= 1 << bit % 8
    assert read_rtu(bytes(frame)) is None


def test_a_frame_beyond_the_longest_is_ignored():
    assert read_rtu(rtu_frame(1, bytes(253))) is not None
    assert read_rtu(rtu_frame(1, bytes(254))) is None


def test_a_stream_gives_its_frames_one_byte_at_a_time():
    received, taken = bytearray(), []
    for byte in READ + GOLDEN:
        received.append(byte)
        if (request := take_rtu(received)) is not None:
            taken.append(request)
    assert taken == [read_rtu(READ), read_rtu(GOLDEN)]
    assert not received


@given(st.binary(max_size=600))
def test_any_stream_is_taken_or_thrown_away(data):
    received = bytearray(data)
    while (request := take_rtu(received)) is not None:
        assert rtu_frame(request.unit, request.pdu) in data
    assert len(received) < FRAME_BYTES_MAX
