"""A partition for each month in which something was measured, made before it is needed. A shell.

The database makes them (`create_month` in the schema says within which bounds); here is only when it is asked.
What has no partition is not refused: it lies in the default one until its month is made.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, LiteralString

import numpy as np
import psycopg

log = logging.getLogger(__name__)

# Attaching a partition locks the default one, which an audit may be reading: uploads do not wait for that.
LOCK_MS_MAX = 500
# To attach a month, the default partition is looked through. Whoever fills that with years to come must not stop
# the uploads of all: half a batch's time, then it waits for the next start of the program, which takes what it needs.
CREATE_MS_MAX = 4_000
# Months named by one process: from 2010 on a few hundred; a gateway with a mad clock must not fill the memory.
_MONTHS_KNOWN_MAX = 10_000

_CREATE: LiteralString = "SELECT create_months(%b::timestamptz[])"


def months_of(instants_us: Iterable[int]) -> set[int]:
    """The months, counted from January 1970, that hold these instants."""
    instants = np.array(list(instants_us), dtype="datetime64[us]")
    return set(instants.astype("datetime64[M]").astype(np.int64).tolist())


class Months:
    """The months that this process has asked for already."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    async def prepare(self, connection: psycopg.AsyncConnection[Any], instants_us: Iterable[int]) -> None:
        """Make partitions for the months of `instants_us`, in a transaction of its own.

        Whenever a month is new to this process the next three are made too: so it is always ahead.
        """
        wanted = months_of(instants_us) - self._known
        if not wanted:
            return
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MS_MAX}")
                await connection.execute(f"SET LOCAL statement_timeout = {CREATE_MS_MAX}")
                await connection.execute(_CREATE, ([_start(month) for month in sorted(wanted)],))
        except psycopg.errors.LockNotAvailable:
            log.warning("partitions wait for a long query: months=%s", sorted(wanted))
            return
        except psycopg.errors.QueryCanceled:
            log.warning("partitions wait for the next start, the default one is too full: months=%s", sorted(wanted))
        if len(self._known) + len(wanted) > _MONTHS_KNOWN_MAX:
            self._known.clear()
        self._known |= wanted


def create_ahead(connection: psycopg.Connection[Any]) -> None:
    """Make the partitions of this month and the next three; what a program does when it starts."""
    connection.execute(_CREATE, ([],))


def _start(month: int) -> datetime:
    return datetime(1970 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
