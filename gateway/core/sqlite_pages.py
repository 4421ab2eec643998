"""The pages of an SQLite file and where rows lie on them, read without SQLite, whatever else is damaged. Pure.

A row is found on its leaf page alone: neither the header, nor the schema, nor the pages above are needed.
Source: https://www.sqlite.org/fileformat2.html, sections 1 and 2. Our files reserve no bytes at the end of a page.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np

from gateway.core.sqlite_rows import DamageError, varint
from gateway.core.sqlite_wal import PAGE_SIZES

FILE_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_TABLE_LEAF, _INDEX_LEAF = 13, 10
_LEAF_HEADER_BYTES = 8
_CELL_BYTES_MIN = 4
_POINTER_FREE_PAGE = 2
_POINTER_ENTRY_BYTES = 5
_FREE_LIST_AT = 32
# An overflow page belongs to one row. Damaged rows and old versions may lead there as well, but a file made to
# have every row lead everywhere would cost the square of its size.
VISITS_MAX = 8
# The size of pages is found on so many stretches of the file, spread over it: 16 MiB in all.
_STRETCHES_MAX = 256


class Content(Protocol):
    """The bytes of a file, wherever they lie."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, part: slice, /) -> bytes | memoryview:
        """Some of them."""
        ...


class Cell(NamedTuple):
    """A row on a leaf page: its number (None in an index), its size, what of it lies here, where it goes on."""

    rowid: int | None
    size: int
    local: memoryview
    overflow: int


class Pages:
    """The pages of a file; `newer` are those that its log has a newer version of."""

    def __init__(self, database: Content, page_size: int, newer: Mapping[int, memoryview]) -> None:
        self._database = database
        self._size = page_size
        self._newer = newer

    def numbers(self) -> Iterator[int]:
        """Every page there is a version of, from 1."""
        in_file = len(self._database) // self._size
        yield from range(1, in_file + 1)
        yield from sorted(number for number in self._newer if number > in_file)

    def image(self, number: int) -> memoryview:
        """The page of that number.

        Raises:
            DamageError: there is none.
        """
        if (newer := self._newer.get(number)) is not None:
            return newer
        if not 0 < number <= len(self._database) // self._size:
            raise DamageError(f"there is no page {number}")
        return memoryview(self._database[(number - 1) * self._size : number * self._size])

    def payload(self, cell: Cell, visits: Counter[int]) -> bytes:
        """All bytes of a row, from the pages that it goes on; `visits` counts how often each was gone to.

        Raises:
            DamageError: the pages are not there, or lie on the way of too many rows.
        """
        parts, missing, number = [cell.local], cell.size - len(cell.local), cell.overflow
        while missing > 0:
            image = self.image(number)
            visits[number] += 1
            if visits[number] > VISITS_MAX:
                raise DamageError(f"too many rows go on on page {number}")
            parts.append(image[4 : 4 + missing])
            missing -= len(parts[-1])
            number = _integer(image, 0, 4)
        return b"".join(parts)

    def free(self) -> set[int]:
        """The pages that are not in use: the list of them and the pointer map both say so.

        One alone may be damaged, and nothing is to be passed over for that.
        """
        return {number for number in self._listed_free() if self._is_mapped_free(number)}

    def _listed_free(self) -> Iterator[int]:
        seen: set[int] = set()
        try:
            trunk = _integer(self.image(1), _FREE_LIST_AT, 4)
            while trunk and trunk not in seen:
                seen.add(trunk)
                yield trunk
                image = self.image(trunk)
                leaves = min(_integer(image, 4, 4), self._size // 4 - 2)
                yield from (_integer(image, 8 + 4 * index, 4) for index in range(leaves))
                trunk = _integer(image, 0, 4)
        except DamageError:
            return

    def _is_mapped_free(self, number: int) -> bool:
        entries = self._size // _POINTER_ENTRY_BYTES
        place = (number - 2) % (entries + 1)
        if number < 2 or place == 0:
            return False
        try:
            return self.image(number - place)[_POINTER_ENTRY_BYTES * (place - 1)] == _POINTER_FREE_PAGE
        except DamageError:
            return False


def leaf_cells(image: memoryview, *, is_first: bool = False) -> list[tuple[int, Cell]]:
    """The rows on a leaf page with their places on it, in order; none on a page of another kind.

    A row that cannot stand where the page says is left out. `is_first`: the file's header stands before the page's.
    """
    start = FILE_HEADER_BYTES if is_first else 0
    if image[start] not in (_TABLE_LEAF, _INDEX_LEAF):
        return []
    cells = []
    for index in range(min(_integer(image, start + 3, 2), _cells_max(image, start))):
        place = _integer(image, start + _LEAF_HEADER_BYTES + 2 * index, 2)
        try:
            cells.append((place, cell_at(image, place, is_index=image[start] == _INDEX_LEAF)))
        except DamageError:
            continue
    return cells


def cell_at(image: memoryview, place: int, *, is_index: bool = False) -> Cell:
    """The row at that place of a leaf page.

    Raises:
        DamageError: no row can stand there.
    """
    size, at = varint(image, place)
    rowid: int | None = None
    if not is_index:
        rowid, at = varint(image, at)
    local = _local_bytes(size, len(image), is_index=is_index)
    end = at + local + (4 if local < size else 0)
    if end > len(image):
        raise DamageError("a row goes on behind the end of its page")
    overflow = _integer(image, at + local, 4) if local < size else 0
    return Cell(rowid, size, image[at : at + local], overflow)


def _local_bytes(size: int, page_size: int, *, is_index: bool) -> int:
    """How much of a row stays on its leaf (section 1.6)."""
    local_max = (page_size - 12) * 64 // 255 - 23 if is_index else page_size - 35
    if size <= local_max:
        return size
    local_min = (page_size - 12) * 32 // 255 - 23
    local = local_min + (size - local_min) % (page_size - 4)
    return local if local <= local_max else local_min


def find_page_size(database: Content) -> int:
    """The size under which most pages are leaves as they should be; in doubt what the header says, or 4096.

    The header may be damaged where everything else is not, and its word is one of few.
    """
    head = memoryview(database[0:FILE_HEADER_BYTES])
    told = _integer(head, 16, 2) if head[:16] == _MAGIC else 0
    told = 65_536 if told == 1 else told
    sizes = ([told] if told in PAGE_SIZES else []) + [size for size in PAGE_SIZES if size != told]
    largest = max(PAGE_SIZES)
    step = max(1, len(database) // largest // _STRETCHES_MAX) * largest
    stretches = [memoryview(database[at : at + largest]) for at in range(0, len(database), step)]
    return max(sizes, key=lambda size: sum(_sound_leaves(stretch, size) for stretch in stretches))


def _sound_leaves(stretch: memoryview, size: int) -> int:
    pages = (stretch[at : at + size] for at in range(0, len(stretch) // size * size, size))
    return sum(page[0] == _TABLE_LEAF and _is_sound(page) for page in pages)


def _is_sound(image: memoryview) -> bool:
    count = _integer(image, 3, 2)
    content = _integer(image, 5, 2) or 65_536
    if not 0 < count <= _cells_max(image, 0):
        return False
    places = np.frombuffer(image, ">u2", count, offset=_LEAF_HEADER_BYTES)
    return bool(_LEAF_HEADER_BYTES + 2 * count <= content == places.min() and places.max() < len(image))


def _cells_max(image: memoryview, start: int) -> int:
    return (len(image) - start - _LEAF_HEADER_BYTES) // (2 + _CELL_BYTES_MIN)


def _integer(data: memoryview, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
