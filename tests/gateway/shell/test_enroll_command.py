import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from firmware_bridge.errors import Exit
from gateway.__main__ import main
from gateway.contract.enrolment import CODE_RANDOM_BYTES, new_code, read_code
from gateway.shell.identity import IDENTITY_NAME, KEY_NAME
from tests.sim.claims import ClaimServer, lose
from tests.sim.cloud_server import key_name

SHOWN_CODE = new_code(bytes(range(CODE_RANDOM_BYTES)))
CODE = read_code(SHOWN_CODE)

CONFIG = """
[site]
gateway_id = "gw-1"
[[bus]]
name = "line"
url = "tcp://127.0.0.1:502"
[[meter]]
name = "grid"
bus = "line"
unit = 1
profile = "eastron_sdm630"
[store]
folder = "{folder}"
"""


@pytest.fixture
async def server() -> AsyncIterator[ClaimServer]:
    cloud = ClaimServer()
    cloud.claims = {CODE: None}
    async with cloud.listening():
        yield cloud


@pytest.fixture
def config(tmp_path) -> Callable[[str | None], str]:
    """A configuration that sends to `url`, or nowhere."""

    def config(url: str | None) -> str:
        sync = "" if url is None else f'[sync]\nurl = "{url}"\ntimeout_s = 5.0\n'
        file = tmp_path / "gateway.toml"
        file.write_text(CONFIG.format(folder=tmp_path / "data") + sync)
        return str(file)

    return config


class Command:
    """The commands as somebody gives them, with what is piped in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.said = self.complaint = ""

    async def give(self, *arguments: str, typed: str = "") -> int:
        """The exit code; in a thread of its own, for the cloud lives in this one."""
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = await asyncio.to_thread(main, list(arguments))
        self.said, self.complaint = self._capsys.readouterr()
        assert SHOWN_CODE not in self.said + self.complaint
        assert CODE not in self.said + self.complaint
        return code


@pytest.fixture
def command(monkeypatch, capsys) -> Command:
    return Command(monkeypatch, capsys)


# --- enroll -------------------------------------------------------------------------------------------------------


async def test_a_code_that_is_piped_in_enrols_the_gateway(server, config, command):
    assert await command.give("enroll", "--config", config(server.url), typed=f"{SHOWN_CODE}\n") == Exit.OK
    gateway_key = server.claims[CODE]
    assert command.said == (
        "This gateway is enrolled.\n"
        "  gateway:              gw-1\n"
        "  organisation:         org\n"
        "  site:                 site\n"
        f"  cloud:                {server.url}\n"
        f"  key of this gateway:  {gateway_key}\n"
        f"  keys of the cloud:    {key_name(server.public)}\n"
        "Its operator sees the keys of the cloud by `smartwatts-trainer server-key list`: compare them now.\n"
    )
    assert command.complaint == ""


async def test_a_pinned_cloud_needs_no_comparison(server, config, command):
    pin = (f"--server-key={key_name(server.public)}",)  # one of 64 begins with a dash
    assert await command.give("enroll", "--config", config(server.url), *pin, typed=CODE.lower()) == Exit.OK
    assert "compare" not in command.said


async def test_readings_of_one_owner_go_to_the_next_only_when_somebody_says_so(server, config, command):
    given = ("enroll", "--config", config(server.url))
    assert await command.give(*given, typed=CODE) == Exit.OK
    server.organisation = "buyer"
    assert await command.give(*given, typed=CODE) == Exit.CONFLICT
    assert "organisation = 'buyer': is not 'org', whose readings are kept here" in command.complaint
    assert await command.give("identity", "--config", config(server.url)) == Exit.OK
    assert "org\n" in command.said
    assert await command.give(*given, "--with-history", typed=CODE) == Exit.OK
    assert "buyer\n" in command.said


async def test_json_is_one_line_with_the_ids_of_all_keys(server, config, command):
    assert await command.give("enroll", "--config", config(server.url), "--json", typed=SHOWN_CODE) == Exit.OK
    assert command.said.count("\n") == 1
    told = json.loads(command.said)
    assert told.pop("enrolled_us") > 0
    assert told == {
        "enrolled": True,
        "gateway": "gw-1",
        "key": server.claims[CODE],
        "organisation": "org",
        "site": "site",
        "url": server.url,
        "server_keys": [key_name(server.public)],
    }


async def test_the_same_command_works_again_after_a_lost_answer(server, config, command):
    server.losses = [lose]
    arguments = ("enroll", "--config", config(server.url))
    assert await command.give(*arguments, typed=SHOWN_CODE) == Exit.UNREACHABLE
    assert command.complaint.count("\n") == 1
    assert "give the same command again" in command.complaint
    assert await command.give(*arguments, typed=SHOWN_CODE) == Exit.OK


async def test_a_new_key_needs_a_code_of_its_own(server, config, command):
    arguments = ("enroll", "--config", config(server.url))
    assert await command.give(*arguments, typed=SHOWN_CODE) == Exit.OK
    assert await command.give(*arguments, "--new-key", typed=SHOWN_CODE) == Exit.CONFLICT
    assert "used already" in command.complaint
    other = new_code(b"\1" * CODE_RANDOM_BYTES)
    server.claims[read_code(other)] = None
    assert await command.give(*arguments, "--new-key", "--json", typed=other) == Exit.OK
    assert json.loads(command.said)["key"] == server.claims[read_code(other)]


async def test_a_slip_is_told_before_anybody_is_asked(server, config, command):
    slip = SHOWN_CODE[:-1] + ("A" if SHOWN_CODE[-1] != "A" else "B")
    for typed in (slip, "", SHOWN_CODE * 20, "\udcff"):
        assert await command.give("enroll", "--config", config(server.url), typed=typed) == Exit.BAD_SETTING
        assert "code = (not shown): is none: " in command.complaint
        assert slip not in command.complaint
    assert server.paths == []


async def test_a_code_that_the_cloud_does_not_know_is_refused(server, config, command):
    server.claims = {}
    assert await command.give("enroll", "--config", config(server.url), typed=SHOWN_CODE) == Exit.NOT_VERIFIED
    assert "was refused: this code is not valid; ask for a new code" in command.complaint


async def test_without_a_network_nothing_is_used_up(config, command, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert await command.give("enroll", "--config", config(url), typed=SHOWN_CODE) == Exit.UNREACHABLE
    assert "cannot be reached (Connection refused); nothing was changed" in command.complaint


@pytest.mark.parametrize("name", ["enroll", "rotate"])
async def test_without_a_cloud_in_the_configuration_there_is_nobody_to_ask(name, config, command):
    assert await command.give(name, "--config", config(None), typed=SHOWN_CODE) == Exit.BAD_SETTING
    assert (
        command.complaint
        == "smartwatts-gateway: sync = (missing): is needed to reach the cloud; add [sync] with url.\n"
    )


async def test_a_server_key_that_is_none_is_told(config, command):
    arguments = ("enroll", "--config", config("http://127.0.0.1:9"), "--server-key", "abc")
    assert await command.give(*arguments, typed=SHOWN_CODE) == Exit.BAD_SETTING
    assert "--server-key = 'abc': is no key id" in command.complaint


# --- rotate and identity --------------------------------------------------------------------------------------


async def test_identity_says_who_this_gateway_is_at_every_stage(server, config, command):
    file = config(server.url)
    assert await command.give("identity", "--config", file) == Exit.OK
    assert command.said == "Not enrolled.\n  gateway:              gw-1\n"
    assert await command.give("identity", "--config", file, "--json") == Exit.OK
    assert json.loads(command.said) == {"enrolled": False, "gateway": "gw-1"}
    await command.give("enroll", "--config", file, typed=SHOWN_CODE)
    assert await command.give("identity", "--config", file) == Exit.OK
    assert f"key of this gateway:  {server.claims[CODE]}\n" in command.said


async def test_a_rotation_tells_the_next_key(server, config, command):
    file = config(server.url)
    await command.give("enroll", "--config", file, typed=SHOWN_CODE)
    assert await command.give("rotate", "--config", file) == Exit.OK
    assert command.said.startswith("The cloud knows the next key; the gateway takes it up with its next upload.\n")
    assert await command.give("identity", "--config", file, "--json") == Exit.OK
    told = json.loads(command.said)
    assert set(server.gateways["gw-1"]) == {told["key"], told["next_key"]}
    assert told["key"] == server.claims[CODE]


async def test_a_gateway_that_is_not_enrolled_changes_no_key(server, config, command):
    assert await command.give("rotate", "--config", config(server.url)) == Exit.BAD_SETTING
    assert "run `smartwatts-gateway enroll` first" in command.complaint


async def test_a_damaged_identity_ends_in_one_sentence(server, config, command, tmp_path):
    file = config(server.url)
    await command.give("enroll", "--config", file, typed=SHOWN_CODE)
    (tmp_path / "data" / IDENTITY_NAME).write_bytes(b"{")
    assert await command.give("identity", "--config", file) == Exit.BAD_SETTING
    assert command.complaint.count("\n") == 1
    assert "enroll again with the same code" in command.complaint
    assert await command.give("enroll", "--config", file, typed=SHOWN_CODE) == Exit.OK


# --- secrets --------------------------------------------------------------------------------------------------


class WatchingServer(ClaimServer):
    """Looks at the process that asks, while that one waits for the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = {CODE: None}
        self.process: subprocess.Popen[bytes] | None = None
        self.seen = b""

    async def _enroll(self, request: web.Request) -> web.StreamResponse:
        self.seen = await asyncio.to_thread(self._look)
        return await super()._enroll(request)

    def _look(self) -> bytes:
        assert self.process is not None
        folder = Path(f"/proc/{self.process.pid}")
        return b"".join((folder / name).read_bytes() for name in ("cmdline", "environ"))


@pytest.mark.slow
@pytest.mark.parametrize("has_terminal", [False, True], ids=["piped in", "typed at a terminal"])
async def test_neither_code_nor_key_is_seen_in_processes_logs_or_on_the_screen(has_terminal, config, tmp_path):
    server = WatchingServer()
    async with server.listening():
        arguments = ["--verbose", "enroll", "--config", config(server.url)]
        output = await asyncio.to_thread(_enroll, server, arguments, has_terminal)
    assert b"This gateway is enrolled." in output
    assert b"gateway.toml" in server.seen
    secret = (tmp_path / "data" / KEY_NAME).read_bytes().splitlines()[1]
    for one in (secret, CODE.encode(), SHOWN_CODE.encode(), SHOWN_CODE.lower().encode()):
        assert one not in output + server.seen


def _enroll(server: WatchingServer, arguments: list[str], has_terminal: bool) -> bytes:
    """Run the command and type the code when it is asked for; all that appears, at the terminal too."""
    ours, theirs = os.openpty() if has_terminal else os.pipe()[::-1]
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # or getpass would ask the terminal of whoever runs the tests
    ) as process:
        server.process = process
        os.close(theirs)
        assert process.stdout is not None
        output = b""
        while has_terminal and not output.endswith(b"Claim code: "):  # from then on nothing is echoed
            one = process.stdout.read(1)
            assert one, output
            output += one
        os.write(ours, f"{SHOWN_CODE}\n".encode())
        output += process.communicate(timeout=30)[0]
    assert process.returncode == Exit.OK, output.decode()
    os.set_blocking(ours, False)
    with suppress(OSError):  # nothing there, or nobody at the other end
        output += os.read(ours, 65536)
    os.close(ours)
    return output
