from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError
from firmware_bridge.frames.sml_list import frames_of
from tests.firmware_bridge.frames.sml_encoder import (
    NONE,
    entry,
    kermit,
    list_message,
    message,
    meter_messages,
    octets,
    sequence,
    signed,
    unsigned,
    x25,
)

IMPORT = bytes.fromhex("0100010800ff")
POWER = bytes.fromhex("0100100700ff")
SERVER = bytes.fromhex("0a015357450000000001")


def values_of(*entries: bytes) -> dict[str, tuple[float | str, str]]:
    (frame,) = frames_of(list_message(SERVER, [*entries]), x25)
    assert frame.sender == SERVER.hex()
    return frame.values


def value_of(unit: int | None, scaler: int | None, raw: bytes) -> tuple[float | str, str] | None:
    return values_of(entry(POWER, unit, scaler, raw)).get("1-0:16.7.0*255")


def refusal(file: bytes) -> Refusal:
    with pytest.raises(RefusedError) as caught:
        frames_of(file, x25)
    return caught.value.reason


@pytest.mark.parametrize(
    ("unit", "scaler", "raw", "expected"),
    [
        (30, -1, unsigned(123456789, 8), (12345678.9, "Wh")),
        (27, -1, signed(-1234, 4), (-123.4, "W")),
        (27, 0, signed(-1, 8), (-1.0, "W")),
        (27, None, unsigned(7, 1), (7.0, "W")),
        (27, 2, unsigned(7, 1), (700.0, "W")),
        (35, -1, unsigned(2301, 2), (230.1, "V")),
        (33, -2, unsigned(250, 2), (2.5, "A")),
        (44, -1, unsigned(500, 2), (50.0, "Hz")),
        (None, None, unsigned(3, 1), (3.0, "")),
        (255, None, unsigned(3, 1), (3.0, "")),
        (201, None, unsigned(3, 1), (3.0, "unit 201")),
        (None, None, b"\x42\x01", (1.0, "")),
        (None, None, octets(b"SWE"), ("SWE", "")),
        (None, None, octets(b"\x0a\x01"), ("0a01", "")),
        (None, None, octets(b"\xff\xfe"), ("fffe", "")),
        (None, None, NONE, None),
        (7, None, sequence(unsigned(1, 1), unsigned(99, 4)), None),
        (27, -127, unsigned(2**64 - 1, 8), ((2**64 - 1) / 10**127, "W")),
        (27, 127, unsigned(2**64 - 1, 8), (float((2**64 - 1) * 10**127), "W")),
    ],
)
def test_a_value_its_unit_and_its_scaler(unit, scaler, raw: bytes, expected):
    assert value_of(unit, scaler, raw) == expected


def test_a_meter_sends_the_list_between_open_and_close():
    frames = frames_of(meter_messages(SERVER, [entry(IMPORT, 30, -1, unsigned(5, 8))]), x25)
    assert frames == [Frame(SERVER.hex(), {"1-0:1.8.0*255": (0.5, "Wh")})]


def test_a_list_of_more_than_fifteen_entries():
    entries = [entry(bytes([1, 0, number, 7, 0, 255]), 27, 0, unsigned(number, 1)) for number in range(40)]
    assert len(values_of(*entries)) == 40


def test_zeros_between_messages_are_passed_over():
    assert len(frames_of(bytes(3) + list_message(SERVER, []) + bytes(3), x25)) == 1


def test_another_kind_of_message_is_passed_over():
    assert frames_of(message(1, 0xFF01, sequence(octets(SERVER), octets(b"\x81\x81\xc7\xc7\xfe\x03"))), x25) == []


def test_times_that_are_numbers_and_choices_of_four_bytes():
    """As the Holley DTZ541 sends them."""
    value = sequence(octets(IMPORT), NONE, unsigned(99, 4), unsigned(30, 1), signed(-1, 1), unsigned(5, 4), NONE)
    body = sequence(NONE, octets(SERVER), NONE, unsigned(99, 4), sequence(value), NONE, NONE)
    checked = b"\x76" + octets(b"\x00\x02") + unsigned(0, 1) * 2 + sequence(unsigned(0x0701, 4), body)
    (frame,) = frames_of(checked + b"\x63" + kermit(checked) + b"\0", kermit)
    assert frame.values == {"1-0:1.8.0*255": (0.5, "Wh")}


def test_a_crc_that_begins_with_zero_may_be_sent_short():
    number = next(n for n in range(1000) if x25(list_message(SERVER, [of_number(n)])[:-4])[0] == 0)
    whole = list_message(SERVER, [of_number(number)])
    short = whole[:-4] + b"\x62" + whole[-2:]
    assert frames_of(short, x25) == frames_of(whole, x25)


def of_number(number: int) -> bytes:
    return entry(POWER, 27, 0, unsigned(number, 2))


def test_every_message_has_a_crc_of_its_own():
    whole = list_message(SERVER, [of_number(1)])
    for at in range(1, len(whole) - 1):
        spoiled = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert refusal(spoiled) in (Refusal.CRC, Refusal.BODY)


def test_a_code_that_stands_twice_is_refused():
    assert refusal(list_message(SERVER, [of_number(1), of_number(2)])) is Refusal.DUPLICATE


WRONG = {
    "nothing but a byte": b"\x55",
    "a list without a server": message(1, 0x0701, sequence(*[NONE] * 7)),
    "a list that is none": message(1, 0x0701, octets(b"x")),
    "a list of six parts": message(1, 0x0701, sequence(NONE, octets(SERVER), *[NONE] * 4)),
    "an entry of six parts": list_message(SERVER, [sequence(*[NONE] * 6)]),
    "an entry that is a number": list_message(SERVER, [unsigned(1, 1)]),
    "a code of five bytes": list_message(SERVER, [entry(IMPORT[:5], 30, 0, unsigned(1, 1))]),
    "a scaler beyond a byte": list_message(
        SERVER, [sequence(octets(POWER), NONE, NONE, NONE, signed(-128, 2), unsigned(1, 1), NONE)]
    ),
    "a scaler that is a text": list_message(
        SERVER, [sequence(octets(POWER), NONE, NONE, NONE, octets(b"x"), unsigned(1, 1), NONE)]
    ),
    "a body that is no choice": b"\x76" + octets(b"1") + unsigned(0, 1) * 2 + NONE,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_file_is_refused(name: str):
    file = WRONG[name]
    if name == "a body that is no choice":
        file += b"\x63" + x25(file) + b"\0"
    assert refusal(file) is Refusal.BODY


def test_a_message_without_its_end_is_refused():
    whole = list_message(SERVER, [])
    assert refusal(whole[:-1]) is Refusal.BODY
    assert refusal(whole[:-1] + b"\x01") is Refusal.BODY


@given(st.binary(max_size=300))
def test_any_entries_are_read_or_refused(data: bytes):
    for file in (data, list_message(SERVER, [data]), meter_messages(data, [data])):
        with suppress(RefusedError):
            frames_of(file, x25)
