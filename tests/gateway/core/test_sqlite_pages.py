"""Pages and rows read by our reader, beside what SQLite wrote."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sqlite_pages import Pages, cell_at, find_page_size, leaf_cells
from gateway.core.sqlite_rows import DamageError, Value, values
from gateway.core.sqlite_wal import PAGE_SIZES

NUMBERS = st.integers(-(2**63), 2**63 - 1)
# No zero byte, behind which the binding of a text ends in some versions of SQLite; no half of a pair.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.none() | NUMBERS | st.floats(allow_nan=False) | TEXTS | st.binary(max_size=3000)
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=8)


def database_of(rows: list[tuple[Value, ...]], page_size: int = 512, *settings: str) -> bytes:
    with closing(sqlite3.connect(":memory:")) as file:
        for setting in (f"page_size={page_size}", *settings):
            file.execute(f"PRAGMA {setting}")
        file.execute("CREATE TABLE t (a, b, c)")
        file.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        file.commit()
        return file.serialize()


def rows_of(pages: Pages) -> Iterator[tuple[int, list[Value]]]:
    """The rows of all tables but the schema, which begins on the first page."""
    for number in pages.numbers():
        for _, cell in leaf_cells(pages.image(number)) if number > 1 else ():
            if cell.rowid is not None:
                yield cell.rowid, values(pages.payload(cell, Counter()))


@given(ROWS, st.sampled_from([512, 1024, 4096]))
def test_every_row_is_read_as_sqlite_wrote_it(rows: list[tuple[Value, ...]], page_size: int):
    pages = Pages(database_of(rows, page_size), page_size, {})
    found = dict(rows_of(pages))
    assert [found[number] for number in sorted(found)] == [list(row) for row in rows]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2**56 - 1, 2**56, 2**63 - 1, -1, -(2**63)])
def test_numbers_of_every_length(number: int):
    with closing(sqlite3.connect(":memory:")) as file:
        file.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        file.execute("INSERT INTO t VALUES (?)", (number,))
        file.commit()
        database = file.serialize()
    ((_, cell),) = leaf_cells(Pages(database, 4096, {}).image(2))
    assert cell.rowid == number


@given(st.binary(min_size=512, max_size=512), st.booleans(), st.sampled_from([b"\x0d", b"\x0a", b""]))
def test_any_bytes_are_a_page(image: bytes, is_first: bool, kind: bytes):
    start = 100 if is_first else 0
    data = memoryview(image[:start] + kind + image[start + len(kind) :])
    for place, cell in leaf_cells(data, is_first=is_first):
        assert cell_at(data, place, is_index=cell.rowid is None) == cell
        assert len(cell.local) <= cell.size


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("told", [None, b"\x10\x00", b"\x02\x00", b"\x00\x01", b"\x00\x00", b"\xff\xff"])
def test_the_page_size_is_found_whatever_the_header_says(page_size: int, told: bytes | None):
    database = database_of([(number, "x" * 40, bytes(page_size // 5)) for number in range(40)], page_size)
    if told is not None:
        database = database[:16] + told + database[18:]
    assert find_page_size(database) == page_size
    assert find_page_size(bytes(100) + database[100:]) == page_size


def test_the_page_size_of_nothing_is_that_of_the_header_or_the_default():
    assert find_page_size(b"") == 4096
    assert find_page_size(bytes(9000)) == 4096
    assert find_page_size(database_of([], 8192)[:100]) == 8192


def test_a_page_that_is_not_there_is_told():
    pages = Pages(database_of([(1, 2, 3)]), 512, {9: memoryview(bytes(512))})
    assert list(pages.numbers()) == [1, 2, 9]
    for number in (-1, 0, 3, 2**32):
        with pytest.raises(DamageError):
            pages.image(number)
    assert pages.image(9) == bytes(512)


def freed(page_size: int = 512) -> bytes:
    """A database from whose table most rows are deleted."""
    with closing(sqlite3.connect(":memory:")) as file:
        for setting in (f"page_size={page_size}", "auto_vacuum=INCREMENTAL"):
            file.execute(f"PRAGMA {setting}")
        file.execute("CREATE TABLE t (a, b)")
        file.executemany("INSERT INTO t VALUES (?, ?)", [(number, bytes(200)) for number in range(1000)])
        file.commit()
        file.execute("DELETE FROM t WHERE a < 900")
        file.commit()
        return file.serialize()


def test_free_pages_are_those_that_list_and_map_name():
    database = freed()
    pages = Pages(database, 512, {})
    count = int.from_bytes(database[36:40], "big")
    assert len(pages.free()) == count > 300
    kept = {number for number in pages.numbers() if number not in pages.free() and number > 1}
    assert sum(len(leaf_cells(pages.image(number))) for number in kept) == 100


@pytest.mark.parametrize(("at", "damage"), [(32, bytes(4)), (32, b"\xff" * 4), (512, bytes(512)), (512, b"\1" * 512)])
def test_a_page_that_list_or_map_does_not_name_is_in_use(at: int, damage: bytes):
    database = freed()
    damaged = database[:at] + damage + database[at + len(damage) :]
    assert len(Pages(damaged, 512, {}).free()) < len(Pages(database, 512, {}).free())


def test_a_list_of_free_pages_that_goes_round_has_an_end():
    database = bytearray(freed())
    trunk = int.from_bytes(database[32:36], "big")
    database[(trunk - 1) * 512 : (trunk - 1) * 512 + 4] = trunk.to_bytes(4, "big")
    assert Pages(bytes(database), 512, {}).free()


def test_a_page_that_many_rows_go_on_is_given_up():
    pages = Pages(database_of([(1, 2, bytes(5000))]), 512, {})
    ((_, cell),) = leaf_cells(pages.image(2))
    visits: Counter[int] = Counter()
    for _ in range(8):
        assert len(pages.payload(cell, visits)) == cell.size
    with pytest.raises(DamageError, match="too many rows"):
        pages.payload(cell, visits)


def test_a_row_that_goes_on_for_ever_has_an_end():
    database = bytearray(database_of([(1, 2, bytes(5000))]))
    ((_, cell),) = leaf_cells(Pages(bytes(database), 512, {}).image(2))
    at = (cell.overflow - 1) * 512
    database[at : at + 4] = cell.overflow.to_bytes(4, "big")
    with pytest.raises(DamageError):
        Pages(bytes(database), 512, {}).payload(cell, Counter())
