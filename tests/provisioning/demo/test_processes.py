"""Programs of the demonstration, real ones: the simulator, and small ones that misbehave."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit
from provisioning.demo import processes
from provisioning.demo.processes import ProgramError, Programs, run_command

pytestmark = pytest.mark.slow

SIMULATOR = "firmware_bridge.simulator"
SCENARIO = """
[[meter]]
name = "main"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"
"""
# Take `--port-file FILE` and do something else than what is wanted.
STUBBORN = """
import signal, sys, pathlib
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[-1]).write_text("1")
signal.pause()
"""
MUTE = "import signal; signal.pause()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the small programs lie and can be started from."""
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    (tmp_path / "mute.py").write_text(MUTE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_long_command_may_show_how_it_goes_on(folder: Path, capfd: pytest.CaptureFixture[str]):
    (folder / "long.py").write_text("import sys; print('half of it', file=sys.stderr); print('{\"is_done\": true}')")
    assert run_command("long", is_shown=True) == {"is_done": True}
    assert capfd.readouterr().err == "half of it\n"
    assert run_command("long") == {"is_done": True}
    assert capfd.readouterr().err == ""


async def test_a_program_is_known_to_listen_by_its_port_and_ends_in_order(folder: Path):
    with Programs(folder, SystemClock()) as programs:
        simulator, port = await programs.start_listening(
            "simulator", SIMULATOR, "--scenario", folder / "scenario.toml"
        )
        assert port > 0
        assert simulator.exit_code is None
        simulator.check_alive()
        assert simulator.stop() == Exit.OK
        assert simulator.stop() == Exit.OK, "again is fine"
        with pytest.raises(ProgramError, match="simulator ended with code 0"):
            simulator.check_alive()


async def two_simulators(folder: Path, pids: list[int]) -> None:
    with Programs(folder, SystemClock()) as programs:
        for name in ("one", "two"):
            program, _ = await programs.start_listening(name, SIMULATOR, "--scenario", folder / "scenario.toml")
            pids.append(program.pid)
        raise InterruptedError


async def test_leaving_the_block_ends_all_programs_whatever_happened(folder: Path):
    pids: list[int] = []
    with pytest.raises(InterruptedError):
        await two_simulators(folder, pids)
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


async def test_a_program_that_fails_is_told_with_its_last_words(folder: Path):
    with Programs(folder, SystemClock()) as programs, pytest.raises(ProgramError) as caught:
        await programs.start_listening("simulator", SIMULATOR, "--scenario", folder / "gone.toml")
    assert f"simulator ended with code {Exit.BAD_SETTING}: " in str(caught.value)
    assert "gone.toml" in str(caught.value)


async def test_a_program_that_never_listens_is_not_waited_for_for_ever(folder: Path, monkeypatch):
    monkeypatch.setattr(processes, "START_S_MAX", 0.2)
    with Programs(folder, SystemClock()) as programs, pytest.raises(ProgramError, match="mute does not listen"):
        await programs.start_listening("mute", "mute")


async def test_an_old_port_file_is_not_believed(folder: Path, monkeypatch):
    monkeypatch.setattr(processes, "START_S_MAX", 0.2)
    (folder / "mute.port").write_text("80")
    with Programs(folder, SystemClock()) as programs, pytest.raises(ProgramError, match="mute does not listen"):
        await programs.start_listening("mute", "mute")


async def test_a_program_that_does_not_end_when_told_is_killed(folder: Path, monkeypatch):
    monkeypatch.setattr(processes, "STOP_S_MAX", 0.2)
    with Programs(folder, SystemClock()) as programs:
        stubborn, _ = await programs.start_listening("stubborn", "stubborn")
        assert stubborn.stop() == -signal.SIGKILL


async def test_a_kill_is_as_sudden_as_a_power_cut(folder: Path):
    with Programs(folder, SystemClock()) as programs:
        program, _ = await programs.start_listening("simulator", SIMULATOR, "--scenario", folder / "scenario.toml")
        program.kill()
        assert program.exit_code == -signal.SIGKILL


PARENT = """
import asyncio, pathlib, signal, sys
from firmware_bridge.clock import SystemClock
from provisioning.demo.processes import Programs

async def main():
    with Programs(pathlib.Path("."), SystemClock()) as programs:
        arguments = ["firmware_bridge.simulator", "--scenario", "scenario.toml"]
        program, _ = await programs.start_listening("simulator", *arguments)
        print(program.pid, flush=True)
        signal.pause()

asyncio.run(main())
"""


async def test_programs_end_with_a_parent_that_was_killed(folder: Path):
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=PIPE, cwd=folder)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(10):
        while is_running(child):
            await SystemClock().sleep_for(0.02)


def test_a_command_gives_what_it_printed(folder: Path):
    told = run_command("cloud_trainer", "keys", "create", "--folder", folder / "keys")
    assert set(told) == {"folder", "keys"}


def test_a_command_that_fails_is_told_with_what_it_said(folder: Path):
    with pytest.raises(ProgramError, match=r"cloud_trainer report ended with code 2: .*cannot be read"):
        run_command("cloud_trainer", "report", "--dsn", "@gone")


def test_a_command_that_may_fail_must_still_give_a_result(folder: Path):
    with pytest.raises(ProgramError, match=r"cloud_trainer score printed no result: .*cannot be read"):
        run_command("cloud_trainer", "score", "--dsn", "@gone", may_fail=True)


def test_a_command_that_does_not_end_is_no_riddle(folder: Path):
    with pytest.raises(ProgramError, match="mute now did not end"):
        run_command("mute", "now", seconds_max=0.2)
