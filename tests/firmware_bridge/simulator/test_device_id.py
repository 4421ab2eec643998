"""Read Device Identification against the drawings of Modbus Application Protocol V1.1b3, 6.21."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.device_id import identification_pdu
from firmware_bridge.simulator.frames import ModbusException

OBJECTS = {0: b"Company", 1: b"A9", 2: b"V1.0", 0x80: b"more"}


def pdu(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_basic_stream_has_three_objects():
    wanted = pdu("2b 0e 01 81 00 00 03 00 07") + b"Company" + pdu("01 02") + b"A9" + pdu("02 04") + b"V1.0"
    assert identification_pdu(pdu("2b 0e 01 00"), OBJECTS) == wanted


def test_a_stream_can_begin_later_or_hold_everything():
    assert identification_pdu(pdu("2b 0e 01 02"), OBJECTS) == pdu("2b 0e 01 81 00 00 01 02 04") + b"V1.0"
    assert identification_pdu(pdu("2b 0e 03 80"), OBJECTS) == pdu("2b 0e 03 81 00 00 01 80 04") + b"more"


def test_one_object_comes_alone():
    assert identification_pdu(pdu("2b 0e 04 01"), OBJECTS) == pdu("2b 0e 04 81 00 00 01 01 02") + b"A9"


@pytest.mark.parametrize(
    ("request_pdu", "why"),
    [
        ("2b 0e 04 05", ModbusException.ILLEGAL_ADDRESS),
        ("2b 0e 00 00", ModbusException.ILLEGAL_VALUE),
        ("2b 0e 05 00", ModbusException.ILLEGAL_VALUE),
        ("2b 0e 01", ModbusException.ILLEGAL_VALUE),
        ("2b 0d 01 00", ModbusException.ILLEGAL_FUNCTION),
        ("2b", ModbusException.ILLEGAL_FUNCTION),
    ],
)
def test_what_cannot_be_answered_has_its_exception(request_pdu, why):
    assert identification_pdu(pdu(request_pdu), OBJECTS) is why


def test_a_device_without_objects_does_not_know_the_function():
    assert identification_pdu(pdu("2b 0e 01 00"), {}) is ModbusException.ILLEGAL_FUNCTION


def test_long_texts_follow_in_further_answers():
    objects = {number: bytes([65 + number]) * 120 for number in range(3)}
    first = identification_pdu(pdu("2b 0e 01 00"), objects)
    assert isinstance(first, bytes)
    assert first[4:7] == pdu("ff 02 02")
    last = identification_pdu(pdu("2b 0e 01 02"), objects)
    assert isinstance(last, bytes)
    assert last[4:7] == pdu("00 00 01")


@given(st.binary(min_size=1, max_size=8), st.dictionaries(st.integers(0, 255), st.binary(max_size=300), max_size=5))
def test_any_request_is_answered_in_one_pdu_or_refused(request_pdu, objects):
    answer = identification_pdu(request_pdu, objects)
    assert isinstance(answer, ModbusException) or len(answer) <= 253
