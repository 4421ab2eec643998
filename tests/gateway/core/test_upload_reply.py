import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Batch, StoredRecord
from gateway.core.backoff import CAP_S
from gateway.core.upload_reply import RETRY_AFTER_S_MAX, Event, Heard, no_answer, read_reply

GENERATION = "a" * 32
SENT = Batch("gw-1", GENERATION, 10, [StoredRecord(sequence, UtcUs(0), b"") for sequence in (11, 12, 15)])


def heard(status: int, said: object, retry_after_s: float | None = None) -> Heard:
    return read_reply(SENT, status, json.dumps(said).encode(), retry_after_s)


def acknowledgement(**changes: object) -> dict[str, object]:
    return {"generation": GENERATION, "acknowledged": 15, "stored": 3} | changes


def test_an_acknowledgement_of_what_was_sent_is_the_only_word_for_taken():
    assert heard(200, acknowledgement()) == Heard(Event.TAKEN, 15)
    assert heard(200, acknowledgement(stored=0)).event is Event.TAKEN, "it was sent before, and its answer lost"


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": "b" * 32},
        {"acknowledged": 14},
        {"acknowledged": 16},
        {"acknowledged": 0},
        {"acknowledged": 2**63},
        {"resume_after": 10},
        {"resume_after": 99},
        {"resume_after": -1},
    ],
)
def test_an_acknowledgement_of_something_else_moves_nothing(changes: dict[str, object]):
    assert heard(200, acknowledgement(**changes)).event is Event.TROUBLE


def test_a_cloud_that_lost_something_says_where_to_begin_again():
    answer = heard(200, acknowledgement(resume_after=4))
    assert (answer.event, answer.sequence) == (Event.BEHIND, 4)
    assert heard(200, acknowledgement(resume_after=0)).event is Event.BEHIND


def test_a_conflict_is_one_when_it_names_a_record_of_this_batch():
    said = {"error": "other bytes", "hint": "", "conflict_from": 12}
    assert (heard(409, said).event, heard(409, said).sequence) == (Event.CONFLICT, 12)
    for sequence in (None, 10, 13, 16, 0):
        assert heard(409, said | {"conflict_from": sequence}).event is Event.TROUBLE
    assert heard(409, []).event is Event.TROUBLE


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (400, Event.TROUBLE),
        (413, Event.REFUSED),
        (422, Event.REFUSED),
        (403, Event.REVOKED),
        (408, Event.NO_ANSWER),
        (429, Event.BUSY),
        (503, Event.BUSY),
        (401, Event.TROUBLE),
        (404, Event.TROUBLE),
        (415, Event.TROUBLE),
        (201, Event.TROUBLE),
        (302, Event.TROUBLE),
        (500, Event.TROUBLE),
        (502, Event.TROUBLE),
        (999, Event.TROUBLE),
        (0, Event.TROUBLE),
    ],
)
def test_a_status_says_what_it_says_whatever_the_body(status: int, event: Event):
    for body in (b"", b"<html>", b"[" * 5000, b'{"error": "so"}', b'{"error": 3}', b"\xff"):
        assert read_reply(SENT, status, body, None).event is event


@pytest.mark.parametrize(
    ("asked_s", "wait_s"),
    [(None, None), (30.0, 30.0), (0.0, None), (-5.0, None), (nan, None), (inf, None), (1e9, RETRY_AFTER_S_MAX)],
)
def test_a_wait_is_bounded_and_garbage_is_none(asked_s: float | None, wait_s: float | None):
    assert heard(503, {"error": "busy"}, asked_s).wait_s == wait_s
    assert heard(429, {"error": "busy"}, asked_s).wait_s == wait_s


def test_what_the_cloud_says_is_told_in_one_line_with_nothing_hidden_in_it():
    answer = heard(400, {"error": "record 11\nis\x1b[2J wrong", "hint": "look"})
    assert answer.words == "the cloud answered 400: record 11 is [2J wrong (look)"
    assert no_answer("a\nb").words == "a b"


def test_a_wait_that_nobody_signed_is_kept_as_long_as_our_own_patience_and_no_longer():
    assert no_answer("away").wait_s is None
    assert no_answer("away", 30.0) == Heard(Event.NO_ANSWER, words="away", wait_s=30.0)
    assert no_answer("away", 3600.0).wait_s == CAP_S


@given(st.integers(0, 999), st.binary(max_size=200), st.none() | st.floats())
def test_whatever_a_signed_answer_holds_it_means_something(status: int, body: bytes, wait_s: float | None):
    answer = read_reply(SENT, status, body, wait_s)
    assert answer.event is not Event.TAKEN
    assert answer.wait_s is None or 0 < answer.wait_s <= RETRY_AFTER_S_MAX
    assert answer.words.isprintable()
