"""What ingest answers: a status, a body, and the signature that makes it ours. Pure.

Whatever goes wrong, the gateway keeps its records and sends them again; so a refusal is cheap, says why, and leaves
nothing half done. Only a request whose headers cannot be read gets an answer without a signature: there is nothing to
bind one to.
"""

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Refusal, encode_refusal
from gateway.contract.records import TEXT_CHARACTERS_MAX
from gateway.contract.signatures import Signer, sign_reply

# What a refusal is counted under.
Reason = Literal[
    "headers", "signature", "nonce", "revoked", "claim", "conflict", "type", "size", "slow", "content", "rate",
    "busy", "database", "fault",
]  # fmt: skip

# A database that is away is back after a restart, a full house is empty after a few seconds.
AWAY_S, BUSY_S = 30, 10


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, yet unsigned."""

    status: int
    body: bytes
    retry_after_s: int | None = None

    def headers(self) -> dict[str, str]:
        """Those that are not signed."""
        told = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        return told if self.retry_after_s is None else told | {"Retry-After": str(self.retry_after_s)}

    def signed(self, key: Signer, *, nonce: str, request: str, next_nonce: str, time_us: UtcUs) -> dict[str, str]:
        """All headers, bound to the request that carried `nonce` and `request` as its signature."""
        answered = {"nonce": nonce, "request": request}
        return self.headers() | sign_reply(
            key, status=self.status, body=self.body, **answered, next_nonce=next_nonce, time_us=time_us
        )


class RefusedError(Exception):
    """A request is not done: why, and what to do about it, for the people at the gateway."""

    def __init__(
        self,
        status: HTTPStatus,
        reason: Reason,
        error: str,
        hint: str = "",
        *,
        wait_s: float | None = None,
        conflict_from: int | None = None,
    ) -> None:
        super().__init__(error)
        self.reason: Reason = reason
        refusal = Refusal(error[:TEXT_CHARACTERS_MAX], hint[:TEXT_CHARACTERS_MAX], conflict_from)
        retry_after_s = None if wait_s is None else max(1, math.ceil(wait_s))
        self.answer = Answer(status.value, encode_refusal(refusal), retry_after_s)


def too_many(error: str, wait_s: float) -> RefusedError:
    """One sender asks too often."""
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "rate", error, "nothing was stored; wait", wait_s=wait_s)


def busy(error: str) -> RefusedError:
    """All of them together ask too much at once."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", error, "nothing was stored; try again", wait_s=BUSY_S)


def away(error: str) -> RefusedError:
    """The database cannot be reached, or not in time."""
    hint = "nothing was acknowledged; send it again"
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "database", error, hint, wait_s=AWAY_S)
