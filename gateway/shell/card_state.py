"""How the card fares: taken note of when a write fails, tried again in time, told when it changes."""

import logging
import shutil
from pathlib import Path

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.shell.database import Card, StorageError

log = logging.getLogger(__name__)

# A card that is away is tried again so often: soon enough for the ring, seldom enough for the card.
RETRY_US = 5 * US_PER_S
# With less than this a disk is full, whatever it says: SQLite calls it an I/O error when its index finds no room.
FULL_BYTES = 256 * 1024


class CardState:
    """Begins in good faith."""

    def __init__(self, folder: Path) -> None:
        self.card: Card = "ok"
        self._folder = folder
        self._tried_us = UtcUs(0)

    def is_due(self, now_us: UtcUs) -> bool:
        """Whether the card may be tried. A clock that is set back does not put that off."""
        return self.card == "ok" or abs(now_us - self._tried_us) >= RETRY_US

    def try_now(self) -> None:
        """Let the card be tried at once: there will be no other time."""
        self._tried_us = UtcUs(-RETRY_US)

    def note_away(self, error: StorageError, now_us: UtcUs) -> StorageError:
        """The card took nothing; gives the error that says so."""
        card = error.card or "failing"
        if card == "failing" and _is_full(self._folder):
            card = "full"
        if card != self.card:
            log.error("card takes no records, they are kept in memory: card=%s error=%s", card, error)
        self.card, self._tried_us = card, now_us
        return StorageError(str(error), card)

    def note_well(self) -> None:
        """The card took what it was given."""
        if self.card != "ok":
            log.info("card takes records again: it was %s", self.card)
        self.card = "ok"


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False
