"""How much ingest takes, from one and from all: each limit with its unit and its reason. Pure.

A process counts for itself: with N of them on one port, what a gateway or an address may do is up to N times this.
"""

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.contract.batches import BATCH_BYTES_MAX
from gateway.contract.enrolment import MESSAGE_BYTES_MAX

# What a table of buckets may hold: some 200 bytes each.
NAMES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` at once, then `per_s` a second."""

    burst: float
    per_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """All of them, in one place; tests make theirs small."""

    # Bodies: of a batch, and of what enrols and rotates.
    batch_bytes_max: int = BATCH_BYTES_MAX
    message_bytes_max: int = MESSAGE_BYTES_MAX
    # Bodies that arrive or wait for their turn, all together: thousands of usual ones (20 kB), 32 of the largest.
    bodies_bytes_max: int = 128 * 1024 * 1024
    # Of those, from one address: nobody keeps the others out with bodies that never end.
    address_bodies_bytes_max: int = 32 * 1024 * 1024
    # A body may take so long, plus its size at such a rate, 512 kbit/s: what an old mobile network does.
    body_s: float = 5.0
    body_bytes_per_s: float = 64_000.0
    # Batches that are unpacked and stored at one time, each with a connection to the database.
    stores_max: int = 4
    # Others wait for their turn: so many, for so long.
    waiting_max: int = 256
    waiting_s_max: float = 5.0
    # For a connection to the database: each is busy for well below a second.
    connect_s_max: float = 3.0
    # For the database to take a batch; waiting included, an answer comes before a gateway gives up after 30 s.
    store_s_max: float = 8.0
    # A gateway sends every five minutes and is done within a second: this serves tens of thousands of them.
    connections_max: int = 2_000
    # Behind one address of a mobile network stand hundreds of gateways; few of them send at one time.
    address_connections_max: int = 200
    # From the connection to the end of the first request's headers: a gateway sends them at once.
    headers_s_max: float = 10.0
    # A connection without a request is closed after this.
    idle_s_max: float = 30.0
    # A connection this old is closed with its next answer: none stays for ever.
    connection_s_max: float = 600.0
    # A backlog comes in batches one after another, of hours each: four a second is days a minute.
    gateway: Rate = Rate(burst=60, per_s=4)
    # Claim codes are beyond guessing; this keeps those who try out of the database, too.
    enrolments: Rate = Rate(burst=10, per_s=0.1)
    # A gateway with a wrong address in its settings fails a few times an hour; behind one address may stand many.
    failures: Rate = Rate(burst=60, per_s=1)

    def body_s_max(self, size: int) -> float:
        """Seconds until a body of `size` bytes must be here."""
        return self.body_s + size / self.body_bytes_per_s


class Buckets:
    """A token bucket for each name; names that were not heard of for the longest are forgotten first."""

    def __init__(self, rate: Rate, names_max: int = NAMES_MAX) -> None:
        self._rate, self._names_max = rate, names_max
        # tokens at an instant, seconds of a monotonic clock; who took last stands last
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, name: str, now_s: float) -> float:
        """Seconds until `name` has a token, 0.0 when it has one; takes none."""
        return max(0.0, (1.0 - self._tokens(name, now_s)) / self._rate.per_s)

    def take(self, name: str, now_s: float) -> float:
        """Take a token of `name`: 0.0, or the seconds until it has one."""
        if wait_s := self.wait_s(name, now_s):
            return wait_s
        self._buckets[name] = (self._tokens(name, now_s) - 1.0, now_s)
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._names_max:
            self._buckets.popitem(last=False)
        return 0.0

    def _tokens(self, name: str, now_s: float) -> float:
        tokens, since_s = self._buckets.get(name, (self._rate.burst, now_s))
        return min(self._rate.burst, tokens + (now_s - since_s) * self._rate.per_s)


class ShareError(Exception):
    """Nothing is left, of all or of a name's share."""


class Shares:
    """An amount that many take from and give back, each name at most its share."""

    def __init__(self, total: int, share: int) -> None:
        self._total, self._share = total, share
        self._taken: Counter[str] = Counter()
        self.taken = 0

    @contextmanager
    def held(self, name: str, amount: int) -> Iterator[None]:
        """Have `amount` within the block.

        Raises:
            ShareError: there is not so much left.
        """
        if self.taken + amount > self._total or self._taken[name] + amount > self._share:
            raise ShareError(f"{amount} of {self._total - self.taken} are not to be had")
        self.taken += amount
        self._taken[name] += amount
        try:
            yield
        finally:
            self.taken -= amount
            self._taken[name] -= amount
            if not self._taken[name]:
                del self._taken[name]


def plain_address(address: str) -> str:
    """An address in its one spelling; "" for what is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def address_group(address: str) -> str:
    """Whom an address stands for: itself, or for IPv6 its /64, which is what one customer gets; "" for no address."""
    plain = plain_address(address)
    if ":" not in plain:
        return plain
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(plain.partition("%")[0])) >> 64 << 64, 64)))
