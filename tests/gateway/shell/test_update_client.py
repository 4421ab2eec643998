import asyncio
import os
import select
import sys
from pathlib import Path

import pytest

from gateway.core.update import Outcome
from gateway.shell.bundle_files import BundleFiles
from gateway.shell.update_client import check, deadline_s, fetch_command
from tests.sim import repository_server as sim
from tests.sim.bundles import MODEL_FILE, write_bundle
from tests.sim.releases import Publisher

pytestmark = pytest.mark.slow

DIGEST = "0" * 64
# Starts a child of its own, as the acceptance is one, tells both ids, and hangs.
HANG = """
import os, pathlib, subprocess, sys, threading
child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
threading.Event().wait()
"""


def program(text: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", text, *map(str, arguments)]


def have_ended(pids: str) -> bool:
    """Whether all these processes end; they were killed, it is a matter of moments."""
    return all(has_ended(int(pid)) for pid in pids.split())


def has_ended(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10.0)[0])
    finally:
        os.close(descriptor)


async def test_outcome_of_the_child_is_returned():
    text = """import sys; print('{"outcome": "installed", "release": 3, "digest": "' + sys.argv[-1] + '"}')"""
    assert await check(program(text), DIGEST, 30) == Outcome("installed", 3, DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print('nonsense')",
        "print('{')",
        "print('x' * 100_000)",
        "raise SystemExit(2)",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
async def test_child_without_outcome_is_this_machines_trouble(text, capfd):
    outcome = await check(program(text), DIGEST, 30)
    assert outcome.outcome == "local"
    assert outcome.reason.startswith("the check ")


async def test_program_that_is_not_there_is_this_machines_trouble():
    assert (await check(["/nowhere/at/all"], DIGEST, 30)).outcome == "local"


async def test_hanging_child_is_ended_with_all_it_started(tmp_path):
    pids = tmp_path / "pids"
    outcome = await check(program(HANG, pids), DIGEST, 2.0)
    assert outcome == Outcome("network", reason="the check was ended after 2 s")
    assert not pids.exists() or have_ended(pids.read_text())


async def test_cancelled_check_leaves_nothing_running(tmp_path):
    """As at a shutdown while a download stalls."""
    pipe = tmp_path / "pids"
    os.mkfifo(pipe)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(check(program(HANG, pipe), DIGEST, 60))
        pids = await asyncio.to_thread(pipe.read_text)
        task.cancel()
    assert task.cancelled()
    assert len(pids.split()) == 2
    assert have_ended(pids)


def test_whole_check_has_time_for_its_download_and_the_acceptance():
    assert deadline_s(120.0) > 120.0 + 60.0


def test_command_is_the_gateways_own():
    assert fetch_command(Path("site.toml"))[1:] == ["-m", "gateway", "fetch", "--json", "--config", "site.toml"]


async def test_update_is_taken_up_through_the_child(tmp_path, monkeypatch):
    """The whole way back: published, fetched by a child, activated; then a flipped byte, refused by name."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    publisher = Publisher(tmp_path)
    digest = publisher.publish(1)
    (tmp_path / "root.json").write_bytes(publisher.root)
    write_bundle(tmp_path / "factory")
    files = BundleFiles(tmp_path / "models", tmp_path / "factory")
    active = files.start()
    with sim.serving(publisher.repository) as server:
        arguments = map(str, (server.url, tmp_path / "root.json", tmp_path / "models", tmp_path / "factory"))
        command = [sys.executable, "-m", "tests.sim.fetch_child", *arguments]
        assert await check(command, active.digest, 60) == Outcome("installed", 1, digest)
        assert files.activate(digest).release == 1
        assert (await check(command, digest, 60)).outcome == "no_update"
        publisher.publish(2, model=b"better")
        server.faults[MODEL_FILE] = sim.flip_byte
        outcome = await check(command, digest, 60)
        assert outcome.outcome == "refused"
        assert outcome.reason == f"{MODEL_FILE}: length or hash differs from the signed metadata"
    assert (await check(command, digest, 60)).outcome == "network"
    assert BundleFiles(tmp_path / "models", tmp_path / "factory").start().digest == digest
