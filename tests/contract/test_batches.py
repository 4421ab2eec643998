import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    Acknowledgement,
    Batch,
    Refusal,
    StoredRecord,
    decode_acknowledgement,
    decode_batch,
    decode_refusal,
    encode_acknowledgement,
    encode_batch,
    encode_refusal,
)
from gateway.contract.records import RecordError

GENERATION = "0123456789abcdef" * 2


def batch(*sequences: int) -> Batch:
    return Batch("gw-1", GENERATION, 0, [StoredRecord(sequence, UtcUs(sequence), b"body") for sequence in sequences])


def test_a_batch_may_leave_records_out():
    assert [record.sequence for record in decode_batch(encode_batch(batch(1, 3, 9))).records] == [1, 3, 9]


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_more_than_an_error(body: bytes):
    for decode in (decode_batch, decode_acknowledgement, decode_refusal):
        with pytest.raises(RecordError):
            decode(body)


@pytest.mark.parametrize("conflict_from", [None, 1, 2**63 - 1])
def test_a_refusal_comes_back_as_it_was(conflict_from: int | None):
    refusal = Refusal("the body is too long", "send smaller batches", conflict_from)
    assert decode_refusal(encode_refusal(refusal)) == refusal


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2**53), st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_a_batch_comes_back_as_it_was(first: int, bodies: list[bytes]):
    sent = Batch("gw-1", GENERATION, 0, [StoredRecord(first + i, UtcUs(i), body) for i, body in enumerate(bodies)])
    assert decode_batch(encode_batch(sent)) == sent


@pytest.mark.parametrize("sequences", [(2, 1), (5, 5), (7, 8, 8), (1, 5, 3)])
def test_a_batch_with_a_turn_or_a_repetition_is_refused(sequences: tuple[int, ...]):
    with pytest.raises(RecordError, match="do not rise"):
        decode_batch(encode_batch(batch(*sequences)))


def test_an_empty_batch_and_one_too_long_are_refused():
    for sequences in (range(0), range(1, BATCH_RECORDS_MAX + 2)):
        with pytest.raises(RecordError):
            decode_batch(encode_batch(batch(*sequences)))
    assert len(decode_batch(encode_batch(batch(*range(1, BATCH_RECORDS_MAX + 1)))).records) == BATCH_RECORDS_MAX


def test_a_batch_of_too_many_bytes_is_refused_unread():
    with pytest.raises(RecordError, match=f"more than {BATCH_BYTES_MAX}"):
        decode_batch(bytes(BATCH_BYTES_MAX + 1))


def test_every_truncation_and_bit_flip_of_a_batch_is_refused_or_gives_a_batch():
    body = encode_batch(batch(1, 2))
    for length in range(len(body)):
        with pytest.raises(RecordError):
            decode_batch(body[:length])
    for bit in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            decode_batch(bytes(flipped))
        except RecordError:
            continue


def test_a_batch_nested_without_end_is_refused():
    body = encode_batch(batch(1))
    record = body.index(b"\x93\x01\x01")
    with pytest.raises(RecordError):
        decode_batch(body[:record] + b"\x94" + body[record + 1 :] + b"\x91" * 500_000)


@pytest.mark.parametrize(
    ("gateway", "generation"),
    [("", GENERATION), ("GW", GENERATION), ("gw\n", GENERATION), ("gw", GENERATION + "\n"), ("gw", "0" * 31)],
)
def test_a_batch_of_a_name_or_generation_of_other_form_is_refused(gateway: str, generation: str):
    with pytest.raises(RecordError):
        decode_batch(encode_batch(Batch(gateway, generation, 0, [StoredRecord(1, UtcUs(1), b"")])))


def test_an_acknowledgement_comes_back_as_it_was():
    acknowledgement = Acknowledgement(GENERATION, 17, 4)
    assert decode_acknowledgement(encode_acknowledgement(acknowledgement)) == acknowledgement


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>Welcome to the hotel</html>",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"generation":' + b"[" * 100_000,
        b'{"generation":"' + GENERATION.encode() + b'","acknowledged":0,"stored":0}',
        b'{"generation":"' + GENERATION.encode() + b'","acknowledged":"9","stored":0}',
        b'{"generation":"' + GENERATION.encode() + b'","acknowledged":9,"stored":0,"more":1}',
        b'{"generation":"' + GENERATION.encode() + b'\\n","acknowledged":9,"stored":0}',
        b'{"generation":"nonsense","acknowledged":9,"stored":0}',
        '{"generation":"é'.encode("latin-1"),
    ],
)
def test_an_answer_that_is_no_acknowledgement_is_refused(answer: bytes):
    with pytest.raises(RecordError, match="not an acknowledgement"):
        decode_acknowledgement(answer)
