"""Who may send: the real cloud, real meters and real gateways, from the claim to the revocation."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.claims import Terms, claims, create_claims, revoke_claim
from cloud_trainer.fleet.gateways import Gateway, gateways
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit
from gateway.contract.enrolment import CODE_RANDOM_BYTES, new_code, read_code
from provisioning.demo.enrolment import GATEWAY, TRAINER
from provisioning.demo.processes import Program, Programs, run_command
from provisioning.demo.run import SIMULATOR

pytestmark = [pytest.mark.slow, pytest.mark.pg]

# What takes a second takes ten on a machine that is busy with something else.
WAIT_S_MAX = 60.0
SCENARIO = """
[[meter]]
name = "main"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"
"""
# All of it in real time: blocks, uploads and what an operator does follow each other within seconds.
CONFIG = """
[site]
gateway_id = "{gateway}"

[[bus]]
name = "house"
url = "tcp://127.0.0.1:{bus_port}"

[[meter]]
name = "main"
bus = "house"
unit = 1
profile = "eastron_sdm630"
role = "grid"
rated_power_w = 17250

[record]
poll_period_s = 1
recording_period_s = 1

[store]
folder = "{folder}"

[page]
port = 0

[sync]
url = "{cloud}"
period_s = 1
"""

Facts = dict[str, Any]


@dataclass(frozen=True)
class House:
    """One cloud and one house of meters; any number of gateways."""

    folder: Path
    programs: Programs
    cloud: str
    bus_port: int

    def config(self, gateway: str, *, folder: str = "") -> Path:
        path = self.folder / f"{folder or gateway}.toml"
        store = self.folder / (folder or gateway)
        path.write_text(
            CONFIG.format(gateway=gateway, bus_port=self.bus_port, folder=store, cloud=self.cloud), "utf-8"
        )
        return path

    @property
    def dsn(self) -> str:
        return (self.folder / "dsn").read_text()

    def trainer(self, *arguments: str | Path) -> Any:
        return run_command(TRAINER, *arguments, "--dsn", f"@{self.folder / 'dsn'}")

    def code_file(self) -> Path:
        return self.folder / f"code-{len(list(self.folder.glob('code-*')))}"

    def claim(self, **terms: Any) -> Path:
        """A file with a new code; commands that are tested elsewhere need not be started for each."""
        with connect(self.dsn) as connection:
            (made,) = create_claims(connection, "default", Terms(**({"site": "home"} | terms)), now_us())
        code = self.code_file()
        code.write_text(made.code + "\n")
        return code

    def enrol(self, config: Path, code: Path, *more: str) -> subprocess.CompletedProcess[str]:
        with code.open("rb") as typed:
            return subprocess.run(
                [sys.executable, "-m", GATEWAY, "enroll", "--config", config, "--json", *more],
                stdin=typed, capture_output=True, timeout=WAIT_S_MAX, check=False, text=True,
            )  # fmt: skip

    def seen(self, gateway: str) -> Gateway:
        """What its operator sees of a gateway."""
        with connect(self.dsn) as connection:
            (found,) = (one for one in gateways(connection, "default", now_us()) if one.gateway == gateway)
        return found

    def records(self, gateway: str) -> int:
        with connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM record WHERE gateway_id = %s", (gateway,)).fetchone()
        assert row is not None
        return int(row[0])

    async def run(self, config: Path) -> tuple[Program, str]:
        """Start a gateway; its program and the address of its status."""
        program, port = await self.programs.start_listening(config.stem, GATEWAY, "run", "--config", config)
        return program, f"http://127.0.0.1:{port}/status.json"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("a house")
    (folder / "scenario.toml").write_text(SCENARIO)
    with Programs(folder, SystemClock()) as programs:
        yield asyncio.run(_house(folder, programs))


async def _house(folder: Path, programs: Programs) -> House:
    _, port = await programs.start_listening(
        "ingest", TRAINER, "ingest", "--embedded", folder / "postgresql", "--port", "0", "--dsn-file", folder / "dsn"
    )
    _, bus_port = await programs.start_listening("simulator", SIMULATOR, "--scenario", folder / "scenario.toml")
    return House(folder, programs, f"http://127.0.0.1:{port}", bus_port)


def now_us() -> int:
    return SystemClock().utc_us()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while not await asyncio.to_thread(is_so):
            await SystemClock().sleep_for(0.1)


async def status(address: str) -> Facts:
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        told: Facts = await response.json()
        return told


async def test_a_gateway_measures_from_the_start_and_sends_once_it_is_enrolled(house: House):
    config = house.config("shop-1")
    program, address = await house.run(config)
    async with asyncio.timeout(WAIT_S_MAX):
        while (await status(address))["queue"]["records"] < 3:
            await SystemClock().sleep_for(0.1)
    code = house.code_file()
    house.trainer("claim", "create", "--site", "shop", "--gateway", "shop-1", "--code-file", code)
    done = house.enrol(config, code)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    told = json.loads(done.stdout)
    assert (told["enrolled"], told["organisation"], told["site"]) == (True, "default", "shop")
    await until(lambda: house.records("shop-1") > 5)
    seen = house.trainer("gateway", "list")[0]
    assert (seen["gateway"], seen["status"], seen["keys"]) == ("shop-1", "active", [told["key"]])
    assert (seen["suspect_since_us"], seen["seen_us"] is None) == (None, False)
    assert program.stop() == Exit.OK


async def test_a_revoked_gateway_sends_nothing_and_measures_on_until_it_is_taken_back(house: House):
    config = house.config("gw-revoked")
    assert house.enrol(config, house.claim()).returncode == Exit.OK
    program, address = await house.run(config)
    await until(lambda: house.records("gw-revoked") > 0)
    house.trainer("gateway", "revoke", "gw-revoked")
    async with asyncio.timeout(WAIT_S_MAX):
        while "revoked" not in str((await status(address))["upload"]["last_error"]):
            await SystemClock().sleep_for(0.1)
    sent, kept = house.records("gw-revoked"), (await status(address))["queue"]["records"]
    async with asyncio.timeout(WAIT_S_MAX):
        while (await status(address))["queue"]["records"] < kept + 3:
            await SystemClock().sleep_for(0.1)
    assert house.records("gw-revoked") == sent, "nothing of it came meanwhile"
    assert program.stop() == Exit.OK
    house.trainer("gateway", "restore", "gw-revoked")
    program, _ = await house.run(config)
    await until(lambda: house.records("gw-revoked") > sent + kept)
    assert program.stop() == Exit.OK


async def test_a_key_is_changed_while_the_gateway_runs_and_nobody_notices(house: House):
    config = house.config("gw-rotated")
    assert house.enrol(config, house.claim()).returncode == Exit.OK
    program, _ = await house.run(config)
    await until(lambda: house.records("gw-rotated") > 0)
    (old,) = house.seen("gw-rotated").keys
    told = run_command(GATEWAY, "rotate", "--config", config)
    new = told["next_key"] or told["key"]
    assert new != old
    await until(lambda: house.seen("gw-rotated").keys == [new, old])
    sent = house.records("gw-rotated")
    await until(lambda: house.records("gw-rotated") > sent + 2)
    assert program.stop() == Exit.OK
    assert run_command(GATEWAY, "identity", "--config", config)["key"] == new
    assert house.seen("gw-rotated").suspect_since_us is None


async def test_a_copied_gateway_is_noticed_and_what_both_measure_is_kept(house: House):
    config = house.config("gw-copied")
    assert house.enrol(config, house.claim()).returncode == Exit.OK
    program, _ = await house.run(config)
    await until(lambda: house.records("gw-copied") > 0)
    assert program.stop() == Exit.OK
    shutil.copytree(house.folder / "gw-copied", house.folder / "gw-copy")
    sent = house.records("gw-copied")
    original, _ = await house.run(config)
    copy, _ = await house.run(house.config("gw-copied", folder="gw-copy"))
    await until(lambda: house.seen("gw-copied").suspect_since_us is not None)
    await until(lambda: house.records("gw-copied") > sent + 20)
    assert [original.stop(), copy.stop()] == [Exit.OK, Exit.OK]
    with connect(house.dsn) as connection:
        generations = connection.execute(
            "SELECT count(DISTINCT generation) FROM record WHERE gateway_id = 'gw-copied'"
        ).fetchone()
    assert generations is not None
    assert generations[0] >= 2, "their records are not taken for each other's"


def test_a_code_works_once_and_a_lost_one_is_replaced(house: House):
    code = house.claim()
    first, second = house.config("gw-first"), house.config("gw-second")
    assert house.enrol(first, code).returncode == Exit.OK
    again = house.enrol(first, code)
    assert (again.returncode, again.stderr) == (Exit.OK, ""), "as if the first answer had been lost"
    other = house.enrol(second, code)
    assert (other.returncode, other.stdout, other.stderr.count("\n")) == (Exit.CONFLICT, "", 1)
    with connect(house.dsn) as connection:
        contested = [one for one in claims(connection, "default", now_us()) if one.contested_us is not None]
    assert [one.used_key for one in contested] == house.seen("gw-first").keys
    (lost,) = house.seen("gw-first").keys
    shutil.rmtree(house.folder / "gw-first")
    assert house.enrol(first, house.claim(site=None, gateway="gw-first", replaces=True)).returncode == Exit.OK
    (fresh,) = house.seen("gw-first").keys
    assert fresh != lost


def test_a_code_that_is_refused_ends_in_one_sentence_without_it(house: House):
    unknown, revoked = house.code_file(), house.claim()
    unknown.write_text(new_code(bytes(CODE_RANDOM_BYTES)))
    with connect(house.dsn) as connection:
        revoke_claim(connection, "default", claims(connection, "default", now_us())[-1].claim, now_us())
    said = set()
    for code in (unknown, revoked):
        done = house.enrol(house.config("gw-refused"), code)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (Exit.NOT_VERIFIED, "", 1)
        assert code.read_text().strip() not in done.stderr
        said.add(done.stderr)
    assert len(said) == 1


def test_no_log_tells_a_code_or_a_key(house: House):
    """Nor does any that the tests before have left."""
    assert house.enrol(house.config("gw-quiet"), house.claim()).returncode == Exit.OK
    secrets = [code.read_text().strip() for code in house.folder.glob("code-*")]
    secrets += [read_code(code) for code in secrets]
    for key in house.folder.glob("*/identity*.key"):
        secrets += [line for line in key.read_text().splitlines() if not line.startswith("-----")]
    assert len(secrets) >= 3
    logs = "".join(log.read_text(errors="replace") for log in house.folder.glob("*.log"))
    assert "ingest listens" in logs
    assert [secret for secret in secrets if secret in logs] == []
