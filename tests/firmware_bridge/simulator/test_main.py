"""The command line: it serves, it stops when told, and a mistake is one sentence."""

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.clock import ScaledClock
from firmware_bridge.errors import Exit
from firmware_bridge.simulator.__main__ import main
from firmware_bridge.simulator.scenario import EXAMPLE

DEADLINE_S = 20


@pytest.fixture
def scenario(tmp_path, scenario_text) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(scenario_text)
    return path


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "firmware_bridge.simulator", *map(str, arguments)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_port(simulator: subprocess.Popen[str], path: Path) -> int:
    while not path.exists():
        assert simulator.poll() is None, simulator.stderr.read()
    return int(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_by_simulated_time_and_stops_when_told(tmp_path, scenario, number):
    simulator = start(
        *("--scenario", scenario, "--clock", "origin", "--log", "log.jsonl", "--port-file", "port"), cwd=tmp_path
    )
    try:
        port = wait_for_port(simulator, tmp_path / "port")
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
            client.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0x34, 2))
            power_w = struct.unpack(">f", client.recv(64)[9:])[0]
            simulator.send_signal(number)
            assert simulator.wait(DEADLINE_S) == Exit.OK
    finally:
        simulator.kill()
        _, said = simulator.communicate()
    assert said.splitlines() == [
        f"simulator: listens on tcp://127.0.0.1:{port}",
        "simulator: meter grid, unit 1, eastron_sdm630",
        "simulator: meter solar, unit 2, carlo_gavazzi_em340",
    ]
    (line,) = [msgspec.json.decode(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    assert line["values"] == {"active_power_w": power_w}
    assert 0 < line["at_us"] - 1_767_571_200_000_000 < 1000 * DEADLINE_S * 1_000_000
    assert ScaledClock(tmp_path / "origin").rate == 1000


@pytest.mark.slow
def test_a_device_that_sends_by_itself_is_heard_and_logged(tmp_path):
    meter = '[[meter]]\nname = "utility"\nunit = 4\nprofile = "dsmr_p1"\nquantity = "grid"\n'
    (tmp_path / "scenario.toml").write_text(meter)
    files = ("--clock", "origin", "--log", "log.jsonl", "--port-file", "port")
    simulator = start("--scenario", "scenario.toml", *files, cwd=tmp_path)
    try:
        port = wait_for_port(simulator, tmp_path / "port")
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
            heard = b""
            while not heard.endswith(b"\r\n") or b"!" not in heard:
                heard += client.recv(4096)
            simulator.send_signal(signal.SIGTERM)
            assert simulator.wait(DEADLINE_S) == Exit.OK
    finally:
        simulator.kill()
        simulator.communicate()
    assert heard.startswith(b"/SWE5")
    told = [msgspec.json.decode(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]
    assert any(f"1-0:32.7.0({line['values']['voltage_l1_v']:05.1f}*V)".encode() in heard for line in told)


@pytest.mark.slow
def test_it_is_controlled_line_by_line_and_ends_with_its_input(tmp_path, scenario_text):
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(scenario_text + '[[line]]\nname = "rs485"\nkind = "serial"\nlink = "dev/rs485"\n')
    commands = b'{"do": "counts", "line": "rs485"}\n' + b"x" * 10_000 + b"\n" + b'{"do": "pull", "line": "rs485"}\n'
    command = [sys.executable, "-m", "firmware_bridge.simulator", "--scenario", "scenario.toml", "--control"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, input=commands, capture_output=True, timeout=DEADLINE_S, check=True
    )
    greeting, counts, *too_long, pulled = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert greeting == {"ok": {"rs485": f"serial://{tmp_path}/dev/rs485"}}
    assert counts["ok"]["requests"] == 0
    assert all("error" in answer for answer in too_long)
    assert pulled == {"ok": None}
    assert not (tmp_path / "dev/rs485").is_symlink()
    assert f"simulator: listens on serial://{tmp_path}/dev/rs485" in done.stderr.decode()


@pytest.mark.slow
def test_commands_in_a_file_are_refused_and_a_parent_that_does_not_listen_ends_it(tmp_path, scenario):
    command = [sys.executable, "-m", "firmware_bridge.simulator", "--scenario", scenario, "--control"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with scenario.open() as commands:
        done = subprocess.run(command, env=environment, stdin=commands, capture_output=True, timeout=DEADLINE_S)
    assert done.returncode == Exit.BAD_SETTING
    assert b"--control = (input): is a file; pipe commands into it" in done.stderr
    readable, writable = os.pipe()
    os.close(readable)
    deaf = subprocess.run(command, env=environment, stdout=writable, stderr=subprocess.PIPE, timeout=DEADLINE_S)
    os.close(writable)
    assert b"Traceback" not in deaf.stderr


@pytest.mark.parametrize("option", [("--port", "5020"), ("--port-file", "port")])
def test_lines_of_a_scenario_have_their_own_addresses(tmp_path, scenario_text, capsys, option):
    (tmp_path / "scenario.toml").write_text(scenario_text + '[[line]]\nname = "net"\nkind = "tcp"\n')
    assert main(["--scenario", str(tmp_path / "scenario.toml"), *option]) == Exit.BAD_SETTING
    assert "is for a scenario without lines; set line.port" in capsys.readouterr().err


@pytest.mark.slow
def test_a_disk_that_fills_ends_the_run_with_a_sentence(tmp_path, scenario):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    simulator = start("--scenario", scenario, "--log", "/dev/full", "--port-file", "port", cwd=tmp_path)
    try:
        port = wait_for_port(simulator, tmp_path / "port")
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
            client.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 0x34, 2))
            client.recv(64)
            _, said = simulator.communicate(timeout=DEADLINE_S)
    finally:
        simulator.kill()
    assert simulator.returncode == Exit.BAD_SETTING
    assert said.strip().splitlines()[-1].startswith("simulator: --log = /dev/full: cannot be written")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--scenario", "none.toml"], "--scenario = none.toml: cannot be read"),
        (["--scenario", "{scenario}", "--log", "{folder}/none/log"], "--log"),
        (["--scenario", "{scenario}", "--clock", "{folder}/none/origin"], "--clock"),
        (["--scenario", "{scenario}", "--clock", "{scenario}"], "is not a clock origin"),
        (["--scenario", "{scenario}", "--port-file", "{folder}/none/port"], "--port-file"),
        (["--scenario", "{scenario}", "--port", "70000"], "--port = 70000"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, scenario, capsys, arguments, says):
    code = main([argument.format(scenario=scenario, folder=tmp_path) for argument in arguments])
    said = capsys.readouterr().err
    assert code == Exit.BAD_SETTING
    assert says in said
    assert said.count("\n") == 1


def test_a_taken_port_is_a_conflict_told_in_one_sentence(scenario, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = main(["--scenario", str(scenario), "--port", str(taken.getsockname()[1])])
    said = capsys.readouterr().err
    assert code == Exit.CONFLICT
    assert "Address already in use" in said
    assert said.count("\n") == 1


def test_the_example_is_printed_as_it_stands(capsys):
    assert main(["--example"]) == Exit.OK
    assert capsys.readouterr().out == EXAMPLE.read_text()


@pytest.mark.parametrize("arguments", [[], ["--example", "--scenario", "site.toml"]])
def test_a_scenario_or_the_example_is_asked_for(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == Exit.BAD_SETTING
    assert "--example" in capsys.readouterr().err
