import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.reading import UtcUs
from gateway.shell.database import StorageError
from gateway.shell.generations import (
    FILE_NAME,
    GENERATIONS_MAX,
    SEQUENCE_GAP,
    SEQUENCE_UNKNOWN,
    Generation,
    Journal,
    Salvage,
    decode_journal,
    is_id,
    new_id,
    read_journal,
    stretch,
    succeed,
    write_journal,
)
from tests.sim.full_disk import files_limited_to
from tests.sim.stores import DAY_US, NOW_US

A, B, C = (letter * 32 for letter in "abc")


def test_what_is_written_is_read_again(tmp_path):
    journal = Journal([(1, A), (500, B)], [Salvage("damaged-17.sqlite", 500, 2)])
    write_journal(tmp_path, journal)
    assert read_journal(tmp_path) == journal


def test_a_missing_or_damaged_list_is_an_empty_one(tmp_path):
    assert read_journal(tmp_path) == Journal([])
    (tmp_path / FILE_NAME).write_bytes(b'{"generations": [[1, "' + b"\xff")
    assert read_journal(tmp_path) == Journal([])


@given(st.binary(max_size=200) | st.recursive(st.integers() | st.text(), st.lists).map(msgspec.json.encode))
def test_anything_is_a_journal_or_none(data):
    journal = decode_journal(data)
    assert journal is None or decode_journal(msgspec.json.encode(journal)) == journal


@pytest.mark.parametrize(
    "text",
    [
        f'{{"generations": [[2, "{A}"], [1, "{B}"]]}}',
        f'{{"generations": [[1, "{A}"], [1, "{B}"]]}}',
        f'{{"generations": [[0, "{A}"]]}}',
        '{"generations": [[1, "nonsense"]]}',
        '{"generations": [], "salvages": [{"file": "../store.sqlite", "below": 1}]}',
    ],
)
def test_a_list_that_cannot_be_is_none(text):
    assert decode_journal(text.encode()) is None


def test_the_newest_are_written_of_more_than_can_be_read(tmp_path):
    write_journal(tmp_path, Journal([(first, A) for first in range(1, GENERATIONS_MAX + 3)]))
    assert read_journal(tmp_path).generations[0] == (3, A)


def test_a_full_disk_is_no_setting_and_a_wrong_place_is(tmp_path):
    with files_limited_to(10), pytest.raises(StorageError) as caught:
        write_journal(tmp_path, Journal([(1, A)]))
    assert caught.value.card == "full"
    (tmp_path / "file").touch()
    with pytest.raises(SettingError):
        read_journal(tmp_path / "file")


def test_a_stretch_ends_before_the_next_generation_and_goes_on_under_the_same_id():
    generations = [Generation(1, A), Generation(5, B), Generation(9, B), Generation(20, C)]
    assert stretch(generations, 4) == (A, 1, 5)
    assert stretch(generations, 5) == stretch(generations, 19) == (B, 5, 20)
    assert stretch(generations, 20) == (C, 20, None)
    assert stretch(generations[1:], 1) == (B, 5, 20), "no generation began before: the first one"


def test_a_new_generation_is_above_every_sequence_ever_given():
    known = [Generation(1, A), Generation(300, B)]
    for last, first in ((700, 701), (None, 300 + SEQUENCE_GAP)):
        generations = succeed(known, last, NOW_US)
        assert generations[:-1] == known
        assert generations[-1].first == first
        assert is_id(generations[-1].id)
        assert generations[-1].id not in (A, B)


def test_a_generation_without_a_record_gives_way_to_the_next():
    ((first, _), (second, _)) = succeed([Generation(1, A), Generation(301, B)], 300, NOW_US)
    assert (first, second) == (1, 301)


def test_without_any_word_all_records_are_of_the_new_generation():
    for now_us, first in ((UtcUs(0), SEQUENCE_UNKNOWN), (NOW_US, NOW_US // 100)):
        (low, low_id), (high, high_id) = succeed([], None, now_us)
        assert (low, high, low_id) == (1, first, high_id)
    assert [one.first for one in succeed([], 0, NOW_US)] == [1]


def test_a_second_time_without_any_word_is_above_the_first():
    first, later = NOW_US, UtcUs(NOW_US + 2 * DAY_US)
    below = succeed(succeed([], None, first), None, first)[-1].first
    assert succeed([], None, later)[-1].first > below + 2**20


def test_an_id_is_new_and_looks_like_one():
    assert new_id() != new_id()
    assert is_id(new_id())
    assert not any(is_id(text) for text in ("", "a" * 31, "g" * 32, A + "\n", b"a" * 32, None))
