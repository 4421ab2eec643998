import pytest
import smllib
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frames.frame import Frame, Refusal
from firmware_bridge.frames.sml import FILE_BYTES_MAX, SmlReader
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.sml_encoder import (
    END,
    START,
    entry,
    kermit,
    list_message,
    meter_messages,
    octets,
    signed,
    transported,
    unsigned,
    x25,
)

SERVER = bytes.fromhex("0a015357450000000001")
UNITS = {27: "W", 30: "Wh", 35: "V"}


def read(data: bytes) -> tuple[list[Frame], list[Refusal]]:
    reader = SmlReader()
    return reader.feed(data), [*reader.refused.elements()]


def text_file(*texts: bytes) -> bytes:
    entries = [entry(bytes([1, 0, 96, 50, at, 255]), None, None, octets(text)) for at, text in enumerate(texts)]
    return transported(list_message(SERVER, entries))


def test_the_values_of_a_meter():
    assert read(golden.SML)[0] == [
        Frame(
            "0a015357450000000001",
            {
                "129-129:199.130.3*255": ("SWE", ""),
                "1-0:1.8.0*255": (12345678.9, "Wh"),
                "1-0:2.8.0*255": (1234.5, "Wh"),
                "1-0:16.7.0*255": (-123.4, "W"),
                "1-0:32.7.0*255": (231.1, "V"),
            },
        )
    ]


def in_other_words(data: bytes, crc: str = "x25") -> dict[str, tuple[float | str, str]]:
    """What smllib reads."""
    stream = smllib.SmlStreamReader(crc=crc)
    stream.add(data)
    found = [one.message_body for one in stream.get_frame().parse_frame()]
    (values,) = [one.val_list for one in found if hasattr(one, "val_list")]
    return {one.obis.obis_code: (one.get_value(), UNITS.get(one.unit, "")) for one in values}


def test_smllib_reads_the_same():
    (frame,) = read(golden.SML)[0]
    assert frame.values == in_other_words(golden.SML)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(UNITS)), st.integers(-3, 3), st.integers(-(2**31), 2**31 - 1), st.integers(0, 255)
        ),
        max_size=12,
        unique_by=lambda one: one[3],
    )
)
def test_smllib_reads_the_same_of_any_meter(numbers: list[tuple[int, int, int, int]]):
    entries = [entry(bytes([1, 0, at, 7, 0, 255]), unit, scaler, signed(raw, 4)) for unit, scaler, raw, at in numbers]
    for check, name in ((x25, "x25"), (kermit, "kermit")):
        data = transported(meter_messages(SERVER, entries, check), check)
        (frame,) = read(data)[0]
        other = in_other_words(data, name)
        assert frame.values.keys() == other.keys()
        for code, (value, unit) in frame.values.items():
            assert value == pytest.approx(other[code][0])
            assert unit == other[code][1]


def test_escape_words_in_the_file_come_twice_on_the_line():
    escape = START[:4]
    for text in (escape, b"ab" + escape + b"c", escape * 3, b"\x1b" * 7, escape + END[-1:] + b"xyz", START, END):
        data = text_file(text)
        ((code, (value, _)),) = read(data)[0][0].values.items()
        assert code == "1-0:96.50.0*255"
        assert value == text.hex()


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_any_texts_come_through(texts: list[bytes]):
    (frame,) = read(text_file(*texts))[0]
    assert [value for value, _ in frame.values.values()] == [
        text.decode() if text.isascii() and text.decode().isprintable() else text.hex() for text in texts
    ]


def test_a_file_of_every_length_is_filled_up_to_whole_words():
    lengths = {len(text_file(b"x" * count)) % 4 for count in range(1, 9)}
    assert lengths == {0}
    assert all(len(read(text_file(b"x" * count))[0]) == 1 for count in range(1, 9))


def test_a_word_after_an_escape_word_that_nobody_knows():
    spoiled = START + b"abcd" + START[:4] + b"\x02\x03\x04\x05"
    assert read(spoiled + golden.SML) == (read(golden.SML)[0], [Refusal.FRAMING])


def test_a_file_that_is_cut_by_the_next_one():
    for end in range(len(START), len(golden.SML) - len(END) - 3):
        frames, refused = read(golden.SML[:end] + golden.SML)
        assert frames == read(golden.SML)[0]
        assert refused == [Refusal.FRAMING]


def test_a_fill_that_is_none():
    for fill in (4, 255):
        body = START + list_message(SERVER, []) + END + bytes([fill])
        assert read(body + x25(body)) == ([], [Refusal.FRAMING])
    body = START + END + b"\x01"
    assert read(body + x25(body)) == ([], [Refusal.FRAMING])


def test_an_empty_file_has_no_frames():
    assert read(transported(b"")) == ([], [])


def test_the_crc_of_the_other_kind_inside_is_refused():
    mixed = transported(meter_messages(SERVER, [entry(bytes(6), 27, 0, unsigned(1, 1))], kermit), x25)
    assert read(mixed) == ([], [Refusal.CRC])


def test_a_file_without_end_is_refused_and_forgotten():
    frames, refused = read(START + b"x" * 3 * FILE_BYTES_MAX + golden.SML)
    assert frames == read(golden.SML)[0]
    assert refused == [Refusal.LENGTH]


def test_the_longest_file():
    texts = [b"x" * 230] * 16
    fits, longer = text_file(*texts), text_file(*texts, *texts)
    assert len(fits) < FILE_BYTES_MAX < len(longer)
    assert len(read(fits)[0]) == 1
    assert read(longer) == ([], [Refusal.LENGTH])
