"""Who asks, proven before anything is done for them. A shell.

In this order, the cheap first: the form of the headers, the nonce's MAC, the gateway and its keys (remembered for
seconds), its rate and the size; then the body is read and the signature checked. What is remembered may be some
seconds old: the transaction looks again (admission.py).
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from cloud_trainer.ingest.gateways import KnownGateway, find_gateway
from cloud_trainer.ingest.limits import Buckets, Limits, address_group
from cloud_trainer.ingest.nonce import NonceError, Nonces
from cloud_trainer.ingest.pool import Pool, connected
from cloud_trainer.ingest.replies import RefusedError, too_many
from cloud_trainer.ingest.server_key import ServerKeys
from firmware_bridge.clock import Clock
from gateway.contract.signatures import Ed25519Signer, SignatureError, SignedRequest, claimed_request, verify_request

# What was looked up holds for so long, seconds: a gateway that drains a backlog is looked up once in this time.
KNOWN_S = 5.0
# Some 1 kB each.
KNOWN_MAX = 20_000

_IS_IT_OURS = "see that it is enrolled here, and that its settings have the public address of the ingest"


@dataclass(slots=True)
class Caller:
    """Who says to ask, and what the answer is signed with.

    `issued_us` is when the nonce was issued; the next one will be later than `used_us`.
    """

    claimed: SignedRequest
    headers: Mapping[str, str]
    address: str
    signer: Ed25519Signer
    issued_us: int = 0
    used_us: int = 0


class Gatekeeper:
    """Lets in who proves to be an enrolled gateway, at its rate."""

    def __init__(self, pool: Pool, keys: ServerKeys, limits: Limits, clock: Clock) -> None:
        self._pool, self._keys, self._clock = pool, keys, clock
        self._nonces = Nonces(keys.nonce_secret)
        self._rates = Buckets(limits.gateway)
        self._failures = Buckets(limits.failures)
        self._enrolments = Buckets(limits.enrolments)
        self._known: OrderedDict[str, tuple[KnownGateway, float]] = OrderedDict()

    def new_nonce(self, gateway: str, used_us: int = 0) -> str:
        """A nonce for the next request of `gateway`."""
        return self._nonces.issue(gateway, self._clock.utc_us(), used_us=used_us)

    def caller(self, headers: Mapping[str, str], address: str) -> Caller:
        """Who the headers say it is.

        Raises:
            SignatureError: they do not say; an answer cannot be bound to this request.
        """
        return Caller(claimed_request(headers), headers, address_group(address), self._keys.for_gateway(None))

    def check_nonce(self, caller: Caller) -> None:
        """Refuse whoever failed too often, and a nonce that is old or not ours."""
        if wait_s := self._failures.wait_s(caller.address, self._clock.monotonic_s()):
            raise too_many("too many requests from this address failed", wait_s)
        claimed = caller.claimed
        try:
            caller.issued_us = self._nonces.issued_us(claimed.nonce, claimed.gateway, self._clock.utc_us())
        except NonceError as error:
            raise spent(str(error)) from error
        caller.used_us = caller.issued_us

    def check_enrolment(self, caller: Caller) -> None:
        """Refuse an address that tries too often."""
        caller.signer = self._keys.newest
        if wait_s := self._enrolments.take(caller.address, self._clock.monotonic_s()):
            raise too_many("too many enrolments from this address", wait_s)

    async def recognise(self, caller: Caller) -> KnownGateway:
        """The gateway that the caller says to be; that it is remains to be proven.

        Raises:
            RefusedError: there is none with such a key, or it sends too often.
            psycopg.OperationalError: the database is away.
        """
        claimed, now_s = caller.claimed, self._clock.monotonic_s()
        known = self._remembered(claimed.gateway, now_s)
        if known is None or not self._has_key(known, claimed):
            known = await self._look_up(claimed.gateway, now_s)
        if known is None or not self._has_key(known, claimed):
            raise self.failed(caller, "no gateway of this name has this key")
        caller.signer = self._keys.for_gateway(known.keys[claimed.key_id].valid_from_us)
        if wait_s := self._rates.wait_s(claimed.gateway, now_s):
            raise too_many("this gateway sends too often", wait_s)
        return known

    def prove(self, caller: Caller, target: str, body: bytes, known: KnownGateway) -> None:
        """Check that `known` sent all of this to `target`, and count it.

        Raises:
            RefusedError: it did not, it is revoked, or it sends too often.
        """
        self.prove_key(caller, target, body, {name: key.public for name, key in known.keys.items()})
        if wait_s := self._rates.take(known.gateway, self._clock.monotonic_s()):
            raise too_many("this gateway sends too often", wait_s)
        if known.is_revoked:
            raise revoked()

    def prove_key(self, caller: Caller, target: str, body: bytes, public_keys: Mapping[str, bytes]) -> None:
        """Check that one of `public_keys`, by key id, signed all that was sent to `target`.

        Raises:
            RefusedError: none did.
        """
        try:
            verify_request(caller.headers, method="POST", target=target, body=body, public_keys=public_keys)
        except SignatureError as error:
            raise self.failed(caller, str(error)) from error

    def failed(self, caller: Caller, error: str) -> RefusedError:
        """What to raise for a request that proved nothing; its address is remembered."""
        self._failures.take(caller.address, self._clock.monotonic_s())
        return RefusedError(HTTPStatus.UNAUTHORIZED, "signature", error, _IS_IT_OURS)

    def forget(self, gateway: str) -> None:
        """Look the gateway up anew at its next request: something about it has changed."""
        self._known.pop(gateway, None)

    def _has_key(self, known: KnownGateway, claimed: SignedRequest) -> bool:
        # what a revoked one has kept still proves who it is, so that it can be told
        keys = known.keys if known.is_revoked else known.public_keys(self._clock.utc_us())
        return claimed.key_id in keys

    def _remembered(self, gateway: str, now_s: float) -> KnownGateway | None:
        known, since_s = self._known.get(gateway, (None, 0.0))
        return known if now_s - since_s < KNOWN_S else None

    async def _look_up(self, gateway: str, now_s: float) -> KnownGateway | None:
        async with connected(self._pool) as connection:
            known = await find_gateway(connection, gateway)
        if known is not None and not known.is_revoked:  # one that is restored may send at once
            self._known[gateway] = (known, now_s)
            self._known.move_to_end(gateway)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return known


def spent(error: str) -> RefusedError:
    """The nonce does not pass; the next one comes with this very answer."""
    return RefusedError(HTTPStatus.UNAUTHORIZED, "nonce", error, "send it again with the nonce of this answer")


def revoked() -> RefusedError:
    """The only word, signed, that ends a gateway's uploads."""
    hint = "it goes on measuring; whoever runs the cloud can restore it"
    return RefusedError(HTTPStatus.FORBIDDEN, "revoked", "this gateway was revoked", hint)
