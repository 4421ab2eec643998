"""A user's mistake ends in one sentence that names field, value and next step; the exit code says so too."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit
from gateway import SOFTWARE
from gateway.__main__ import main
from tests.sim.home import gateway_text

Complaint = Callable[..., str]


@pytest.fixture
def complaint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Complaint:
    """What `run` says to a configuration that cannot work."""

    def run(text: str, code: Exit = Exit.BAD_SETTING) -> str:
        file = tmp_path / "site.toml"
        file.write_text(text)
        assert main(["run", "--config", str(file)]) == code
        return one_sentence(capsys.readouterr().err)

    return run


def one_sentence(said: str) -> str:
    assert said.startswith("smartwatts-gateway: ")
    assert said.endswith(".\n")
    assert said.count("\n") == 1, "one line, no traceback"
    return said.removeprefix("smartwatts-gateway: ").rstrip()


@pytest.mark.parametrize(
    ("wrong", "instead_of", "said"),
    [
        ("poll_periods = 1", "poll_period_s = 300", ["record.poll_periods = 1", "is not a setting", "spelling"]),
        ("unit = 300", "unit = 1\n", ["meter[0].unit = 300", "247"]),
        ('unit = "one"', "unit = 1\n", ["meter[0].unit = 'one'", "whole number from 1 to 247"]),
        ('profile = "sdm630"', 'profile = "eastron_sdm630"', ["profile = 'sdm630'", "known meter", "eastron_sdm630"]),
        ('bus = "hous"', 'bus = "house"', ["bus = 'hous'", "use one of: house"]),
        ('url = "/dev/ttyUSB0"', 'url = "tcp://127.0.0.1:502"', ["bus[0].url = '/dev/ttyUSB0'"]),
        ("poll_period_s = 7", "poll_period_s = 300", ["record.poll_period_s = 7", "900", "use one of"]),
        ("[record", "[record]", ["is not TOML", "line"]),
        ('time_zone = "Lagos"', 'time_zone = "Africa/Lagos"', ["site.time_zone = 'Lagos'", "Africa/Lagos"]),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_its_value_and_the_next_step(complaint, wrong, instead_of, said):
    text = gateway_text(Path("/nowhere"), bus_port=502)
    assert instead_of in text
    sentence = complaint(text.replace(instead_of, f"{wrong}\n", 1))
    for words in said:
        assert words in sentence


def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    (tmp_path / "latin.toml").write_bytes("# a café\n".encode("latin-1"))
    for name, problem in (("none.toml", "No such file"), ("", "Is a directory"), ("latin.toml", "not UTF-8")):
        assert main(["run", "--config", str(tmp_path / name)]) == Exit.BAD_SETTING
        sentence = one_sentence(capsys.readouterr().err)
        assert f"config = {tmp_path / name}: cannot be read ({problem}" in sentence.replace("it is not", "not")


def test_simulated_time_that_nobody_keeps_is_named(complaint, tmp_path):
    text = gateway_text(tmp_path, bus_port=502, more=f'[clock]\norigin = "{tmp_path}/clock"\n')
    assert "clock.origin" in complaint(text)


def test_a_store_folder_that_cannot_be_made_is_named(complaint, tmp_path):
    (tmp_path / "file").write_text("")
    sentence = complaint(gateway_text(tmp_path / "file", bus_port=502))
    assert f"store.folder = {tmp_path / 'file' / 'data'}: cannot be used" in sentence


@pytest.mark.slow
def test_a_port_of_the_page_that_is_taken_is_named(complaint, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = gateway_text(tmp_path, bus_port=502).replace("port = 0", f"port = {port}")
        assert f"page.port = {port}: is taken by another program" in complaint(text, Exit.CONFLICT)


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == Exit.OK
    assert capsys.readouterr().out.strip() == SOFTWARE


@pytest.mark.parametrize("argv", [[], ["rum"], ["run"], ["run", "--config"], ["accept"], ["fetch"]])
def test_a_wrong_command_line_is_a_users_mistake(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == Exit.BAD_SETTING
    assert capsys.readouterr().err.startswith("usage: smartwatts-gateway")


HELP = """
import sys
from gateway.__main__ import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "accept", "fetch"])
def test_help_answers_without_what_only_a_running_gateway_needs(command):
    done = subprocess.run([sys.executable, "-c", HELP, command, "--help"], capture_output=True, text=True, timeout=60)
    said, _, modules = done.stdout.strip().rpartition("\n")
    assert said.startswith(f"usage: smartwatts-gateway {command}")
    assert not {"aiohttp", "pymodbus", "aiosqlite", "tflite_runtime", "ai_edge_litert"} & set(modules.split())


@pytest.mark.slow
def test_the_command_as_a_process_says_the_same(tmp_path):
    (tmp_path / "site.toml").write_text("colour = 1")
    command = [sys.executable, "-m", "gateway", "run", "--config", str(tmp_path / "site.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (Exit.BAD_SETTING, "")
    assert "colour" in one_sentence(done.stderr)
