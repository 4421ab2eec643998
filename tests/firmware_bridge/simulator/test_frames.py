"""Frames against bytes written by hand from the Modbus documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.frames import (
    FRAME_BYTES_MAX,
    ModbusException,
    NotModbusError,
    Read,
    Request,
    decode_read,
    encode_reply,
    exception_pdu,
    take_request,
    words_pdu,
)

# Read input registers 0x0034, two of them, from unit 1; transaction 0x1234.
GOLDEN = bytes.fromhex("1234 0000 0006 01 04 0034 0002")
REQUEST = Request(0x1234, 1, GOLDEN[7:])


def test_a_whole_frame_is_taken_off():
    received = bytearray(GOLDEN)
    assert take_request(received) == REQUEST
    assert not received
    assert decode_read(REQUEST.pdu) == Read(4, 0x34, 2)


def test_one_byte_at_a_time_gives_the_frame_with_its_last():
    received = bytearray()
    for byte in GOLDEN[:-1]:
        received.append(byte)
        assert take_request(received) is None
    received.append(GOLDEN[-1])
    assert take_request(received) == REQUEST


def test_two_frames_come_apart():
    received = bytearray(GOLDEN + GOLDEN[:6] + b"\x02" + GOLDEN[7:] + b"\x00")
    assert take_request(received) == REQUEST
    assert take_request(received) == REQUEST._replace(unit=2)
    assert take_request(received) is None
    assert received == b"\x00"


@pytest.mark.parametrize(
    "header",
    ["0000 0001 0006 01", "0000 0000 0000 01", "0000 0000 0001 01", "0000 0000 00ff 01", "0000 0000 ffff 01"],
)
def test_a_header_of_something_else_is_refused(header):
    with pytest.raises(NotModbusError):
        take_request(bytearray.fromhex(header))


def test_replies_are_as_the_document_draws_them():
    # Application Protocol 6.4: function, byte count, registers.
    words = words_pdu(4, bytes.fromhex("43664000"))
    assert encode_reply(REQUEST, words) == bytes.fromhex("1234 0000 0007 01 04 04 43664000")
    refused = exception_pdu(4, ModbusException.ILLEGAL_ADDRESS)
    assert encode_reply(REQUEST, refused) == bytes.fromhex("1234 0000 0003 01 84 02")


@pytest.mark.parametrize(
    ("pdu", "why"),
    [
        ("06 0000 0001", ModbusException.ILLEGAL_FUNCTION),
        ("2b 0e 01 00", ModbusException.ILLEGAL_FUNCTION),
        ("04 0000 0000", ModbusException.ILLEGAL_VALUE),
        ("04 0000 007e", ModbusException.ILLEGAL_VALUE),
        ("04 0000", ModbusException.ILLEGAL_VALUE),
        ("03 0000 0001 00", ModbusException.ILLEGAL_VALUE),
    ],
)
def test_what_cannot_be_read_has_its_exception(pdu, why):
    assert decode_read(bytes.fromhex(pdu)) == why


def test_the_largest_read_fits_into_a_frame():
    assert decode_read(bytes.fromhex("04 0000 007d")) == Read(4, 0, 125)
    assert len(encode_reply(REQUEST, words_pdu(4, bytes(250)))) <= FRAME_BYTES_MAX


@given(st.binary(max_size=600))
def test_any_bytes_are_requests_or_not_modbus(data):
    received = bytearray(data)
    try:
        while (request := take_request(received)) is not None:
            assert isinstance(decode_read(request.pdu), Read | ModbusException)
    except NotModbusError:
        return
    assert len(received) < FRAME_BYTES_MAX
