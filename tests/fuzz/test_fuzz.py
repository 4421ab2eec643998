"""The driver finds what is planted, makes it short, and repeats itself; every parser stands a few inputs."""

import re
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.__main__ import main
from tests.fuzz.campaign import Campaign, Report, calls_of, refuse_much_work
from tests.fuzz.target import BrokenError, Target
from tests.fuzz.targets import TARGETS

# Seconds of it: run by `make test`.
pytestmark = pytest.mark.slow

INPUTS = 60
PLANTED_INPUTS = 5_000


def campaign_on(check: Callable[[bytes], Hashable], *seeds: bytes) -> Report:
    return Campaign(Target("planted", check, seeds), seed=1).run(PLANTED_INPUTS)


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_stands_its_real_examples_and_some_more(name: str):
    report = Campaign(TARGETS[name], seed=1).run(INPUTS)
    assert report.finding is None, report.finding
    assert report.inputs >= INPUTS
    assert report.ends > 1


def test_an_exception_is_found_and_its_input_made_short():
    def check(data: bytes) -> Hashable:
        number = re.search(rb"power=(\d+)", data)
        return None if number is None else 1_000 // (int(number[1][:9]) % 97)

    report = campaign_on(check, b"name=grid power=12 unit=1", b"some=thing else=here")
    assert report.finding is not None
    assert "ZeroDivisionError" in report.finding.trouble
    assert re.fullmatch(rb"power=\d+", report.finding.data)


def test_an_end_that_was_not_seen_before_is_gone_on_from():
    """A word of four letters, each of which is told to be right, is found where chance alone would not."""
    word = b"\x91\xc3\x07\xd4"

    def check(data: bytes) -> Hashable:
        right = next((place for place in range(len(word)) if data[place : place + 1] != word[place : place + 1]), 4)
        assert right < len(word)
        return right

    report = Campaign(Target("planted", check, [bytes(4)]), seed=1).run(50_000)
    assert report.finding is not None
    assert report.finding.data == word


def test_work_that_grows_with_the_square_of_the_input_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaign, "SHORTER_TRIES_MAX", 4)

    def check(data: bytes) -> Hashable:
        return sum(max(1, 2) for _ in data for _ in data)

    report = Campaign(Target("planted", check, [b"1234567890"], bytes_max=640), seed=1).run(PLANTED_INPUTS)
    assert report.finding is not None
    assert "BrokenError" in report.finding.trouble
    with pytest.raises(BrokenError):
        refuse_much_work(campaign.CALLS_MIN + 1, b"")


def test_an_input_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaign, "DEADLINE_S", 0.05)
    monkeypatch.setattr(campaign, "SHORTER_TRIES_MAX", 4)

    def check(data: bytes) -> Hashable:
        while b"\xff" in data:
            with suppress(Exception):  # no parser gets hold of the deadline
                data.count(b"\xff")
        return data[:1]

    report = campaign_on(check, b"abc")
    assert report.finding is not None
    assert "Late" in report.finding.trouble


def test_the_same_seed_makes_the_same_inputs():
    def inputs(seed: int) -> list[bytes]:
        seen: list[bytes] = []

        def check(data: bytes) -> Hashable:
            seen.append(data)
            return len(data) % 7

        Campaign(Target("planted", check, [b"a real example"]), seed).run(500)
        return seen

    assert inputs(1) == inputs(1)
    assert inputs(1) != inputs(2)
    assert all(len(data) <= 4096 for data in inputs(1))


def test_calls_are_counted_the_same_each_time():
    target = Target("planted", lambda data: [chr(byte) for byte in data].count("a"), [b""])
    assert calls_of(target, bytes(100)) == calls_of(target, bytes(100)) > 100
    assert sys.getprofile() is None


@pytest.mark.slow
def test_the_command_runs_parsers_side_by_side_and_tells_one_line_of_each(capfd, tmp_path: Path):
    assert main(["--seconds", "0.5", "--jobs", "2", "--folder", str(tmp_path), "sunspec", "host_frames"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("seed 1, 0.5 s at most for each of 2 parsers")
    assert sorted(line.split()[:2] for line in lines[1:]) == [["host_frames", "ok"], ["sunspec", "ok"]]


def test_a_parser_that_is_none_is_told(capsys):
    assert main(["nothing"]) == 2
    assert "is no parser; choose from rtu" in capsys.readouterr().err


def test_a_kept_input_is_given_to_its_parser_again(capsys, tmp_path: Path):
    kept = tmp_path / "sunspec-0123456789ab"
    kept.write_bytes(b"SunS")
    assert main(["--again", str(kept)]) == 0
    assert capsys.readouterr().out.startswith("sunspec: (")
