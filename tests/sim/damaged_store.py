"""Damage to the files of a store, and which records it leaves alone.

Where a record lies is found by looking for its bytes, not by reading pages as the store's own salvage does.
"""

import struct
from collections.abc import Callable
from random import Random
from typing import NamedTuple

PAGE_BYTES = 4096
FRAME_BYTES = PAGE_BYTES + 24
LOG_HEADER_BYTES = 32
TABLE_LEAF, INDEX_LEAF = 13, 10
# Of a body, to find the page it begins on; of an overflow page, to tell whose it is.
_MARK_BYTES = 24


class Files(NamedTuple):
    """A store's file and its log."""

    database: bytes
    log: bytes


class Place(NamedTuple):
    """A page that holds something: a stretch of the file, or of the log with the head of its frame."""

    is_log: bool
    at: int
    size: int


# --- where records lie -----------------------------------------------------------------------------


class Whereabouts:
    """The newest version of each page, and the records on them. The log must be whole, of one round."""

    def __init__(self, files: Files) -> None:
        self._images: dict[int, bytes] = {}
        self._places: dict[int, Place] = {}
        for at in range(0, len(files.database), PAGE_BYTES):
            self._put(at // PAGE_BYTES + 1, files.database[at : at + PAGE_BYTES], Place(False, at, PAGE_BYTES))
        self.frames = [Place(True, at, FRAME_BYTES) for at in range(LOG_HEADER_BYTES, len(files.log), FRAME_BYTES)]
        # the frames that end a transaction
        self.commits: list[int] = []
        for index, frame in enumerate(self.frames):
            number, is_commit = struct.unpack_from(">II", files.log, frame.at)
            self._put(number, files.log[frame.at + 24 : frame.at + FRAME_BYTES], frame)
            self.commits += [index] if is_commit else []
        self._overflow = {image[4 : 4 + _MARK_BYTES]: number for number, image in self._images.items()}

    def _put(self, number: int, image: bytes, place: Place) -> None:
        self._images[number], self._places[number] = image, place

    def places(self, body: bytes) -> list[Place]:
        """The pages of a record: its leaf, and those that it goes on."""
        (leaf,) = [n for n, image in self._images.items() if image[0] == TABLE_LEAF and body[:_MARK_BYTES] in image]
        rest = body[self._on_leaf(leaf, body) :]
        pages = [leaf]
        while rest:
            pages.append(self._overflow[rest[:_MARK_BYTES].ljust(_MARK_BYTES, b"\0")])
            rest = rest[PAGE_BYTES - 4 :]
        return [self._places[number] for number in pages]

    def _on_leaf(self, leaf: int, body: bytes) -> int:
        """How much of a body lies on its leaf."""
        begin = self._images[leaf].index(body[:_MARK_BYTES])
        fits = [size for size in range(_MARK_BYTES, len(body)) if self._goes_on(body, size)]
        size = min(fits, default=len(body))
        assert self._images[leaf][begin : begin + size] == body[:size]
        return size

    def _goes_on(self, body: bytes, size: int) -> bool:
        number = self._overflow.get(body[size : size + _MARK_BYTES].ljust(_MARK_BYTES, b"\0"))
        return number is not None and self._images[number][4:].startswith(body[size : size + PAGE_BYTES - 4])

    def of(self, kind: int, mark: bytes) -> Place:
        """The leaf page of that kind where these bytes stand."""
        (number,) = [n for n, image in self._images.items() if image[0] == kind and mark in image]
        return self._places[number]


def is_hit(place: Place, before: Files, after: Files) -> bool:
    """Whether a page is not what it was."""
    whole, damaged = (files.log if place.is_log else files.database for files in (before, after))
    return whole[place.at : place.at + place.size] != damaged[place.at : place.at + place.size]


# --- damage ----------------------------------------------------------------------------------------

Damage = Callable[[Files, Random], Files]


def random_bytes(files: Files, chance: Random) -> Files:
    """A few bytes here and there, or many."""
    return _in_one(files, chance, lambda data: _scatter(data, chance, chance.choice([1, 1, 3, 30, 300])))


def bad_sectors(files: Files, chance: Random) -> Files:
    """A stretch of nonsense."""

    def spoil(data: bytearray) -> None:
        size = 512 * chance.choice([1, 8, 64])
        at = chance.randrange(0, len(data), 512)
        data[at : at + size] = chance.randbytes(len(data[at : at + size]))

    return _in_one(files, chance, spoil)


def truncation(files: Files, chance: Random) -> Files:
    """One of the files ends early, on the edge of a page or not."""

    def shorten(data: bytearray) -> None:
        end = chance.randrange(len(data))
        del data[end // PAGE_BYTES * PAGE_BYTES if chance.random() < 0.5 else end :]

    return _in_one(files, chance, shorten)


def zero_page(files: Files, chance: Random) -> Files:
    """Pages are empty."""
    data = bytearray(files.database)
    for _ in range(chance.choice([1, 1, 5])):
        at = chance.randrange(0, len(data), PAGE_BYTES)
        data[at : at + PAGE_BYTES] = bytes(PAGE_BYTES)
    return files._replace(database=bytes(data))


def header(files: Files, chance: Random) -> Files:
    """What says that this is a database, how large its pages are, and where its tables begin."""
    data = bytearray(files.database)
    head = chance.choice([100, 100, PAGE_BYTES])
    if chance.random() < 0.5:
        data[:head] = chance.choice([bytes(head), chance.randbytes(head)])
    else:
        for _ in range(chance.choice([1, 4])):
            data[chance.randrange(head)] = chance.randrange(256)
    return files._replace(database=bytes(data))


def log_tail(files: Files, chance: Random) -> Files:
    """The end of the log: torn, of nonsense, empty, or followed by something."""
    log = bytearray(files.log)
    if not log:
        return header(files, chance)
    at = chance.randrange(len(log))
    match chance.randrange(5):
        case 0:
            del log[at:]
        case 1:
            log[at:] = bytes(len(log) - at)
        case 2:
            log[at:] = chance.randbytes(len(log) - at)
        case 3:
            log += chance.randbytes(chance.randrange(1, 3 * FRAME_BYTES))
        case _:
            _scatter(log, chance, chance.choice([1, 5]))
    return files._replace(log=bytes(log))


DAMAGES: list[Damage] = [random_bytes, bad_sectors, truncation, zero_page, header, log_tail]


def _in_one(files: Files, chance: Random, spoil: Callable[[bytearray], None]) -> Files:
    """The file or its log, spoilt; the file more often."""
    is_log = bool(files.log) and chance.random() < 0.3
    data = bytearray(files.log if is_log else files.database)
    spoil(data)
    return files._replace(log=bytes(data)) if is_log else files._replace(database=bytes(data))


def _scatter(data: bytearray, chance: Random, count: int) -> None:
    for _ in range(count):
        data[chance.randrange(len(data))] = chance.randrange(256)
