"""One run of the demonstration, from an empty folder to a verdict."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from firmware_bridge.clock import ScaledClock, SystemClock
from firmware_bridge.simulator.replay_map import ReplayMap
from provisioning.demo import site as plan
from provisioning.demo.enrolment import GATEWAY, TRAINER, Enrolment
from provisioning.demo.folder import owned
from provisioning.demo.history import DAYS, write_history
from provisioning.demo.processes import Program, ProgramError, Programs, run_command
from provisioning.demo.site import DemoSite
from provisioning.demo.stations import Stations, Status
from provisioning.demo.verdict import Check, Facts, checks
from provisioning.demo.way_back import WayBack

SIMULATOR = "firmware_bridge.simulator"
SHOW_PERIOD_S = 1.0
STATUS_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; without seconds the site lives until Ctrl-C."""

    folder: Path
    run_s: float | None
    replay: Path | None
    replay_map: Path | None
    # train on weeks of the home first; not for a recording, which would then be known before it is replayed
    train: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; the score, from a day on, only where a recording was replayed or a model was trained."""

    checks: list[Check]
    score: list[Facts] | None
    from_day: int = plan.FROM_DAY


async def run(wanted: Wanted) -> Outcome | None:
    """Build the site, let it live, check it; None when there was no time set, so nothing to check.

    Raises:
        SettingError: something the user named cannot be used.
        ProgramError: one of the programs failed.
    """
    with owned(wanted.folder):
        run_s = wanted.run_s or plan.ENDLESS_S
        scenario, form = plan.write_scenario(wanted.folder, wanted.replay, wanted.replay_map, run_s)
        site = plan.demo_site(wanted.folder, scenario, is_replay=wanted.replay is not None, run_s=run_s)
        with Programs(wanted.folder, SystemClock()) as programs:
            return await _run(wanted, site, form, programs)


async def _run(wanted: Wanted, site: DemoSite, form: ReplayMap | None, programs: Programs) -> Outcome | None:
    recording = None
    if wanted.train:
        recording = write_history(wanted.folder / "history", site.scenario, site.start_us)
        _say(f"training on {DAYS} days of this home, which takes a minute or two ...")
    way_back, enrolment = WayBack(wanted.folder, recording), Enrolment(wanted.folder)
    _say("making keys, publishing the first model, starting PostgreSQL ...")
    ports = await _start_cloud(programs, wanted.folder, way_back, enrolment)
    clock = ScaledClock.create(wanted.folder / "clock", start_us=site.start_us, rate=plan.RATE)
    simulator, bus_port = await programs.start_listening(
        "simulator", SIMULATOR, "--scenario", site.scenario, "--clock", wanted.folder / "clock",
        "--log", wanted.folder / "simulator.jsonl",
    )  # fmt: skip
    config = plan.write_gateway_config(
        site, form, bus_port=bus_port, sync_port=ports["ingest"], bundle_port=ports["serve"]
    )
    # Enrolment and start would take hours of this time: it stands still, as long as it may.
    clock.hold_before(clock.utc_us())
    await enrolment.enrol(config)
    clock.hold_before(clock.utc_us())
    gateway, page_port = await programs.start_listening("gateway", GATEWAY, "run", "--config", config)
    await _live(wanted.run_s, way_back, gateway, page_port)
    if wanted.run_s is None:
        return None
    _say("stopping, and comparing what the cloud holds with what the meters said ...")
    if code := gateway.stop():
        raise ProgramError(f"the gateway ended with code {code}; see {gateway.log}")
    simulator.stop()  # its log is whole when it has ended
    return await asyncio.to_thread(_judge, site, way_back)


async def _start_cloud(programs: Programs, folder: Path, way_back: WayBack, enrolment: Enrolment) -> dict[str, int]:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(way_back.open())
        ingest = tasks.create_task(
            programs.start_listening(
                "ingest",
                TRAINER,
                "ingest",
                "--embedded",
                folder / "postgresql",
                "--keys",
                enrolment.server_keys,
                "--port",
                "0",
                "--dsn-file",
                folder / "dsn",
            )
        )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(enrolment.claim())
        serve = tasks.create_task(
            programs.start_listening("serve", TRAINER, "serve", "--repository", way_back.repository, "--port", "0")
        )
    return {"ingest": ingest.result()[1], "serve": serve.result()[1]}


async def _live(run_s: float | None, way_back: WayBack, gateway: Program, page_port: int) -> None:
    """Let the site live, publish what is due, show the stations."""
    clock, address = SystemClock(), f"http://127.0.0.1:{page_port}/"
    _say(f"the page: {address}")
    started_s, measure_s = clock.monotonic_s(), run_s or plan.ENDLESS_S
    due = [
        (plan.SECOND_RELEASE_AT * measure_s, lambda: way_back.publish(2)),
        (plan.BAD_RELEASE_AT * measure_s, lambda: way_back.publish_damaged(3)),
    ]
    async with _interrupted() as interrupted, aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        with Stations(address) as stations:
            while not interrupted.is_set():
                elapsed_s = clock.monotonic_s() - started_s
                if run_s is not None and elapsed_s >= run_s:
                    break
                while due and elapsed_s >= due[0][0]:
                    tasks.create_task(due.pop(0)[1]())
                gateway.check_alive()
                stations.show(await _status(session, address), elapsed_s)
                await _wait(interrupted, min(SHOW_PERIOD_S, (run_s or 1e9) - elapsed_s))
    if interrupted.is_set() and run_s is not None:
        raise KeyboardInterrupt


async def _status(session: aiohttp.ClientSession, address: str) -> Status:
    try:
        async with session.get(address + "status.json", timeout=aiohttp.ClientTimeout(STATUS_S_MAX)) as response:
            status: Status = await response.json()
            return status
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ProgramError(f"the gateway's page does not answer: {error or type(error).__name__}") from error


def _judge(site: DemoSite, way_back: WayBack) -> Outcome:
    dsn = f"@{site.folder / 'dsn'}"
    report: Facts = run_command(TRAINER, "report", "--dsn", dsn)
    audit: Facts = run_command(
        TRAINER, "audit", "--dsn", dsn, "--log", site.folder / "simulator.jsonl", "--poll-s", str(plan.POLL_S),
        may_fail=True,
    )  # fmt: skip
    score_command = ["score", "--dsn", dsn, "--grid", site.grid_meter]
    score_command += [] if site.solar_meter is None else ["--solar", site.solar_meter]
    scores: list[Facts] = run_command(TRAINER, *score_command, "--from-day", "1", may_fail=True)
    score, from_day = None, plan.FROM_DAY
    if way_back.is_trained:
        # What was trained knows the home from the first day on.
        score, from_day = scores, 1
    elif site.solar_meter is None:
        score = run_command(TRAINER, *score_command, "--from-day", str(from_day), may_fail=True)
    gateways: list[Facts] = run_command(TRAINER, "gateway", "list", "--dsn", dsn)
    found = checks(site, report, audit, scores, way_back.digests, gateways, forecasts=way_back.forecasts)
    return Outcome(found, score, from_day)


@asynccontextmanager
async def _interrupted() -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set, so that everything ends in order."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.01)):
            await event.wait()
    except TimeoutError:
        pass


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
