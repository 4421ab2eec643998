"""How records go home, and what home answers: batches, acknowledgements, refusals. Pure.

The exactly-once key of a record is (gateway, store generation, sequence). A generation is one life of a
store's file: a file begun anew, or one that was put back from an old copy, is another generation, so its
records can never be taken for ones that the cloud has.
"""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from firmware_bridge.reading import UtcUs
from gateway.contract.records import UNDECODABLE, RecordError, Text

# Below the cloud's limit for a body; some 300 full blocks of 200 series.
BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_RECORDS_MAX = 2_000

Sequence = Annotated[int, Meta(ge=1, le=2**63 - 1)]
# \Z and not $, which lets a line end through
GatewayId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\Z")]
Generation = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class StoredRecord(msgspec.Struct, frozen=True, array_like=True):
    """A record with its place in the store: `sequence` rises within a generation and is never used again."""

    sequence: Sequence
    recorded_us: UtcUs
    body: bytes


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gateway sends in one request: records of one generation, sequences rising.

    A sequence between them that is missing stays at home: the site does not share its kind, or it lies in
    quarantine. `acknowledged` is how far the cloud has, by its own word: everything of this generation up to there
    that was ever meant for it. A cloud put back from a backup sees here that it has lost something.
    """

    gateway: GatewayId
    generation: Generation
    acknowledged: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    records: Annotated[list[StoredRecord], Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cloud's answer once a batch is committed: everything up to `acknowledged` is safe there.

    `stored` counts the records that were new: 0 for a batch sent again. `resume_after` is set by a cloud that
    has less of this generation than the batch's own `acknowledged` says: send again what came after it.
    """

    generation: Generation
    acknowledged: Sequence
    stored: int
    resume_after: Annotated[int, Meta(ge=0)] | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why the cloud did not take a request (JSON); only a signed one has any effect.

    `conflict_from` is the first sequence of the batch that the cloud has with other bytes: this store was put
    back from an old copy, or copied. From there on it must be another generation.
    """

    error: Text
    hint: Text = ""
    conflict_from: Sequence | None = None


_ENCODER = msgspec.msgpack.Encoder()
_BATCH_DECODER = msgspec.msgpack.Decoder(Batch)
_ACKNOWLEDGEMENT_DECODER = msgspec.json.Decoder(Acknowledgement)
_REFUSAL_DECODER = msgspec.json.Decoder(Refusal)


def encode_batch(batch: Batch) -> bytes:
    """The body of the upload request (msgpack; the records in it are packed already)."""
    return _ENCODER.encode(batch)


def decode_batch(body: bytes) -> Batch:
    """The batch in `body`, its sequences checked to rise.

    Raises:
        RecordError: not a batch of ours.
    """
    if len(body) > BATCH_BYTES_MAX:
        raise RecordError(f"batch of {len(body)} bytes: more than {BATCH_BYTES_MAX}")
    try:
        batch = _BATCH_DECODER.decode(body)
    except UNDECODABLE as error:
        raise RecordError(f"batch cannot be decoded: {error}") from error
    sequences = [record.sequence for record in batch.records]
    if any(after <= before for before, after in pairwise(sequences)):
        raise RecordError("the sequences of the batch do not rise")
    return batch


def encode_acknowledgement(acknowledgement: Acknowledgement) -> bytes:
    """The body of the cloud's answer (JSON)."""
    return msgspec.json.encode(acknowledgement)


def decode_acknowledgement(body: bytes) -> Acknowledgement:
    """The acknowledgement in `body`.

    Raises:
        RecordError: something else answered, a captive portal perhaps.
    """
    try:
        return _ACKNOWLEDGEMENT_DECODER.decode(body)
    except UNDECODABLE as error:
        raise RecordError(f"the answer is not an acknowledgement: {error}") from error


def encode_refusal(refusal: Refusal) -> bytes:
    """The body of an answer that is no acknowledgement (JSON)."""
    return msgspec.json.encode(refusal)


def decode_refusal(body: bytes) -> Refusal:
    """The refusal in `body`.

    Raises:
        RecordError: it is none of ours.
    """
    try:
        return _REFUSAL_DECODER.decode(body)
    except UNDECODABLE as error:
        raise RecordError(f"the answer says nothing we know: {error}") from error
