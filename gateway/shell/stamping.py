"""Records whose instants were guessed are stamped anew, some hundred in one transaction, until none is left.

What is to be done stands in the file first: a power cut in between takes nothing of it.
"""

from firmware_bridge.reading import UtcUs
from gateway.contract.records import RecordError, decode_record, encode_record, restamp
from gateway.shell.store_file import StoreFile
from gateway.shell.store_position import find_oldest, write_backlog

# One transaction: some two megabytes of full blocks of 200 series.
_STAMP_RECORDS = 200


async def begin_stamping(file: StoreFile, boot: int, offset_us: int, now_us: UtcUs) -> None:
    """The clock of start `boot` was wrong by `offset_us`; nobody will ever know it of earlier starts."""
    async with file.transaction() as database:
        rows = await database.query("SELECT boot, count(*) FROM record WHERE boot IS NOT NULL GROUP BY boot")
        known = {one for (one,) in await database.query("SELECT boot FROM stamp")}
        counts: dict[int, int] = {one: count for one, count in rows if one not in known}
        own = counts.pop(boot, 0)
        if own or offset_us:
            detail = f"the clock was wrong by {-offset_us / 1e6:.3f} s; records stamped anew: {own}"
            await file.note("clock_set", detail, now_us)
        if counts:
            detail = (
                f"a start ended before its clock could be trusted; records left as they were: {sum(counts.values())}"
            )
            await file.note("clock_guessed", detail, now_us)
        stamps = [(boot, offset_us)] if own else []
        stamps += [(other, 0) for other in counts]
        await database.execute_many("INSERT OR REPLACE INTO stamp VALUES (?, ?)", stamps)
        file.position.is_stamping = bool(stamps or known)


async def stamp_some(file: StoreFile) -> None:
    """One step; `position.is_stamping` tells whether there is more to do."""
    async with file.transaction() as database:
        rows = await database.query(
            "SELECT sequence, recorded_us, kind, body, offset_us FROM record JOIN stamp USING (boot)"
            " WHERE record.boot IS NOT NULL LIMIT ?",
            (_STAMP_RECORDS,),
        )
        if not rows:
            await database.execute("DELETE FROM stamp")
            file.position.is_stamping = False
            await find_oldest(database, file.position)
            return
        stamped = []
        for sequence, recorded_us, kind, body, offset_us in rows:
            new = _restamped(body, offset_us)
            stamped.append((recorded_us + offset_us, new, sequence))
            if sequence > file.position.acknowledged:
                file.position.add(kind, len(new) - len(body), records=0)
        await database.execute_many(
            "UPDATE record SET recorded_us = ?, body = ?, boot = NULL WHERE sequence = ?", stamped
        )
        await write_backlog(database, file.position)


def _restamped(body: bytes, offset_us: int) -> bytes:
    if not offset_us:
        return body
    try:
        return encode_record(restamp(decode_record(body), offset_us))
    except RecordError:
        return body  # it rotted: home will say so
