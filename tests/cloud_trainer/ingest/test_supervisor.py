"""Two processes on one port, killed in mid-load: nothing is lost, nothing is there twice."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_trainer.ingest.app import Ports
from cloud_trainer.ingest.settings import Settings
from cloud_trainer.ingest.supervisor import Supervisor, WorkerError
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import ConflictError, Exit
from gateway.contract.batches import Batch
from gateway.contract.signatures import Ed25519Signer, SignatureError
from tests.sim.cloud_records import START_US, batch, power
from tests.sim.signed_sender import Sender, know

pytestmark = [pytest.mark.slow, pytest.mark.pg]

GATEWAYS, BATCHES, RECORDS = 4, 12, 5


class Run:
    """A supervisor at work."""

    def __init__(self, supervisor: Supervisor, ports: list[Ports], stopped: asyncio.Event) -> None:
        self.supervisor, self.ports, self.stopped = supervisor, ports, stopped


@contextlib.asynccontextmanager
async def running(settings: Settings, processes: int = 2) -> AsyncIterator[Run]:
    stopped = asyncio.Event()
    listening: asyncio.Future[list[Ports]] = asyncio.get_running_loop().create_future()
    supervisor = Supervisor(settings, processes, listening.set_result, SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.run(stopped))
        try:
            yield Run(supervisor, await listening, stopped)
        finally:
            stopped.set()


def children() -> list[int]:
    """The processes of the ingest that we started."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [
        pid for pid in map(int, found) if b"cloud_trainer.ingest.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def new_sender(session: aiohttp.ClientSession, url: str, settings: Settings, number: int) -> Sender:
    signer = Ed25519Signer(Ed25519PrivateKey.generate())
    sender = Sender(session, url, Path(settings.keys), gateway=f"gw-{number}", signer=signer)
    return know(settings.dsn, sender)


def batch_of(sender: Sender, number: int) -> Batch:
    first = number * RECORDS
    records = [power(START_US + 300_000_000 * (first + one), [float(one)]) for one in range(RECORDS)]
    return batch(records, first=first + 1, gateway=sender.gateway)


async def deliver(sender: Sender, number: int) -> None:
    """As a gateway does: until there is a signed 200."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, SignatureError):
            if (await sender.send(batch_of(sender, number))).status == 200:
                return


async def test_processes_killed_in_mid_load_lose_nothing_and_store_nothing_twice(settings: Settings) -> None:
    async with running(settings) as run, aiohttp.ClientSession() as session:
        senders = [new_sender(session, run.ports[0].public_url, settings, number) for number in range(GATEWAYS)]
        killed = []

        async def all_of(sender: Sender) -> None:
            for number in range(BATCHES):
                await deliver(sender, number)
                if sender is senders[0] and number % 4 == 1:
                    killed.append(children()[0])
                    os.kill(killed[-1], signal.SIGKILL)

        async with asyncio.TaskGroup() as group:
            for sender in senders:
                group.create_task(all_of(sender))
        assert len(set(killed)) == 3
    with psycopg.connect(settings.dsn) as connection:
        found = connection.execute(
            "SELECT gateway_id, count(*), count(DISTINCT sequence) FROM record GROUP BY 1"
        ).fetchall()
        assert sorted(found) == [(f"gw-{number}", BATCHES * RECORDS, BATCHES * RECORDS) for number in range(GATEWAYS)]
        assert connection.execute("SELECT count(*) FROM reading_row").fetchone() == (GATEWAYS * BATCHES * RECORDS,)
    assert children() == []


async def test_each_process_has_metrics_of_its_own_and_a_stop_ends_them_all(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with (
        running(msgspec.structs.replace(settings, metrics_port=port)) as run,
        aiohttp.ClientSession() as session,
    ):
        assert [one.metrics_port for one in run.ports] == [port, port + 1]
        assert len({one.port for one in run.ports}) == 1
        for one in run.ports:
            async with session.get(f"http://127.0.0.1:{one.metrics_port}/healthz") as response:
                assert response.status == 200
        assert len(children()) == 2
        taken = msgspec.structs.replace(settings, port=run.ports[0].port)
        again = Supervisor(taken, 2, lambda _: None, SystemClock())
        with pytest.raises(ConflictError, match="Address already in use"):
            await again.run(asyncio.Event())
    assert children() == []


async def test_processes_that_cannot_start_end_it_with_their_code(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bad = msgspec.structs.replace(settings, keys=str(tmp_path / "file"))
    with pytest.raises(WorkerError) as raised:
        await Supervisor(bad, 2, lambda _: None, SystemClock()).run(asyncio.Event())
    assert raised.value.exit_code == Exit.BAD_SETTING
    assert children() == []


async def test_a_stop_while_they_start_ends_them(settings: Settings) -> None:
    stopped = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Supervisor(settings, 2, lambda _: None, SystemClock()).run(stopped))
        while len(children()) < 2:
            await asyncio.to_thread(lambda: None)
        stopped.set()
    assert children() == []
