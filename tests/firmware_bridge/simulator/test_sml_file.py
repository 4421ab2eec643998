"""SML files, byte by byte."""

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.reflected_crc import crc16_x25
from firmware_bridge.simulator.sml_file import SmlForm, transported
from firmware_bridge.simulator.telegram import Moment

VALUES = dict.fromkeys(SmlForm.measurands, 0.0) | {
    Measurand.ENERGY_IMPORT_WH: 1_234_567.89,
    Measurand.ACTIVE_POWER_W: -350.04,
    Measurand.VOLTAGE_L1_V: 230.16,
    Measurand.CURRENT_L1_A: 1.526,
    Measurand.FREQUENCY_HZ: 49.987,
}


def moment(at_s: int = 1_000, **changes: float) -> Moment:
    values = {**VALUES, **{Measurand(name): value for name, value in changes.items()}}
    return Moment(at_s, UtcUs(0), 0x01020304, (), lambda second: values)


def data(**changes: float) -> bytes:
    return SmlForm().telegram(moment(**changes)).data


def test_a_file_is_wrapped_filled_up_and_proven():
    for body in (b"", b"a", b"abcd", b"abcde"):
        whole = transported(body)
        assert whole.startswith(b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01" + body)
        assert len(whole) % 4 == 0
        assert whole[-8:-3] == b"\x1b\x1b\x1b\x1b\x1a"
        assert whole[-3] == -len(body) % 4
        assert whole[-2:] == crc16_x25(whole[:-2]).to_bytes(2, "little")


def test_an_escape_inside_is_doubled():
    assert b"\x1b" * 8 + b"\x02" in transported(b"\x1b\x1b\x1b\x1b\x02")


def test_values_stand_behind_their_codes_with_unit_and_scaler():
    whole = data()
    # code, no status, no time, unit, scaler, value, no signature: a list of seven
    assert bytes.fromhex("77 07 0100010800ff 01 01 62 1e 52 ff 59 0000000000bc614f 01") in whole
    assert bytes.fromhex("77 07 0100100700ff 01 01 62 1b 52 ff 55 fffff254 01") in whole
    assert bytes.fromhex("77 07 0100200700ff 01 01 62 23 52 ff 55 000008fe 01") in whole
    assert bytes.fromhex("77 07 01001f0700ff 01 01 62 21 52 fe 55 00000099 01") in whole
    assert bytes.fromhex("77 07 01000e0700ff 01 01 62 2c 52 fe 55 00001387 01") in whole


def test_three_messages_carry_it_each_with_its_crc():
    body = data()[8:-8]
    opening = body[: body.index(bytes.fromhex("76 04 03e8 01"))]
    assert opening.startswith(bytes.fromhex("76 04 03e8 00 62 00 62 00 72 65 00000101 76 01 01 05 000003e8 0b 0a01"))
    assert opening[-4:] == b"\x63" + crc16_x25(opening[:-4]).to_bytes(2, "little") + b"\0"
    assert b"\x72\x65\x00\x00\x07\x01\x77" in body
    assert b"\x72\x65\x00\x00\x02\x01\x71\x01\x63" in body


def test_a_list_of_many_has_its_length_in_two_bytes_and_the_server_in_one():
    whole = data()
    entries = len(VALUES) + 1
    assert entries == 14
    assert b"\x7e\x77\x07\x81\x81\xc7\x82\x03\xff" in whole, "the maker comes first"
    assert b"\x0b\x0a\x01SWE\x00\x01\x02\x03\x04" in whole


def test_what_is_shown_is_what_is_told():
    shown = SmlForm().telegram(moment()).shown
    assert shown.keys() == SmlForm.measurands
    assert shown[Measurand.ENERGY_IMPORT_WH] == 1_234_567.9
    assert shown[Measurand.ACTIVE_POWER_W] == -350.0
    assert shown[Measurand.CURRENT_L1_A] == 1.53
    assert shown[Measurand.FREQUENCY_HZ] == pytest.approx(49.99)


def test_a_value_beyond_its_bytes_stops_at_their_end():
    assert SmlForm().telegram(moment(active_power_w=1e12)).shown[Measurand.ACTIVE_POWER_W] == (2**31 - 1) / 10
