import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.identity import Recognition, code_of, question, recognise, text_of
from firmware_bridge.map_file import WordOrder
from firmware_bridge.map_parser import parse_profile
from firmware_bridge.profile import Profile

METER = """
schema = 1
key = "small"
vendor = "V"
models = ["M1", "M2"]
kind = "meter"
sources = ["a document"]
confidence = "low"
word_order = "low_first"
max_read = 11

[[identify]]
name = "device_code"
function = 3
address = 0x0B
type = "u16"
values = { 0x0155 = "M1" }
ranges = [{ first = 400, last = 410, model = "M2" }]
confidence = "high"

[[identify]]
name = "firmware"
function = 4
address = 0x302
type = "u32"

[[identify]]
name = "serial_number"
function = 3
address = 0x5000
type = "str"
registers = 7

[registers]
frequency_hz = { address = 0, function = 3, type = "u16", scale = 0.1, unit = "Hz" }
"""
TEXTS = (
    METER[: METER.index("[[identify]]")]
    + """
[[identify]]
name = "model"
function = 3
address = 0
type = "str"
registers = 4
contains = { "abc-1" = "M1" }
confidence = "medium"

[[identify]]
name = "device_identification"
function = 43
contains = { acme = "M2" }
confidence = "high"

[[identify]]
name = "unit_address"
function = 3
address = 6
type = "u16"
is_unit = true
confidence = "medium"

[[identify]]
name = "serial_number"
function = 3
address = 8
type = "u32"
"""
    + METER[METER.index("[registers]") :]
)


def profile(text: str = METER) -> Profile:
    return parse_profile(text, "small")


def words_of(text: str, registers: int) -> list[int]:
    packed = text.encode().ljust(2 * registers, b"\0")
    return [packed[place] << 8 | packed[place + 1] for place in range(0, 2 * registers, 2)]


def test_every_entry_says_what_to_read():
    places = {one.name: question(one) for one in profile().file.identify}
    assert places == {"device_code": (3, 0x0B, 1), "firmware": (4, 0x302, 2), "serial_number": (3, 0x5000, 7)}
    assert [question(one) for one in profile(TEXTS).file.identify][1] is None
    assert question(profile().file.identify[0], shift=10_000) == (3, 10_011, 1)


def test_a_known_code_names_the_model():
    said = recognise(profile(), {"device_code": [0x0155]})
    assert said == Recognition("M1", None, "high", ("device_code reads 341 (0x155): M1 (high confidence)",))
    assert recognise(profile(), {"device_code": [405]}).model == "M2"


def test_an_unknown_code_of_a_sure_table_speaks_against_the_profile():
    said = recognise(profile(), {"device_code": [71], "serial_number": words_of("KX01", 7)})
    assert (said.model, said.confidence, said.is_refuted) == (None, None, True)
    assert said.reasons == ("device_code reads 71 (0x47), which is no model of this profile",)
    assert said.serial_number == "KX01"


def test_an_unknown_code_of_an_unsure_table_says_nothing():
    said = recognise(profile(METER.replace('confidence = "high"', 'confidence = "medium"')), {"device_code": [71]})
    assert (said.confidence, said.is_refuted) == (None, False)
    assert said.reasons


def test_what_only_tells_a_version_supports_nothing():
    said = recognise(profile(), {"firmware": [0x0102, 0x0003]})
    assert said == Recognition(None, None, None, ("firmware reads 196866 (0x30102)",))


def test_nothing_asked_nothing_known():
    assert recognise(profile(), {}) == Recognition(None, None, None, ())


def test_part_of_a_text_or_of_the_device_identification_names_the_model():
    said = recognise(profile(TEXTS), {"model": words_of("X ABC-12", 4)})
    assert (said.model, said.confidence) == ("M1", "medium")
    said = recognise(profile(TEXTS), {}, objects={0: "ACME\x00 GmbH", 1: "PM\n5", 2: "V1", 9: "secret"})
    assert (said.model, said.confidence) == ("M2", "high")
    assert said.reasons == ("device_identification reads 'ACME GmbH PM5 V1': M2 (high confidence)",)


def test_a_model_without_known_values_is_told_in_the_makers_words():
    text = TEXTS.replace('contains = { "abc-1" = "M1" }\n', "")
    said = recognise(profile(text), {"model": words_of("ABC-9", 4)}, objects={0: "Acme"})
    assert (said.model, said.confidence) == ("ABC-9", "high")


def test_a_register_that_holds_the_unit_is_a_check():
    assert recognise(profile(TEXTS), {"unit_address": [7]}, unit=7).confidence == "medium"
    assert recognise(profile(TEXTS), {"unit_address": [8]}, unit=7).confidence is None
    sure = TEXTS.replace('is_unit = true\nconfidence = "medium"', 'is_unit = true\nconfidence = "high"')
    assert recognise(profile(sure), {"unit_address": [8]}, unit=7).is_refuted
    assert not recognise(profile(sure), {"unit_address": [8]}).is_refuted


@pytest.mark.parametrize(
    ("words", "number"),
    [([0x5678, 0x1234], "305419896"), ([0xFFFF, 0xFFFF], None), ([0, 0], None), ([1], None), ([1, 2, 3], None)],
)
def test_a_serial_number_is_text_and_a_blank_one_is_none(words: list[int], number: str | None):
    assert recognise(profile(TEXTS), {"serial_number": words}).serial_number == number


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (words_of("KX0012345", 7), "KX0012345"),
        (words_of("  AB ", 7), "AB"),
        ([0x4142, 0x43FF, 0xFFFF], "ABC"),
        ([0x0041, 0x0042, 0x0043], "ABC"),
        ([0x4100, 0x4200, 0x4300], "ABC"),
        ([0x4142, 0x0043], "AB"),
        ([0, 0], None),
        ([0xFFFF, 0xFFFF], None),
        ([0x4107], None),
        ([0x41E4], None),
        ([], None),
    ],
)
def test_a_text_ends_at_its_filling_and_is_printable(words: list[int], text: str | None):
    assert text_of(words) == text


def test_bytes_of_a_text_may_be_swapped_inside_each_register():
    assert text_of([0x4241, 0x0043], is_byte_swapped=True) == "ABC"


def test_codes_follow_the_word_order():
    assert code_of([1, 2], WordOrder.HIGH_FIRST) == 0x00010002
    assert code_of([1, 2], WordOrder.LOW_FIRST) == 0x00020001


WORDS = st.lists(st.integers(0, 0xFFFF), max_size=16)


@given(
    WORDS, WORDS, WORDS, st.dictionaries(st.integers(0, 300), st.text(max_size=300), max_size=5), st.integers(0, 255)
)
def test_any_answer_is_recognised_or_not_in_bounded_words(first, second, third, objects, unit):
    for text, names in ((METER, ("device_code", "firmware")), (TEXTS, ("model", "unit_address"))):
        words = {names[0]: first, names[1]: second, "serial_number": third}
        said = recognise(profile(text), words, objects=objects, unit=unit)
        assert all(len(reason) < 400 and reason.isprintable() for reason in said.reasons)
        assert said.serial_number is None or (said.serial_number.isprintable() and len(said.serial_number) <= 14)
        assert said.model is None or said.confidence is not None
        assert not (said.is_refuted and said.model)


CODE, TEXT = METER, TEXTS
MISTAKES = {
    "no function": (CODE, "function = 3\n", "", "identify[0].function = (missing): is needed; add it: 3, 4 or 43"),
    "no address": (CODE, "address = 0x0B\n", "", "identify[0].address = (missing): is needed with function 3 or 4"),
    "a text without length": (CODE, "registers = 7\n", "", "identify[2].registers = None: is the length of a text"),
    "a code with length": (CODE, '"u16"\n', '"u16"\nregisters = 2\n', "identify[0].registers = 2: is the length of"),
    "beyond the end": (CODE, "0x5000", "0xFFFF", "identify[2].address = 0xffff: leaves no room"),
    "too long a read": (CODE, "registers = 7", "registers = 12", "identify[2].registers = 12: does not fit max_read"),
    "no digits": (CODE, "0x0155", "M1", "identify[0].values = 'M1': is no code of 16 bits; write 341 or 0x0155"),
    "too many bits": (CODE, "0x0155", "0x10000", "identify[0].values = '0x10000': is no code of 16 bits"),
    "below zero": (CODE, "0x0155", '"-1"', "identify[0].values = '-1': is no code of 16 bits"),
    "an empty range": (CODE, "last = 410", "last = 399", "identify[0].ranges = 400..399: is no range of codes"),
    "part of a code": (CODE, "values =", "contains =", "identify[0].contains = {'0x0155': 'M1'}: goes with a text"),
    "large letters": (TEXT, '"abc-1"', '"ABC-1"', "identify[0].contains = 'ABC-1': is compared in small letters"),
    "a range of texts": (
        TEXT,
        'contains = { "abc-1" = "M1" }',
        'ranges = [{ first = 1, last = 2, model = "M" }]',
        "identify[0].ranges = [CodeRange(first=1, last=2, model='M')]: goes with a code",
    ),
    "an address of none": (
        TEXT,
        "function = 43\n",
        "function = 43\naddress = 1\n",
        "identify[1].address = 1: goes with function 3 or 4; remove it",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_entry_that_cannot_be_asked_is_named(name: str):
    text, good, bad, said = MISTAKES[name]
    assert good in text
    with pytest.raises(SettingError) as caught:
        profile(text.replace(good, bad, 1))
    assert str(caught.value).startswith(f"small.toml: {said}")
