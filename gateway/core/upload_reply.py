"""What a signed answer to a batch says, as one event. Pure.

A total function: whatever a signed answer holds, it means something, and what makes no sense moves nothing.
That nobody but the cloud says it is the business of the signatures, before this.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from math import isfinite

from gateway.contract.batches import Batch, decode_acknowledgement, decode_refusal
from gateway.contract.records import RecordError
from gateway.core.backoff import CAP_S

# A cloud that asks for more has made a mistake, or is somebody's bad joke: within the hour we ask again.
RETRY_AFTER_S_MAX = 3600.0
# Below it the asking is no help, and our own patience is the better one.
RETRY_AFTER_S_MIN = 1.0

# A batch that is not understood at all (400) is the fault of no record: an older cloud, which will be newer one day.
_DATA_FAULTS = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Event(StrEnum):
    """What came of sending a batch."""

    TAKEN = "taken"  # and committed: exactly what was sent
    LAST_SUSPECT_TAKEN = "last suspect taken"  # all of a batch that was refused before has been taken by now
    BEHIND = "behind"  # the cloud has less than it once acknowledged
    CONFLICT = "conflict"  # it has other bytes under one of these sequences
    REFUSED = "refused"  # something in these records is not as it should be
    REFUSED_ALONE = "refused alone"  # it is this one record
    REFUSED_FOR_GOOD = "refused for good"  # and it was tried often enough
    BUSY = "busy"  # later, at a time that it may name
    TROUBLE = "trouble"  # it failed, or said what makes no sense
    NO_ANSWER = "no answer"  # none, half of one, or not from our cloud
    REVOKED = "revoked"  # it will take nothing from this gateway any more
    NEW_IDENTITY = "new identity"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event and its facts.

    `sequence` is the one that the event is about: taken up to it, resume after it, conflict from it on. `words` is
    one line for people. `wait_s` is how long the cloud asked to be left alone, real seconds, within its bounds.
    """

    event: Event
    sequence: int = 0
    words: str = ""
    wait_s: float | None = None


def read_reply(sent: Batch, status: int, body: bytes, retry_after_s: float | None) -> Heard:
    """What the signed answer to `sent` says."""
    if status == HTTPStatus.OK:
        return _acknowledgement(sent, body)
    if status == HTTPStatus.CONFLICT:
        return _conflict(sent, body)
    words = _words(status, body)
    if status in _DATA_FAULTS:
        return Heard(Event.REFUSED, sent.records[0].sequence, words)
    if status == HTTPStatus.FORBIDDEN:
        return Heard(Event.REVOKED, words=words)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Heard(Event.NO_ANSWER, words=words)  # the link is too slow for a batch of this size
    wait_s = _bounded(retry_after_s)
    return Heard(Event.BUSY if status in _BUSY else Event.TROUBLE, words=words, wait_s=wait_s)


def no_answer(reason: str, retry_after_s: float | None = None) -> Heard:
    """Nothing signed came back.

    A proxy before a busy cloud may ask for a wait as well. Nobody has proven it: it gets what our own patience
    would give, and no more.
    """
    wait_s = _bounded(retry_after_s)
    return Heard(Event.NO_ANSWER, words=_line(reason), wait_s=None if wait_s is None else min(wait_s, CAP_S))


def _acknowledgement(sent: Batch, body: bytes) -> Heard:
    try:
        said = decode_acknowledgement(body)
    except RecordError as error:
        return Heard(Event.TROUBLE, words=_line(str(error)))
    last = sent.records[-1].sequence
    if (said.generation, said.acknowledged) != (sent.generation, last):
        return Heard(Event.TROUBLE, words="the acknowledgement is for something else than what was sent")
    if said.resume_after is None:
        return Heard(Event.TAKEN, last)
    if said.resume_after >= sent.acknowledged:
        return Heard(Event.TROUBLE, words="the cloud asks again for what was just sent")
    return Heard(Event.BEHIND, said.resume_after, f"the cloud has lost what came after {said.resume_after}")


def _conflict(sent: Batch, body: bytes) -> Heard:
    words = _words(HTTPStatus.CONFLICT, body)
    try:
        sequence = decode_refusal(body).conflict_from
    except RecordError:
        sequence = None
    if sequence is None or all(record.sequence != sequence for record in sent.records):
        return Heard(Event.TROUBLE, words=words)
    return Heard(Event.CONFLICT, sequence, words)


def _words(status: int, body: bytes) -> str:
    try:
        said = decode_refusal(body)
    except RecordError:
        return f"the cloud answered {status}"
    return _line(f"the cloud answered {status}: {said.error}" + (f" ({said.hint})" if said.hint else ""))


def _line(text: str) -> str:
    """One line of what may be anybody's words; nothing in it moves a cursor on a terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _bounded(wait_s: float | None) -> float | None:
    if wait_s is None or not isfinite(wait_s) or wait_s < RETRY_AFTER_S_MIN:
        return None
    return min(wait_s, RETRY_AFTER_S_MAX)
