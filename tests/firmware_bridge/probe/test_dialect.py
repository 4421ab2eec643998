import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.probe.asks import Garbled, Silence, Spoken
from firmware_bridge.probe.dialect import hail_frames, spoken, unspoken
from tests.firmware_bridge.modbus_slave import framed

UNIT = 7
MBAP, RTU = hail_frames(UNIT)


def test_the_question_is_the_same_in_both_protocols():
    assert MBAP[6:] == RTU[:-2] == struct.pack(">BBHH", UNIT, 3, 0, 2)
    assert framed(RTU[:-2]) == RTU
    assert MBAP[0] == 0  # as RTU that would be a broadcast, to which nobody answers


@pytest.mark.parametrize(
    "pdu", [bytes([3, 4, 0, 1, 0, 2]), bytes([0x83, 2]), bytes([0x83, 0x0B])], ids=["words", "exception", "gateway"]
)
def test_an_answer_tells_the_protocol(pdu: bytes):
    body = bytes([UNIT]) + pdu
    as_tcp = MBAP[:4] + struct.pack(">H", len(body)) + body
    heard = spoken(UNIT, as_tcp)
    assert isinstance(heard, Spoken)
    assert heard.kind == "tcp"
    heard = spoken(UNIT, framed(body))
    assert isinstance(heard, Spoken)
    assert heard.kind == "rtu+tcp"
    assert heard.shown == framed(body)[:16].hex(" ")


def test_every_part_of_an_answer_is_no_answer_yet():
    body = bytes([UNIT, 3, 4, 0, 1, 0, 2])
    as_tcp = MBAP[:4] + struct.pack(">H", len(body)) + body
    for whole in (as_tcp, framed(body)):
        assert all(spoken(UNIT, whole[:end]) is None for end in range(len(whole)))


def test_another_service_is_shown_as_it_is():
    said = b"SSH-2.0-OpenSSH_9.2\r\n"
    assert spoken(UNIT, said) is None
    assert unspoken(said) == Garbled("53 53 48 2d 32 2e 30 2d 4f 70 65 6e 53 53 48 5f (SSH-2.0-OpenSSH_)")
    assert unspoken(b"") == Silence()


@given(st.binary(max_size=300))
def test_whatever_comes_is_judged_without_an_error(received: bytes):
    assert spoken(UNIT, received) is None or isinstance(spoken(UNIT, received), Spoken)
    unspoken(received)
