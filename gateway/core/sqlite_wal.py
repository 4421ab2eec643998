"""The write-ahead log of an SQLite file, read without SQLite. Pure.

SQLite stops at the first frame that is not whole and drops, without a word, what stands behind it: right after a
power cut, wrong on a card that decays. The checksum of a frame goes on from the one *stored* in the frame before
it, so what stands behind a damaged frame can be proved as well.
Source: https://www.sqlite.org/fileformat2.html, section 4.
"""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# All that SQLite knows, the default first.
PAGE_SIZES = (4096, 512, 1024, 2048, 8192, 16_384, 32_768, 65_536)
_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
# The byte order in which the checksums take up what they sum.
_ORDERS = {0x377F0682: "<", 0x377F0683: ">"}
# Frames summed at a time: 4 MiB of pages of the default size.
_FRAMES_AT_ONCE = 1024

Words = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]
Frames = npt.NDArray[np.void]


class Frame(NamedTuple):
    """One version of one page."""

    page: int
    image: memoryview


class Wal(NamedTuple):
    """What a log holds.

    `committed` is the newest version of each page as SQLite itself would see it. `behind` are the versions, newest
    first, that it would not take: behind a frame that is not whole, or never committed.
    `hides_commits` tells that a commit stands behind a frame that was whole once. A power cut leaves no such log
    where each commit is synced before the next is written (`synchronous=FULL`): the file is damaged.
    `page_size` is None where no frame is whole.
    """

    page_size: int | None
    committed: dict[int, memoryview]
    behind: list[Frame]
    hides_commits: bool


class _Layout(NamedTuple):
    """The frames of a log as a table, and which of them go on from the frame before."""

    page_size: int
    frames: Frames
    is_whole: Flags
    salts: int | None  # as the header has them, None when it is damaged


def read_wal(wal: bytes | memoryview) -> Wal:
    """What the log holds; of bytes that are no log, nothing. Work is bounded by their number."""
    view = memoryview(wal)
    best = _best_layout(view)
    if best is None:
        return Wal(None, {}, [], hides_commits=False)
    whole, size = best.is_whole, best.page_size
    # What is left of an earlier round through the file has other salts, and is in the database by now.
    salts = int(best.frames["salts"][int(np.argmax(whole))]) if best.salts is None else best.salts
    is_ours = best.frames["salts"] == salts
    whole = whole & is_ours
    is_commit = best.frames["pages"] != 0
    unbroken = len(whole) if whole.all() else int(np.argmin(whole))
    commits = np.flatnonzero(is_commit[:unbroken])
    end = int(commits[-1]) + 1 if len(commits) and best.salts is not None else 0

    def frame(index: int) -> Frame:
        start = _HEADER_BYTES + index * (size + _FRAME_HEADER_BYTES) + _FRAME_HEADER_BYTES
        return Frame(int(best.frames["page"][index]), view[start : start + size])

    committed = dict(map(frame, range(end)))
    behind = [frame(int(index)) for index in np.flatnonzero(is_ours)[::-1] if index >= end]
    hides = _hides_commits(whole, is_commit & is_ours, end, has_header=best.salts is not None)
    return Wal(size, committed, behind, hides)


def _hides_commits(is_whole: Flags, is_commit: Flags, end: int, *, has_header: bool) -> bool:
    """Whether two commits follow each other behind the end: the first was synced when the second was written.

    One alone may be what is left of the transaction that the power was cut in. A header is synced before its
    first frame is written, and lies in one sector: one that is damaged was damaged later.
    """
    commits = 0 if has_header else 1
    for index in range(end, len(is_whole)):
        if not is_whole[index]:
            # What follows may go on from this frame, though it is damaged itself: it was written before.
            commits = int(is_commit[index]) if has_header else 1
            continue
        commits += int(is_commit[index])
        if commits > 1:
            return True
    return False


def _best_layout(wal: memoryview) -> _Layout | None:
    """The layout that its header tells if any frame is whole in it, else the one in which most are."""
    best: _Layout | None = None
    for size, order in _guesses(wal):
        if (layout := _layout(wal, size, order)) is None:
            continue
        if best is None or layout.is_whole.sum() > best.is_whole.sum():
            best = layout
        if best.is_whole.any():
            break
    return best if best is not None and best.is_whole.any() else None


def _guesses(wal: memoryview) -> Iterator[tuple[int, str]]:
    order = _ORDERS.get(int.from_bytes(wal[:4], "big"), "<")
    size = int.from_bytes(wal[8:12], "big")
    if size in PAGE_SIZES:
        yield size, order
    yield from ((size, order) for size, order in product(PAGE_SIZES, "<>"))


def _layout(wal: memoryview, page_size: int, order: str) -> _Layout | None:
    count = (len(wal) - _HEADER_BYTES) // (page_size + _FRAME_HEADER_BYTES)
    if count < 1:
        return None
    header = np.frombuffer(wal, f"{order}u4", 6).astype(np.uint32)[np.newaxis]
    stored = np.frombuffer(wal, ">u4", 2, offset=24).astype(np.uint32)[np.newaxis]
    is_header_whole = bool((_sums(header, np.zeros((1, 2), np.uint32)) == stored).all())
    frames: Frames = np.frombuffer(wal, _frame_type(page_size, order), count, offset=_HEADER_BYTES)
    before = np.vstack([stored, frames["check"][:-1].astype(np.uint32)])
    sums = np.vstack(
        [
            _sums(_summed(frames[first : first + _FRAMES_AT_ONCE]), before[first : first + _FRAMES_AT_ONCE])
            for first in range(0, count, _FRAMES_AT_ONCE)
        ]
    )
    is_whole = (sums == frames["check"]).all(axis=1) & (frames["page"] > 0)
    salts = int.from_bytes(wal[16:24], "big") if is_header_whole else None
    return _Layout(page_size, frames, is_whole, salts)


def _frame_type(page_size: int, order: str) -> np.dtype[Any]:
    """A frame: what is always big endian, and what is summed in the order of the log."""
    fields: dict[str, tuple[object, int]] = {
        "page": (">u4", 0),
        "pages": (">u4", 4),  # of the database after a commit, 0 in every other frame
        "head": ((f"{order}u4", (2,)), 0),
        "salts": (">u8", 8),
        "check": ((">u4", (2,)), 16),
        "image": ((f"{order}u4", (page_size // 4,)), _FRAME_HEADER_BYTES),
    }
    formats, offsets = [one[0] for one in fields.values()], [one[1] for one in fields.values()]
    return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets})


def _summed(frames: Frames) -> Words:
    """The words of each frame that its checksum is over."""
    return np.hstack([frames["head"], frames["image"]]).astype(np.uint32)


def _sums(words: Words, before: Words) -> Words:
    """The checksum of each row of words, going on from another: `s0 += x0 + s1; s1 += x1 + s0` for each pair.

    Each word goes into both sums a Fibonacci number of times, which turns the loop into one product; everything
    is modulo 2^32.
    """
    count = words.shape[1]
    numbers = _fibonacci(count + 2)
    weights = np.stack([numbers[count - 1 :: -1][:count], numbers[count:0:-1]], axis=1)
    onward = np.array([[numbers[count - 1], numbers[count]], [numbers[count], numbers[count + 1]]], np.uint32)
    sums: Words = words @ weights + before @ onward
    return sums


@cache
def _fibonacci(count: int) -> Words:
    """F(0), F(1), ... modulo 2^32."""
    numbers = [0, 1]
    while len(numbers) < count:
        numbers.append((numbers[-1] + numbers[-2]) & 0xFFFFFFFF)
    return np.array(numbers, np.uint32)
