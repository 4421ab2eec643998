"""What the cloud said of records, on its way to the card: kept in memory while that takes nothing."""

from dataclasses import dataclass, field

from firmware_bridge.reading import UtcUs
from gateway.shell.store_file import StoreFile
from gateway.shell.store_position import find_oldest, write_backlog


@dataclass(slots=True)
class Verdicts:
    """What is not in the file yet."""

    # everything up to here is at home; 0: the file knows
    acknowledged: int = 0
    # sequences that are not to be sent again: why, and since when
    refused: dict[int, tuple[str, UtcUs]] = field(default_factory=dict)

    def cursor(self, file: StoreFile) -> int:
        """Everything up to here is at home."""
        return max(file.position.acknowledged, self.acknowledged)

    async def write(self, file: StoreFile) -> None:
        """Put it into the file.

        Raises:
            StorageError: the file takes nothing; what it did not take stays here.
        """
        if self.acknowledged > file.position.acknowledged:
            async with file.transaction():
                await file.move_cursor(self.acknowledged)
        self.acknowledged = 0
        for sequence, (reason, at_us) in list(self.refused.items()):
            await _quarantine(file, sequence, reason, at_us)
            del self.refused[sequence]


async def _quarantine(file: StoreFile, sequence: int, reason: str, at_us: UtcUs) -> None:
    async with file.transaction() as database:
        rows = await database.query(
            "SELECT kind, length(body) FROM record WHERE sequence = ?1"
            " AND NOT EXISTS (SELECT 1 FROM quarantine WHERE sequence = ?1)",
            (sequence,),
        )
        for kind, size in rows:  # none when it is gone, or lies there already
            await database.execute("INSERT INTO quarantine VALUES (?, ?, ?)", (sequence, at_us, reason))
            file.position.quarantined += 1
            if sequence > file.position.acknowledged:
                file.position.add(kind, -size, records=-1)
            await file.note("record_quarantined", f"sequence {sequence}, {kind}: {reason}", at_us)
            await write_backlog(database, file.position)
            await find_oldest(database, file.position)
