"""A gateway killed at any moment loses nothing that was on disk, and sends nothing twice."""

import hashlib
import random
import sqlite3
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.audit import audit
from cloud_trainer.database import OwnedGateway
from cloud_trainer.ingest.entry import DIGEST_BYTES
from firmware_bridge.clock import HOLD_S_MAX, ScaledClock, SystemClock
from gateway.shell.store import FILE_NAME
from provisioning.demo import site as plan
from provisioning.demo.enrolment import GATEWAY, TRAINER, Enrolment
from provisioning.demo.processes import Program, Programs
from provisioning.demo.run import SIMULATOR
from provisioning.demo.way_back import WayBack

pytestmark = [pytest.mark.slow, pytest.mark.pg]

KILLS = 5
RECORDING_DAYS = 14

ON_DISK = """
SELECT (SELECT id FROM generation WHERE first_sequence <= record.sequence ORDER BY first_sequence DESC LIMIT 1),
       sequence, body
FROM record
"""

Stored = dict[tuple[str, int], bytes]


def recorded_fortnight(folder: Path) -> tuple[Path, Path]:
    """A small recording of our own, with its map."""
    noise = random.Random(1)
    rows = [
        f"2026-03-{1 + step // 96:02d}T{step % 96 // 4:02d}:{step % 4 * 15:02d},{noise.uniform(200, 9000):.1f}"
        for step in range(RECORDING_DAYS * 96)
    ]
    recording, replay_map = folder / "site.csv", folder / "site.map.toml"
    recording.write_text("time,power\n" + "\n".join(rows) + "\n")
    replay_map.write_text(
        'source = "made for a test"\ncadence_s = 900\nrated_power_w = 20000\n'
        '[time]\ncolumn = "time"\nstamps = "start"\n[value]\ncolumn = "power"\nunit = "W"\n'
    )
    return recording, replay_map


def on_disk(store: Path) -> Stored:
    """What a dead gateway has left, read as the next one will read it."""
    connection = sqlite3.connect(store / FILE_NAME)
    try:
        rows = connection.execute(ON_DISK)
        return {(generation, sequence): body for generation, sequence, body in rows}
    finally:
        connection.close()


def in_cloud(connection: psycopg.Connection) -> Stored:
    """What the cloud has: of each record the digest of its bytes."""
    rows = connection.execute("SELECT generation, sequence, digest FROM record").fetchall()
    return {(generation.hex, sequence): bytes(digest) for generation, sequence, digest in rows}


def digests(stored: Stored) -> Stored:
    return {key: hashlib.sha256(body).digest()[:DIGEST_BYTES] for key, body in stored.items()}


async def start_site(programs: Programs, folder: Path) -> tuple[Path, Program]:
    """Cloud, bundles and meters; the gateway's configuration and the simulator."""
    scenario, form = plan.write_scenario(folder, *recorded_fortnight(folder), 60.0)
    site = plan.demo_site(folder, scenario, is_replay=True, run_s=60.0)
    way_back, enrolment = WayBack(folder), Enrolment(folder)
    await way_back.open()
    _, sync_port = await programs.start_listening(
        "ingest", TRAINER, "ingest", "--embedded", folder / "postgresql", "--keys", enrolment.server_keys,
        "--port", "0", "--dsn-file", folder / "dsn",
    )  # fmt: skip
    await enrolment.claim()
    _, bundle_port = await programs.start_listening(
        "serve", TRAINER, "serve", "--repository", way_back.repository, "--port", "0"
    )
    ScaledClock.create(folder / "clock", start_us=site.start_us, rate=plan.RATE)
    simulator, bus_port = await programs.start_listening(
        "simulator", SIMULATOR, "--scenario", scenario, "--clock", folder / "clock", "--log", folder / "log.jsonl"
    )
    config = plan.write_gateway_config(site, form, bus_port=bus_port, sync_port=sync_port, bundle_port=bundle_port)
    await enrolment.enrol(config)
    return config, simulator


async def live(programs: Programs, config: Path, seconds: float) -> Program:
    gateway, _ = await programs.start_listening("gateway", GATEWAY, "run", "--config", config)
    await SystemClock().sleep_for(seconds)
    gateway.check_alive()
    return gateway


async def test_a_gateway_killed_five_times_loses_nothing_that_was_on_disk(tmp_path):
    chance = random.Random(7)
    seen: Stored = {}
    with Programs(tmp_path, SystemClock()) as programs:
        config, simulator = await start_site(programs, tmp_path)
        for number in range(KILLS):
            gateway = await live(programs, config, chance.uniform(1.5, 4.0))
            gateway.kill()
            if number == 0:
                # so long that the simulated world goes on without it: a gap, as after a real outage
                await SystemClock().sleep_for(HOLD_S_MAX + 1)
            left = on_disk(tmp_path / "gateway")
            assert seen.items() <= left.items(), "a restart keeps every record as it was"
            seen = left
        gateway = await live(programs, config, 3.0)
        assert gateway.stop() == 0
        assert simulator.stop() == 0, "its log is whole when it has ended"
        seen = on_disk(tmp_path / "gateway")
        owned = OwnedGateway("default", plan.GATEWAY_ID)
        with psycopg.connect((tmp_path / "dsn").read_text()) as connection:
            assert in_cloud(connection) == digests(seen)
            result = audit(connection, owned, tmp_path / "log.jsonl", plan.POLL_S)
    assert result.mismatches == 0
    assert result.passed
    assert len({generation for generation, _ in seen}) == 1, "killing begins no new store"
    assert result.records["status"] == KILLS + 2, "six starts and one orderly stop"
