"""Names of series to numbers, once for each gateway and remembered while the process lives. A shell."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, LiteralString

import numpy as np
import psycopg

from cloud_trainer.ingest.columns import I64, Layout
from gateway.contract.records import RecordError

# Fifty meters of 40 values are 2,000; ten times that is a gateway that renames its meters without end.
SERIES_PER_GATEWAY_MAX = 20_000
# 10,000 gateways with two layouts each, of 200 series: some 40 MB.
LAYOUTS_KNOWN_MAX = 20_000
NUMBERS_KNOWN_MAX = 4_000_000

_FIND: LiteralString = "SELECT meter, measurand, series_id FROM series WHERE gateway_id = %b"
_ADD: LiteralString = """
INSERT INTO series (gateway_id, meter, measurand)
SELECT %b, meter, measurand FROM unnest(%b::text[], %b::text[]) AS missing (meter, measurand)
ORDER BY meter, measurand  -- two generations of one gateway wait for each other and never deadlock
ON CONFLICT DO NOTHING
"""

Numbers = dict[bytes, I64]


class SeriesNumbers:
    """The numbers of the series of layouts, by generation.

    By generation and not by gateway, for a generation's own number is never used again: what belonged to a site
    that was erased can never be taken for what comes after it under the same names. But a database may be put
    back from a backup under a process that goes on, and count again from there: a generation that has less than it
    had shows that.
    """

    def __init__(self) -> None:
        # with the last sequence of the generation, when this was so
        self._known: OrderedDict[tuple[int, bytes], tuple[I64, int]] = OrderedDict()
        self._size = 0

    async def find(
        self,
        connection: psycopg.AsyncConnection[Any],
        gateway: str,
        generation_id: int,
        layouts: Iterable[Layout],
        *,
        last_sequence: int,
    ) -> Numbers:
        """The numbers of `layouts` by their key; new series get theirs in the open transaction.

        `last_sequence` is how far the generation has come by now.

        Raises:
            RecordError: the gateway has more series than anyone needs.
        """
        wanted = {layout.key: layout for layout in layouts}
        found = {}
        for key in wanted:
            numbers, then = self._known.get((generation_id, key), (None, 0))
            if numbers is not None and 0 < then <= last_sequence:
                found[key] = numbers
        unknown = [layout for key, layout in wanted.items() if key not in found]
        if unknown:
            names = {name for layout in unknown for name in layout.names}
            named = await _name_all(connection, gateway, names)
            for layout in unknown:
                found[layout.key] = np.array([named[name] for name in layout.names], dtype=np.int64)
        return found

    def remember(self, generation_id: int, numbers: Numbers, *, last_sequence: int) -> None:
        """Keep what `find` gave, once its transaction is committed; the generation has come so far by that."""
        for key, found in numbers.items():
            before, _ = self._known.get((generation_id, key), ((), 0))
            self._size += len(found) - len(before)
            self._known[generation_id, key] = (found, last_sequence)
            self._known.move_to_end((generation_id, key))
        while len(self._known) > LAYOUTS_KNOWN_MAX or self._size > NUMBERS_KNOWN_MAX:
            _, (forgotten, _) = self._known.popitem(last=False)
            self._size -= len(forgotten)


async def _name_all(
    connection: psycopg.AsyncConnection[Any], gateway: str, names: set[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """All series of `gateway`, those of `names` among them."""
    named = await _named(connection, gateway)
    missing = names - named.keys()
    if not missing:
        return named
    if len(named) + len(missing) > SERIES_PER_GATEWAY_MAX:
        raise RecordError(f"{gateway} has more than {SERIES_PER_GATEWAY_MAX} series")
    meters, measurands = zip(*missing, strict=True)
    await connection.execute(_ADD, (gateway, list(meters), list(measurands)))
    return await _named(connection, gateway)


async def _named(connection: psycopg.AsyncConnection[Any], gateway: str) -> dict[tuple[str, str], int]:
    cursor = await connection.execute(_FIND, (gateway,), binary=True)
    return {(meter, measurand): series_id for meter, measurand, series_id in await cursor.fetchall()}
