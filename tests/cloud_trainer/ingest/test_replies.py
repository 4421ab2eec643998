from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.ingest.replies import Answer, RefusedError, away, busy, too_many
from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Refusal, decode_refusal
from gateway.contract.signatures import Ed25519Signer, SignedReply, verify_reply

KEY = Ed25519Signer(Ed25519PrivateKey.generate())


def test_an_answer_is_signed_and_brings_the_next_nonce() -> None:
    answer = Answer(200, b"{}")
    asked = {"nonce": "a.b", "request": "sig1=:abc=:"}
    headers = answer.signed(KEY, **asked, next_nonce="c.d", time_us=UtcUs(5))
    proven = verify_reply(headers, status=200, body=b"{}", **asked, public_keys={KEY.key_id: KEY.public})
    assert proven == SignedReply(UtcUs(5), "c.d", KEY.key_id)
    assert headers["Cache-Control"] == "no-store"


def test_a_refusal_says_why_and_from_where() -> None:
    refused = RefusedError(HTTPStatus.CONFLICT, "conflict", "other bytes", "begin anew", conflict_from=7)
    assert refused.answer.status == 409
    assert decode_refusal(refused.answer.body) == Refusal("other bytes", "begin anew", 7)
    assert "Retry-After" not in refused.answer.headers()


def test_a_refusal_is_never_longer_than_its_reader_takes() -> None:
    refused = RefusedError(HTTPStatus.BAD_REQUEST, "content", "e" * 10_000, "h" * 10_000)
    assert len(decode_refusal(refused.answer.body).error) == 400


@pytest.mark.parametrize(
    ("refused", "status", "retry_after"),
    [
        (too_many("x", 0.2), 429, "1"),
        (too_many("x", 99.01), 429, "100"),
        (busy("x"), 503, "10"),
        (away("x"), 503, "30"),
    ],
)
def test_what_may_be_tried_again_says_when_in_whole_seconds(
    refused: RefusedError, status: int, retry_after: str
) -> None:
    assert refused.answer.status == status
    assert refused.answer.headers()["Retry-After"] == retry_after
