import msgspec
import pytest

from firmware_bridge.probe.asks import (
    Ask,
    Dropped,
    Garbled,
    Hail,
    Heard,
    Identify,
    Listen,
    Overheard,
    Read,
    Refused,
    Sender,
    Silence,
    Spoken,
    Texts,
    Wire,
    Words,
)

WIRE = Wire(kind="serial", baud=19200, parity="E")
ASKS = (
    Read(WIRE, 7, 4, 0, 2, 0.26),
    Identify(WIRE, 7, 0.5),
    Hail(1, 1.5),
    Listen(Wire(kind="tcp"), 4.0),
)
ANSWERS = (
    Words((0, 65535)),
    Refused(2),
    Texts({0: "maker", 1: "code"}),
    Silence(),
    Silence((3,)),
    Garbled("checksum wrong"),
    Dropped("closed"),
    Spoken("rtu+tcp", "01 83 02"),
    Overheard((Sender("p1", "XMX5", ("1-0:1.7.0",)),), 3),
)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("heard", ANSWERS)
def test_asks_and_answers_come_back_from_json_as_they_were(ask: Ask, heard: Heard):
    data = msgspec.json.encode((ask, heard))
    assert msgspec.json.decode(data, type=tuple[Ask, Heard]) == (ask, heard)


def test_a_wire_is_told_as_installers_say_it():
    assert WIRE.told == "19200 8E1"
    assert Wire(kind="serial", baud=9600, stop_bits=2).told == "9600 8N2"
    assert Wire(kind="tcp").told == "Modbus TCP"
    assert Wire(kind="rtu+tcp").told == "RTU over TCP"


def test_a_character_has_a_start_bit_and_whatever_the_setting_adds():
    assert Wire(kind="serial").bits_per_character == 10
    assert WIRE.bits_per_character == 11
    assert Wire(kind="serial", data_bits=7, parity="E").bits_per_character == 10
