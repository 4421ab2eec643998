import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from gateway.contract.enrolment import (
    CODE_ALPHABET,
    CODE_CHARACTERS,
    CODE_RANDOM_BYTES,
    MESSAGE_BYTES_MAX,
    Enrolled,
    EnrolmentError,
    EnrolRequest,
    Nonce,
    Rotated,
    RotateRequest,
    code_digest,
    decode_key,
    decode_message,
    decode_proof,
    encode_bytes,
    encode_message,
    new_code,
    read_code,
    rotation_message,
    shown_code,
)

KEY_TEXT = encode_bytes(bytes(range(32)))
RANDOM = st.binary(min_size=CODE_RANDOM_BYTES, max_size=CODE_RANDOM_BYTES)


@given(RANDOM)
def test_a_code_is_read_as_it_was_shown_however_it_is_typed(random):
    shown = new_code(random)
    code = read_code(shown)
    assert shown_code(code) == shown
    assert len(shown.split("-")) == 5
    for typed in (shown.lower(), shown.replace("-", " "), f"  {code}\n", shown.replace("0", "o").replace("1", "l")):
        assert read_code(typed) == code


@given(RANDOM, RANDOM)
def test_other_random_bytes_are_another_code(one, other):
    same_bits = int.from_bytes(one) % 2**95 == int.from_bytes(other) % 2**95
    assert (new_code(one) == new_code(other)) is same_bits
    assert (code_digest(new_code(one)) == code_digest(new_code(other))) is same_bits


def test_most_slips_are_told_before_anybody_is_asked():
    code = read_code(new_code(bytes(range(CODE_RANDOM_BYTES))))
    slips = [
        code[:place] + letter + code[place + 1 :]
        for place in range(CODE_CHARACTERS)
        for letter in CODE_ALPHABET
        if letter != code[place]
    ]
    taken = sum(is_code(slip) for slip in slips)
    assert taken < len(slips) / 20, "one of 32 goes through by chance"


def is_code(typed: str) -> bool:
    try:
        read_code(typed)
    except EnrolmentError:
        return False
    return True


@given(st.text(max_size=300))
def test_whatever_is_typed_is_a_code_or_is_told(typed):
    assert not is_code(typed) or len(read_code(typed)) == CODE_CHARACTERS


def test_a_code_that_is_none_is_not_repeated():
    code = read_code(new_code(bytes(range(CODE_RANDOM_BYTES))))
    for typed in (code[:-1], code[1:] + code[0]):
        with pytest.raises(EnrolmentError) as caught:
            read_code(typed)
        assert typed[:6] not in str(caught.value)


def test_nobody_reads_the_code_from_its_digest():
    code = read_code(new_code(bytes(CODE_RANDOM_BYTES)))
    assert len(code_digest(code)) == 32
    assert code.encode() not in code_digest(code)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_keys_and_proofs_come_back_from_their_text(key, proof):
    assert decode_key(encode_bytes(key)) == key
    assert decode_proof(encode_bytes(proof)) == proof


@pytest.mark.parametrize(
    "text", ["", "A", KEY_TEXT[:-1], f"{KEY_TEXT}=", f"{KEY_TEXT}\n", KEY_TEXT[:-1] + "B", "é" * 43]
)
def test_a_key_has_one_spelling(text):
    with pytest.raises(EnrolmentError):
        decode_key(text)


MESSAGES = [
    Nonce("a.b"),
    EnrolRequest("K" * CODE_CHARACTERS, "gw-1", KEY_TEXT, "Raspberry Pi 4", "0.1.0"),
    Enrolled("gw-1", "org", "site", [KEY_TEXT], UtcUs(5)),
    RotateRequest(KEY_TEXT, "A" * 86),
    Rotated("A" * 22, [KEY_TEXT]),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back(message):
    assert decode_message(encode_message(message), type(message)) == message


@pytest.mark.parametrize("kind", [type(message) for message in MESSAGES])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html>", b"[1]", b"\xff", b"[" * 5000, b" " * (MESSAGE_BYTES_MAX + 1)]
)
def test_what_is_no_message_is_told(kind, body):
    with pytest.raises(EnrolmentError):
        decode_message(body, kind)


def test_the_proof_of_a_rotation_names_gateway_and_both_keys():
    assert rotation_message("gw-1", "old", "new") == b"smartwatts-rotate\0gw-1\0old\0new"
