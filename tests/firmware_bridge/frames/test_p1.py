import pytest

from firmware_bridge.frames.frame import Frame, Refusal
from firmware_bridge.frames.p1 import TELEGRAM_BYTES_MAX, P1Reader
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.p1_encoder import arc, telegram, unchecked, x25

POWER = "1-0:1.7.0(00.123*kW)"


def read(data: bytes) -> tuple[list[Frame], list[Refusal]]:
    reader = P1Reader()
    return reader.feed(data), [*reader.refused.elements()]


def test_both_crcs_that_meters_send_are_taken():
    for check in (arc, x25):
        frames, refused = read(telegram(POWER, check=check))
        assert [frame.values for frame in frames] == [{"1-0:1.7.0": (0.123, "kW")}]
        assert refused == []


def test_the_check_value_of_each_crc():
    """The one that catalogues of CRCs give, for the nine digits."""
    assert (arc(b"123456789"), x25(b"123456789")) == (0xBB3D, 0x906E)


def test_small_letters_in_a_crc_are_the_same_digits():
    head, digits = golden.DSMR_5[:-6], golden.DSMR_5[-6:]
    assert len(read(head + digits.lower())[0]) == 1


def test_lines_may_end_without_a_carriage_return():
    body = telegram(POWER).replace(b"\r\n", b"\n")[:-5]
    assert len(read(body + f"{arc(body):04X}\n".encode())[0]) == 1


@pytest.mark.parametrize("end", ["!12", "!123", "!12345", "!GGGG", "! 1234", "!1234 ", "!+123", "!0x12"])
def test_a_last_line_that_is_none_is_refused(end: str):
    spoiled = telegram(POWER)[:-7] + end.encode() + b"\r\n"
    assert read(spoiled) == ([], [Refusal.CRC])


def test_a_telegram_without_a_crc_waits_for_another_of_its_form():
    first, second = unchecked(POWER), unchecked("1-0:1.7.0(09.876*kW)")
    assert read(first) == ([], [Refusal.UNPROVEN])
    frames, refused = read(first + second)
    assert [frame.values for frame in frames] == [{"1-0:1.7.0": (9.876, "kW")}]
    assert refused == [Refusal.UNPROVEN]


def test_a_telegram_without_a_crc_that_lost_a_byte_is_not_taken():
    whole = golden.DSMR_2
    for at in range(len(whole)):
        frames, _ = read(whole + whole[:at] + whole[at + 1 :])
        assert all(frame == read(whole * 2)[0][0] for frame in frames)


def test_two_without_a_crc_spliced_are_not_taken():
    whole = golden.DSMR_2
    for end in range(1, len(whole), 7):
        for start in range(1, len(whole), 7):
            if start != end:
                frames, _ = read(whole + whole[:end] + whole[start:])
                assert frames in ([], read(whole * 2)[0])


def test_a_meter_that_sends_crcs_is_not_believed_without():
    with_crc = telegram(POWER)
    without = unchecked(POWER)
    frames, refused = read(with_crc + without * 3)
    assert len(frames) == 1
    assert refused == [Refusal.CRC] * 3


def test_a_meter_of_dsmr_4_is_not_believed_without_a_crc():
    assert read(unchecked("1-3:0.2.8(42)", POWER) * 2) == ([], [Refusal.CRC] * 2)


def test_a_telegram_that_is_cut_by_the_next_one_is_refused():
    whole = telegram(POWER)
    for end in range(len("/XMX5SWE000000001\r\n\r\n"), len(whole) - 5):
        frames, refused = read(whole[:end] + whole)
        assert len(frames) == 1
        assert refused == [Refusal.FRAMING]


def test_the_longest_telegram_is_read_and_a_longer_one_is_refused():
    def message(digits: int) -> bytes:
        return telegram(POWER, *(f"0-0:96.13.{place}({'41' * (digits // 8)})" for place in range(4)))

    fits = message(TELEGRAM_BYTES_MAX - 2000)
    assert len(read(fits)[0]) == 1
    frames, refused = read(message(TELEGRAM_BYTES_MAX * 2) + telegram(POWER))
    assert len(frames) == 1
    assert refused == [Refusal.LENGTH]


def test_a_text_message_of_full_length_is_read():
    frames, _ = read(telegram(POWER, f"0-0:96.13.0({'41' * 1024})"))
    assert len(frames[0].values["0-0:96.13.0"][0]) == 2048


def test_a_unit_with_a_slash_begins_no_telegram():
    frames, refused = read(telegram(POWER, "0-2:24.2.9(00001.200*m3/h)"))
    assert frames[0].values["0-2:24.2.9"] == (1.2, "m3/h")
    assert refused == []
