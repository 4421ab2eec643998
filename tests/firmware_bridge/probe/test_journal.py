import re
import resource
from contextlib import closing

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.probe.asks import Silence, Wire
from firmware_bridge.probe.conclusion import conclude_all
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.plan import Options, plan
from firmware_bridge.probe.search import Search
from tests.firmware_bridge.probe.devices import Rig, meter, run

PROFILES = [load_profile(name) for name in ("eastron_sdm630", "eastron_sdm120", "carlo_gavazzi_em340")]
HEAD: dict[str, object] = {"probe": 1, "place": "here"}
WIRE = Wire(kind="serial")


def search() -> Search:
    return Search(plan(PROFILES, Options(listen_s=0)), PROFILES)


def rig() -> Rig:
    return Rig({(WIRE, 2): meter("eastron_sdm630"), (WIRE, 5): meter("carlo_gavazzi_em340")})


def interrupted(path, asks: int) -> Search:
    """A search that was stopped after so many asks."""
    found, line = search(), rig()
    with closing(Journal(path, HEAD)) as journal:
        for _ in range(asks):
            if found.ask is not None:
                heard = line.hear(found.ask)
                journal.add(found.ask, heard)
                found.take(heard)
    return found


def resumed(path) -> tuple[Search, int]:
    journal, found = Journal(path, HEAD), search()
    count = journal.resume(found)
    journal.close()
    return found, count


@pytest.mark.parametrize("asks", [0, 1, 5, 17, 40, 75])
def test_an_interrupted_search_goes_on_where_it_was(tmp_path, asks: int):
    path = tmp_path / "journal"
    first = interrupted(path, asks)
    second, count = resumed(path)
    assert count == asks
    assert second.ask == first.ask
    assert second.left_s == pytest.approx(first.left_s)
    assert conclude_all(run(second, rig()).devices) == conclude_all(run(search(), rig()).devices)


@pytest.mark.slow
def test_a_line_that_was_cut_off_costs_one_answer(tmp_path):
    path = tmp_path / "journal"
    interrupted(path, 20)
    whole = path.read_bytes()
    last = whole[: whole[:-1].rindex(b"\n") + 1]
    for end in range(len(last), len(whole)):
        path.write_bytes(whole[:end])
        found, count = resumed(path)
        # a line that lacks nothing but its end is whole
        assert count == (20 if end == len(whole) - 1 else 19)
        assert found.ask is not None


def test_answers_to_other_questions_are_forgotten(tmp_path):
    path = tmp_path / "journal"
    interrupted(path, 20)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:11], *lines[12:]]))  # as if the plan had changed
    found, count = resumed(path)
    assert count == 10
    assert path.read_bytes() == b"".join(lines[:11])
    assert found.ask is not None


@pytest.mark.parametrize("words", [b"[]", b"[0,0,0]", b"[65536,0]", b"[-1,0]"])
def test_an_answer_that_no_line_can_have_given_is_forgotten(tmp_path, words: bytes):
    path = tmp_path / "journal"
    interrupted(path, 30)
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if b'"Words"' in line)
    lines[place] = re.sub(rb'"words":\[[^]]*\]', b'"words":' + words, lines[place])
    path.write_bytes(b"".join(lines))
    assert resumed(path)[1] == place - 1


def test_what_is_nested_without_end_is_no_answer_and_no_journal(tmp_path):
    path = tmp_path / "journal"
    interrupted(path, 5)
    with path.open("ab") as file:
        file.write(b"[" * 9999 + b"\n")
    assert resumed(path)[1] == 5
    path.write_bytes(b'{"probe":' + b"[" * 9999 + b"\n")
    with pytest.raises(SettingError, match="is no journal"):
        Journal(path, HEAD)


def test_what_is_added_after_a_resumption_is_read_again(tmp_path):
    path = tmp_path / "journal"
    interrupted(path, 7)
    journal, found = Journal(path, HEAD), search()
    journal.resume(found)
    assert found.ask is not None
    journal.add(found.ask, Silence())
    journal.close()
    assert resumed(path)[1] == 8


def test_another_line_or_a_restart_begins_anew(tmp_path):
    path = tmp_path / "journal"
    interrupted(path, 7)
    journal = Journal(path, {**HEAD, "place": "there"})
    assert journal.entries == []
    journal.close()
    interrupted(path, 7)
    journal = Journal(path, HEAD, is_new=True)
    assert journal.entries == []
    journal.close()


def test_a_journal_that_is_in_use_is_refused(tmp_path):
    journal = Journal(tmp_path / "journal", HEAD)
    with pytest.raises(ConflictError, match="another probe"):
        Journal(tmp_path / "journal", HEAD)
    journal.close()
    Journal(tmp_path / "journal", HEAD).remove()
    assert not (tmp_path / "journal").exists()


@pytest.mark.parametrize("text", ["[site]\n", "{}\n", "\xff\n"])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, text: str):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match="is no journal"):
        Journal(path, HEAD)
    assert path.read_text() == text


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="--state"):
        Journal(tmp_path / "file" / "journal", HEAD)


def test_a_disk_that_gets_full_is_told_and_what_fitted_is_kept(tmp_path):
    path = tmp_path / "journal"
    whole = interrupted(tmp_path / "whole", 40)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room_bytes = (tmp_path / "whole").stat().st_size // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        with pytest.raises(SettingError, match=r"journal: cannot be written \(.+\); make room on that disk"):
            interrupted(path, 40)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == room_bytes
    _, count = resumed(path)
    assert 0 < count < 40
    assert whole.ask is not None
