"""Which generations the records of a store belong to, also when its file cannot tell any more.

A generation is a stretch of the one counter of sequences. The list stands in the file and, with what is still to be
salvaged, in a small one beside it.
"""

import logging
import re
import secrets
from bisect import bisect_right
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from firmware_bridge.reading import UtcUs
from gateway.contract.batches import Generation as GenerationId
from gateway.contract.batches import Sequence
from gateway.contract.records import UNDECODABLE
from gateway.shell import durable
from gateway.shell.store_folder import refused

log = logging.getLogger(__name__)

FILE_NAME = "store.generations"
# More than that many stretches with records in them no store has; each is below 60 bytes.
GENERATIONS_MAX = 4096
_FILE_BYTES_MAX = 1024 * 1024
_SALVAGES_MAX = 64
# A generation whose last record nobody knows has fewer than these: thirty years at one each second.
SEQUENCE_GAP = 2**30
# Where the counter goes on when not even the generations are known: above anything that ever counted. Taken from
# the time, it is so again when that happens a second time.
SEQUENCE_UNKNOWN = 2**40
_US_PER_SEQUENCE = 100
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Generation(NamedTuple):
    """From its first sequence to before the next one's."""

    first: int
    id: str


class Salvage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that was moved aside, and whose records are still to be brought over."""

    file: Annotated[str, Meta(pattern=r"^damaged-[0-9-]{1,20}\.sqlite\Z")]
    # sequences from here on were given after it was moved aside
    below: Sequence
    # how often it was begun: one that ends the process each time is given up
    tries: Annotated[int, Meta(ge=0)] = 0


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must be known when the file itself cannot tell."""

    generations: Annotated[list[tuple[Sequence, GenerationId]], Meta(max_length=GENERATIONS_MAX)]
    salvages: Annotated[list[Salvage], Meta(max_length=_SALVAGES_MAX)] = []


_DECODER = msgspec.json.Decoder(Journal)


def decode_journal(data: bytes) -> Journal | None:
    """The journal in `data`; None when it is none, or its generations do not rise."""
    try:
        journal = _DECODER.decode(data)
    except UNDECODABLE:
        return None
    firsts = [first for first, _ in journal.generations]
    return journal if firsts == sorted(set(firsts)) else None


def read_journal(folder: Path) -> Journal:
    """The journal in `folder`; an empty one when there is none that can be read.

    Raises:
        SettingError: the folder cannot be used.
        StorageError: the card is away.
    """
    try:
        with (folder / FILE_NAME).open("rb") as file:
            data = file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return Journal([])
    except OSError as error:
        raise refused(folder, error) from error
    journal = decode_journal(data)
    if journal is None:
        log.error("list of generations damaged: file=%s", FILE_NAME)
    return journal or Journal([])


def write_journal(folder: Path, journal: Journal) -> None:
    """Put `journal` in the place of the one that is there.

    Raises:
        SettingError: the folder cannot be used.
        StorageError: the card is away.
    """
    try:
        newest = msgspec.structs.replace(
            journal, generations=journal.generations[-GENERATIONS_MAX:], salvages=journal.salvages[-_SALVAGES_MAX:]
        )
        durable.write_atomically(folder / FILE_NAME, msgspec.json.encode(newest))
    except OSError as error:
        raise refused(folder, error) from error


def new_id() -> str:
    """An id that no generation has."""
    return secrets.token_hex(16)


def is_id(text: object) -> bool:
    """Whether `text` can be the id of a generation."""
    return isinstance(text, str) and _ID.match(text) is not None


def stretch(generations: list[Generation], sequence: int) -> tuple[str, int, int | None]:
    """The id of the generation of `sequence`, and its stretch: from, to before (None: without end).

    A generation that begins anew under the same id goes on.
    """
    index = max(bisect_right(generations, sequence, key=lambda one: one.first) - 1, 0)
    begin = end = index
    generation = generations[index].id
    while begin and generations[begin - 1].id == generation:
        begin -= 1
    while end + 1 < len(generations) and generations[end + 1].id == generation:
        end += 1
    behind = generations[end + 1].first if end + 1 < len(generations) else None
    return generation, generations[begin].first, behind


def succeed(known: list[Generation], last: int | None, now_us: UtcUs) -> list[Generation]:
    """The generations of a new file: those that are `known`, and a new one above every sequence ever given.

    Args:
        known: the generations of the records that will be brought over.
        last: the last sequence that was given, None when nobody knows.
        now_us: the present instant.
    """
    if last is not None:
        begun = [one for one in known if one.first <= last]  # another has no record yet
        return [*begun, Generation(last + 1, new_id())]
    if known:
        return [*known, Generation(known[-1].first + SEQUENCE_GAP, new_id())]
    # Without any word of their generations, records are of the new one.
    generation = new_id()
    return [Generation(1, generation), Generation(max(SEQUENCE_UNKNOWN, now_us // _US_PER_SEQUENCE), generation)]
