"""What a damaged store still holds, read without SQLite. Pure; it knows our tables and nothing of the shell.

A record is given when its body is whole: the checksum of the packed bytes says so, they decode, and as what the
row says they are. Nothing else needs to be undamaged: no header, no schema, no page above the leaves. Too much is
given rather than too little: home drops what it has.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, get_args

from firmware_bridge.reading import US_PER_S, UtcUs
from gateway.contract.records import RECORD_BYTES_MAX, Record, RecordError, decode_record
from gateway.core.sqlite_pages import Cell, Content, Pages, cell_at, find_page_size, leaf_cells
from gateway.core.sqlite_rows import DamageError, Value, columns, values
from gateway.core.sqlite_wal import read_wal

KINDS = frozenset(str(one.__struct_config__.tag) for one in get_args(Record))
# A row around the largest body: its head, three integers and a kind.
_ROW_BYTES_MAX = RECORD_BYTES_MAX + 100
# A row of another table: an id of 32 digits, or a name of four, and some integers.
_SMALL_ROW_BYTES_MAX = 200
_GENERATION = re.compile(r"[0-9a-f]{32}\Z")
# The instant that a record says of itself, by the names it has in one kind or another.
_INSTANTS = ("at_us", "issued_us", "start_us")
# A record is written when what it tells has happened. An instant farther off is damaged, and nothing else proves it.
_RECORDED_AFTER_US_MAX = 24 * 3600 * US_PER_S
# No counter that rises by some records a minute gets there; a number beyond it is damaged.
_SEQUENCE_MAX = 2**48


class SalvagedRecord(NamedTuple):
    """A record as it was stored; `boot` is None where its instants are right, else the start they were guessed in."""

    sequence: int
    recorded_us: UtcUs
    kind: str
    boot: int | None
    body: bytes


class _Place(NamedTuple):
    """Where a record lies: its row, and the pages that the row goes on."""

    pages: Pages
    leaf: int | memoryview
    at: int
    boot: int | None

    def cell(self) -> Cell:
        """The row, read anew: to keep the pages of all records would take as much memory as the file."""
        return cell_at(self.pages.image(self.leaf) if isinstance(self.leaf, int) else self.leaf, self.at)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What was found in a store's file.

    `generations` are pairs of a first sequence and an id, rising. `acknowledged` is the least of the cursors that
    were found, None without one: nothing proves it, and to send again does no harm.
    """

    generations: list[tuple[int, str]]
    acknowledged: int | None
    _places: dict[int, _Place]

    @property
    def records(self) -> Iterator[SalvagedRecord]:
        """Every record, each sequence once, rising; read from the file while it is asked for."""
        for sequence, place in sorted(self._places.items()):
            record = _record(place.pages, place.cell(), Counter())
            if record is not None and record.sequence == sequence:  # the disk may give less than before
                yield record

    @property
    def last_sequence(self) -> int:
        """The highest sequence of a record, 0 without one."""
        return max(self._places, default=0)


def salvage(database: Content, wal: bytes | memoryview = b"") -> Salvaged:
    """All that can be proved undamaged of a store's file and its log. Work is bounded by their size.

    `database` is read again when records are asked for, page by page, so it need not fit into memory.
    """
    log = read_wal(wal)
    page_size = log.page_size or find_page_size(database)
    finds = _Finds()
    pages = Pages(database, page_size, log.committed)
    free = pages.free()
    for number in pages.numbers():
        if number not in free:
            finds.take(pages, number)
    # What lies on a free page was deleted, or moved to a page that may be damaged: no need of what home has.
    for number in free:
        finds.take(pages, number, after=finds.acknowledged or 0)
    behind = Pages(database, page_size, log.committed | dict(reversed(log.behind)))
    for number, image in log.behind:
        finds.take(behind, number, version=image)
    return Salvaged(sorted(finds.generations.items()), finds.acknowledged, finds.places)


class _Finds:
    """What was found so far; what is found first counts, so the newest comes first."""

    def __init__(self) -> None:
        self.places: dict[int, _Place] = {}
        self.generations: dict[int, str] = {}
        self._cursors: list[int] = []
        self._visits: Counter[int] = Counter()

    @property
    def acknowledged(self) -> int | None:
        return min(self._cursors, default=None)

    def take(self, pages: Pages, number: int, *, after: int = 0, version: memoryview | None = None) -> None:
        """The rows of a page, or of an older version of it; of records those behind a sequence."""
        leaf = number if version is None else version
        try:
            image = pages.image(number) if version is None else version
        except DamageError:
            return
        cells = leaf_cells(image, is_first=number == 1)
        for at, cell in _rising(cells):
            if (record := _record(pages, cell, self._visits)) is not None:
                if record.sequence > after:
                    self._keep(record, _Place(pages, leaf, at, record.boot))
            elif cell.size <= _SMALL_ROW_BYTES_MAX:
                self._take_row(cell)

    def _keep(self, record: SalvagedRecord, place: _Place) -> None:
        """An older version of a record is one whose instants were not yet right."""
        known = self.places.get(record.sequence)
        if known is None or (known.boot is not None and place.boot is None):
            self.places[record.sequence] = place

    def _take_row(self, cell: Cell) -> None:
        """A row of one of the small tables."""
        try:
            row = values(bytes(cell.local))
        except DamageError:
            return
        match cell.rowid, row:
            case int(first), [None, str(generation), *_] if _is_generation(first, generation):
                self.generations.setdefault(first, generation)
            # version 1 had one generation in a file
            case int(), [str(generation), int()] if _is_generation(1, generation):
                self.generations.setdefault(1, generation)
            case None, ["sync", int(sequence)] if 0 <= sequence <= _SEQUENCE_MAX:
                self._cursors.append(sequence)


def _is_generation(first: int, generation: str) -> bool:
    return 0 < first <= _SEQUENCE_MAX and _GENERATION.match(generation) is not None


def _rising(cells: list[tuple[int, Cell]]) -> Iterator[tuple[int, Cell]]:
    """The rows whose number is above that of the row before and below that of the row behind.

    Nothing else tells a number that is damaged.
    """
    numbers = [cell.rowid or 0 for _, cell in cells]
    steps = [True, *(one < other for one, other in pairwise(numbers)), True]
    for (at, cell), is_above, is_below in zip(cells, steps, steps[1:], strict=False):
        if cell.rowid is None or (is_above and is_below):
            yield at, cell


def _record(pages: Pages, cell: Cell, visits: Counter[int]) -> SalvagedRecord | None:
    """The record in a row, None where the row is of another table or damaged."""
    if cell.rowid is None or not (0 < cell.rowid <= _SEQUENCE_MAX and cell.size <= _ROW_BYTES_MAX):
        return None
    try:
        if not _has_a_record(cell.local):
            return None
        row = values(pages.payload(cell, visits))
        return _checked(cell.rowid, row)
    except (DamageError, RecordError):
        return None


def _has_a_record(row: memoryview) -> bool:
    """Whether a row is of the table of records, by what its columns hold: no need of its other pages."""
    found, _ = columns(row)
    held = [column.storage for column in found]
    return held[:2] == ["null", "integer"] and held.count("text") == held.count("blob") == 1


def _checked(sequence: int, row: list[Value]) -> SalvagedRecord:
    """The record that the values make; when it was recorded is told from itself where the row cannot be right.

    Raises:
        RecordError: it cannot be decoded, or is another than the row says.
    """
    _, recorded_us, *others = row
    kind = next(one for one in others if isinstance(one, str))
    body = next(one for one in others if isinstance(one, bytes))
    boot = next((one for one in others if isinstance(one, int)), None)
    record = decode_record(body)
    if record.__struct_config__.tag != kind:
        raise RecordError(f"a record that is no {kind}")
    assert isinstance(recorded_us, int)
    instant_us = next(getattr(record, name) for name in _INSTANTS if hasattr(record, name))
    if abs(recorded_us - instant_us) > _RECORDED_AFTER_US_MAX:
        recorded_us = instant_us
    return SalvagedRecord(sequence, UtcUs(recorded_us), kind, boot, body)
