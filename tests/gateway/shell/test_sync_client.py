import asyncio
import random
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_bridge.reading import UtcUs
from gateway.config import SyncConfig
from gateway.contract.batches import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from gateway.contract.records import RawBlock, ReadingsBlock, Record, StatusRecord
from gateway.core.outbox import TRIES_MAX
from gateway.shell.cloud_client import Cloud
from gateway.shell.http_exchange import open_session
from gateway.shell.identity import IdentityFolder
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.sync_client import BATCHES_PATH, SyncClient
from gateway.shell.timekeeper import Timekeeper
from tests.sim import cloud_faults as faults
from tests.sim.clock import START_US, SimClock
from tests.sim.cloud_records import one_of_each
from tests.sim.cloud_server import CloudServer, Exchange, Fault
from tests.sim.enrolled import enrol

# A real server on loopback, and some real deadlines.
pytestmark = pytest.mark.slow

GATEWAY = "gw-1"
PERIOD_S = 300.0
# Real seconds: what a test that waits for a deadline takes.
SHORT_S = 0.15


@dataclass
class Site:
    """A gateway's store, its way home, and simulated time."""

    folder: Path
    cloud: CloudServer
    store: Store
    recorder: Recorder
    client: SyncClient
    clock: SimClock
    written: int = 0

    def enrol(self, *, again: int = 0) -> None:
        """What the command does beside a running gateway."""
        self.cloud.know(GATEWAY, enrol(self.folder, GATEWAY, self.cloud.url, self.cloud.public, again=again))

    async def record(self, count: int) -> None:
        """Write so many records; their details count on through the life of this object."""
        numbers = range(self.written + 1, self.written + count + 1)
        self.written += count
        await self.write([StatusRecord(UtcUs(START_US + n), "started", "1.0", f"number {n}") for n in numbers])

    async def write(self, records: list[Record]) -> None:
        await self.recorder.write(records)

    async def upload(self) -> float:
        """Try once; time goes on until the next try."""
        wait_s = await self.client.upload()
        self.clock.advance(wait_s)
        return wait_s

    async def bring_home(self, tries: int = 60) -> None:
        """Try until nothing waits."""
        for _ in range(tries):
            await self.upload()
            if self.store.queue.records == 0:
                return
        raise AssertionError(f"{self.store.queue.records} records never came home: {self.client.state}")


@asynccontextmanager
async def gateway(
    folder: Path,
    cloud: CloudServer,
    records: int = 5,
    *,
    share: Literal["health", "aggregates", "raw"] = "aggregates",
    timeout_s: float = 10.0,
    is_enrolled: bool = True,
    clock: SimClock | None = None,
) -> AsyncIterator[Site]:
    machine = clock or SimClock()
    clock = Timekeeper(machine)
    store = await Store.open(folder, clock.utc_us())
    try:
        async with open_session(None, timeout_s) as session:
            home = Cloud(cloud.url, IdentityFolder(folder, GATEWAY), clock, session, timeout_s=timeout_s)
            config = SyncConfig(cloud.url, PERIOD_S, timeout_s, share)
            recorder = Recorder(store, clock)
            await recorder.begin()
            client = SyncClient(config, GATEWAY, home, store, recorder, clock, uniform=lambda: 0.5)
            site = Site(folder, cloud, store, recorder, client, machine)
            if is_enrolled:
                site.enrol()
            await site.record(records)
            yield site
    finally:
        await store.close()


def numbers(cloud: CloudServer) -> list[int]:
    """Which of the counted records the cloud has, in the order of their coming."""
    counted = [record for record in cloud.records() if record[0] == "status" and record[2] == "started"]
    return [int(detail.removeprefix("number ")) for *_, detail in counted]


def events(cloud: CloudServer) -> list[str]:
    """What the status records that the cloud has are about."""
    return [record[2] for record in cloud.records() if record[0] == "status"]


def assert_at_home(cloud: CloudServer, site: Site) -> None:
    """Every record is there once, in order, and the cursor says so."""
    assert numbers(cloud) == list(range(1, site.written + 1))
    assert site.store.queue.records == 0


async def test_a_signed_acknowledgement_moves_the_cursor(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        await site.upload()
        assert_at_home(cloud, site)
        state = site.client.state
        assert (state.last_error, state.is_enrolled, state.is_revoked) == (None, True, False)
        assert state.last_success_us is not None
        assert (state.records_sent, state.bytes_sent) == (5, len(cloud.bodies[0]))
        assert state.bytes_today == state.bytes_sent
        assert state.bytes_by_kind.keys() == {"status"}
        await site.upload()
        assert len(cloud.bodies) == 1, "nothing waits, nothing is sent"


async def test_bytes_are_counted_by_day_and_kind(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        await site.upload()
        site.clock.advance(86_400)
        await site.write(one_of_each())
        await site.upload()
        state = site.client.state
        assert state.bytes_sent == sum(len(body) for body in cloud.bodies)
        assert state.bytes_today == len(cloud.bodies[1])
        assert state.bytes_by_kind.total() == sum(len(body) for body in cloud.rows.values())
        assert state.bytes_by_kind_today["readings"] == state.bytes_by_kind["readings"] > 0
        assert state.bytes_by_kind_today["status"] < state.bytes_by_kind["status"]


# What may come instead of an acknowledgement, and what is said about it.
NOTHING_MOVES: dict[str, tuple[Fault, str]] = {
    "a portal's page": (faults.unsigned(200), "not our cloud"),
    "nothing": (faults.unsigned(200, b""), "not our cloud"),
    "an acknowledgement that nobody signed": (faults.unsigned_acknowledgement, "not our cloud"),
    "an unsigned 403": (faults.unsigned(403), "not our cloud"),
    "an unsigned 400": (faults.unsigned(400), "not our cloud"),
    "an unsigned 409": (faults.unsigned(409, b'{"error": "x", "conflict_from": 1}'), "not our cloud"),
    "an unsigned 413": (faults.unsigned(413), "not our cloud"),
    "an unsigned 500": (faults.unsigned(500), "not our cloud"),
    "an unsigned 503": (faults.unsigned(503, **{"Retry-After": "5"}), "not our cloud"),
    "a redirection": (faults.unsigned(302, Location="/elsewhere"), "not our cloud"),
    "somebody else's signature": (faults.wrong_signature, "not our cloud"),
    "somebody else's signature under the cloud's name": (faults.wrong_name_of_key, "not our cloud"),
    "a changed body": (faults.wrong_digest, "not our cloud"),
    "an answer to another request": (faults.wrong_nonce, "not our cloud"),
    "a changed status": (faults.wrong_status(201), "not our cloud"),
    "a reset": (faults.reset, "connection"),
    "a reset after the commit": (faults.lose_the_reply, "connection"),
    "half an answer": (faults.half_a_reply, "broke"),
    "a packed answer cut short": (faults.truncated_gzip, "packed"),
    "a packed answer without end": (faults.gzip_bomb, "packed"),
    "an answer without end": (faults.talk_for_ever, "more than"),
    "an acknowledgement of another generation": (faults.lying(generation="f" * 32), "something else"),
    "an acknowledgement of less": (faults.lying(acknowledged=4), "something else"),
    "an acknowledgement of more": (faults.lying(acknowledged=6), "something else"),
    "an acknowledgement beyond all numbers": (faults.lying(acknowledged=2**63), "not an acknowledgement"),
    "an acknowledgement of nothing": (faults.lying(acknowledged=0), "not an acknowledgement"),
    "a loss that cannot be": (faults.lying(resume_after=3), "asks again"),
    "a signed page": (faults.signed(200, "Welcome"), "not an acknowledgement"),
    "a signed 201": (faults.signed(201), "201"),
    "a signed 404": (faults.signed(404), "404"),
    "a signed 408": (faults.signed(408), "408"),
    "a conflict about nothing": (faults.signed(409), "409"),
    "a conflict elsewhere": (faults.signed(409, {"error": "x", "hint": "", "conflict_from": 10**9}), "409"),
    "a signed 415": (faults.signed(415), "415"),
    "a signed 429": (faults.signed(429, **{"Retry-After": "7"}), "429"),
    "a signed 500": (faults.signed(500), "500"),
    "a signed 503": (faults.signed(503), "503"),
}


@pytest.mark.parametrize("name", NOTHING_MOVES)
async def test_nothing_else_moves_the_cursor_and_in_the_end_everything_is_there_once(tmp_path: Path, name: str):
    fault, words = NOTHING_MOVES[name]
    cloud = CloudServer()
    cloud.faults = [fault, fault]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        for _ in range(2):
            wait_s = await site.upload()
            assert 0 < wait_s <= PERIOD_S
            state = site.client.state
            assert state.last_error is not None
            assert words in state.last_error
            assert (site.store.queue.acknowledged, site.store.queue.records) == (0, 5)
            assert (state.last_success_us, state.records_sent) == (None, 0)
        await site.record(3)
        await site.bring_home()
        assert state.last_error is None
        assert_at_home(cloud, site)
        assert BATCHES_PATH in cloud.paths
        assert "/elsewhere" not in cloud.paths, "a redirection is never followed"


@pytest.mark.parametrize("fault", [faults.stay_silent, faults.drip], ids=["silent", "dripping"])
async def test_an_answer_that_is_not_there_in_time_is_none(tmp_path: Path, fault: Fault):
    cloud = CloudServer()
    cloud.faults = [fault]
    async with cloud.listening(), gateway(tmp_path, cloud, timeout_s=SHORT_S) as site:
        await site.upload()
        assert site.client.state.last_error is not None
        assert "no answer" in site.client.state.last_error
        assert site.store.queue.records == 5
    async with cloud.listening(), gateway(tmp_path, cloud, 0) as site:
        site.written = 5
        await site.bring_home()
        assert_at_home(cloud, site)


async def test_a_page_without_end_takes_bounded_memory(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.gzip_bomb]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        tracemalloc.start()
        await site.upload()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert site.client.state.last_error is not None
    assert peak_bytes < 5_000_000


async def test_a_nonce_that_the_cloud_forgot_costs_nothing_but_a_second_request(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.stale_nonce]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        await site.upload()
        assert_at_home(cloud, site)
        cloud.forget_nonces()
        await site.record(2)
        await site.upload()
        assert_at_home(cloud, site)


async def test_a_cloud_that_is_down_is_asked_again_soon_then_more_rarely(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening() as port:
        pass
    async with gateway(tmp_path, cloud) as site:
        waits = [await site.upload() for _ in range(12)]
        assert site.client.state.last_error is not None
        assert "cannot be reached" in site.client.state.last_error
        assert waits[0] < 3
        assert waits == sorted(waits)
        assert waits[-1] <= PERIOD_S
        await site.record(3)
        async with cloud.listening(port):
            await site.bring_home()
            assert_at_home(cloud, site)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_that_the_cloud_asks_for_is_kept_and_so_is_it_at_a_stop(tmp_path: Path, status: int):
    cloud = CloudServer()
    cloud.faults = [faults.signed(status, **{"Retry-After": "600"})]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        wait_s = await site.client.upload()
        assert 600 <= wait_s <= 660
        await site.client.finish()
        assert len(cloud.bodies) == 1
        site.clock.advance(wait_s)
        await site.client.finish()
        assert_at_home(cloud, site)


@pytest.mark.parametrize("text", ["", "-5", "soon", "1e9", "Fri, 31 Dec 2027 23:59:59 GMT", "99999999999"])
async def test_a_wait_that_makes_no_sense_is_none(tmp_path: Path, text: str):
    cloud = CloudServer()
    cloud.faults = [faults.signed(503, **{"Retry-After": text})]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        assert await site.client.upload() < 3


async def test_a_wait_is_an_hour_at_most(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.signed(503, **{"Retry-After": "86400"})]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        assert 3600 <= await site.client.upload() <= 3960


async def test_a_poisoned_record_is_put_aside_and_all_the_others_arrive(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud, 40) as site:
        waiting = await site.store.waiting(frozenset({"status"}), 100, 10**6)
        assert waiting is not None
        cloud.poisoned = {waiting.records[16].body}
        await site.bring_home()
        assert site.store.queue.quarantined == 1
        assert numbers(cloud) == [*range(1, 17), *range(18, 41)]
        alone = [batch for batch in cloud.batches if [one[0] for one in batch["records"]] == [17]]
        assert len(alone) == TRIES_MAX
        await site.record(3)
        await site.bring_home()
        assert numbers(cloud)[-3:] == [41, 42, 43]
        assert "record_quarantined" in events(cloud)


async def test_a_cloud_that_refuses_everything_for_a_while_loses_nothing_to_the_quarantine(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.signed(422)] * 5
    async with cloud.listening(), gateway(tmp_path, cloud, 40) as site:
        await site.bring_home()
        assert site.store.queue.quarantined == 0
        assert_at_home(cloud, site)


async def test_a_conflict_begins_a_generation_and_everything_from_there_is_sent_under_it(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.conflict_in_the_middle]
    async with cloud.listening(), gateway(tmp_path, cloud, 10) as site:
        before = site.store.generation
        await site.bring_home()
        assert site.store.generation != before
        generations = [generation for _, generation, _ in cloud.rows]
        assert generations[:5] == [before] * 5
        assert set(generations[5:]) == {site.store.generation}
        assert_at_home(cloud, site)


async def test_a_cloud_put_back_from_a_backup_gets_again_what_it_lost(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud, 10) as site:
        await site.bring_home()
        cloud.restore_to(4)
        await site.record(2)
        await site.bring_home()
        assert sorted(numbers(cloud)) == list(range(1, 13))
        assert list(cloud.complete.values()) == [max(sequence for _, _, sequence in cloud.rows)]


async def test_a_signed_403_stops_the_upload_and_nothing_else(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        cloud.revoked.add(GATEWAY)
        for _ in range(3):
            await site.upload()
            await site.record(2)
        await site.client.finish()
        state = site.client.state
        assert state.is_revoked
        assert state.last_error is not None
        assert "revoked" in state.last_error
        assert cloud.paths.count(BATCHES_PATH) == 1, "asked once, never again"
        assert site.store.queue.records == 5 + 3 * 2 + 1, "the one more says that it was revoked"
        cloud.revoked.clear()
        site.enrol(again=1)
        await site.bring_home()
        assert not state.is_revoked
        assert numbers(cloud) == list(range(1, 12))
        assert [event for event in events(cloud) if event != "started"] == ["revoked", "enrolled"]


async def test_a_restart_asks_again_whether_it_is_revoked(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening():
        async with gateway(tmp_path, cloud) as site:
            cloud.revoked.add(GATEWAY)
            await site.upload()
        cloud.revoked.clear()
        async with gateway(tmp_path, cloud, 0) as site:
            site.written = 5
            await site.bring_home()
            assert numbers(cloud) == [1, 2, 3, 4, 5]


async def test_without_an_identity_everything_is_kept_and_said_and_sent_once_there_is_one(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud, is_enrolled=False) as site:
        wait_s = await site.upload()
        state = site.client.state
        assert (state.is_enrolled, cloud.paths) == (False, [])
        assert state.last_error is not None
        assert state.last_error.startswith("not enrolled:")
        assert wait_s <= 10, "an installer stands before it"
        await site.client.finish()
        assert site.store.queue.records == 5
        site.enrol()
        await site.bring_home()
        assert (state.is_enrolled, state.last_error) == (True, None)
        assert numbers(cloud) == [1, 2, 3, 4, 5]


async def test_an_identity_that_cannot_be_read_is_told_and_everything_kept(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        (tmp_path / "identity.json").write_text("{")
        await site.upload()
        assert site.client.state.last_error is not None
        assert "damaged" in site.client.state.last_error
        assert (site.store.queue.records, cloud.paths) == (5, [])


async def test_a_slow_link_gets_everything_through_in_smaller_batches(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.slow_link(70_000)] * 1_000
    async with cloud.listening(), gateway(tmp_path, cloud, 0, timeout_s=SHORT_S) as site:
        await site.write([large_block(seed, 20_000) for seed in range(8)])
        await site.bring_home()
        sequences = [sequence for _, _, sequence in cloud.rows]
        assert sequences == sorted(set(sequences))
        assert len(sequences) == 8
        assert site.store.queue.records == 0


def large_block(seed: int, size: int) -> ReadingsBlock:
    """A record of so many bytes, which no compression makes smaller."""
    codes = [random.Random(seed).randbytes(size)]
    at_us = UtcUs(START_US + seed)
    return ReadingsBlock(at_us, 60, at_us, at_us, [], codes, [], [], [], [], b"")


async def test_large_records_go_home_in_batches_below_the_limit(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud, 0) as site:
        for seed in range(15):
            await site.write([large_block(seed, 200_000)])
        await site.bring_home()
        assert len(cloud.bodies) > 1
        assert max(len(body) for body in cloud.bodies) < BATCH_BYTES_MAX / 4
        assert len(cloud.rows) == 15


async def test_a_backlog_goes_home_in_several_batches_with_a_rest_between_them(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud, BATCH_RECORDS_MAX + 7) as site:
        before_us = site.clock.utc_us()
        await site.client.upload()
        assert [len(batch["records"]) for batch in cloud.batches] == [BATCH_RECORDS_MAX, 7]
        assert site.clock.utc_us() > before_us
        assert_at_home(cloud, site)


async def test_what_is_recorded_during_an_upload_waits_for_the_next(tmp_path: Path):
    cloud = CloudServer()

    async with cloud.listening(), gateway(tmp_path, cloud) as site:

        async def record_another(server: CloudServer, exchange: Exchange) -> web.StreamResponse:
            site.clock.advance(1.0)
            await site.record(1)
            return await faults.honest(server, exchange)

        cloud.faults = [record_another] * 20
        await site.upload()
        assert [len(batch["records"]) for batch in cloud.batches] == [5, 1], "a site that never rests is no reason to"
        assert site.store.queue.records == 1
        await site.upload()
        assert len(cloud.batches) == 4


async def test_a_backlog_that_breaks_off_keeps_what_was_acknowledged(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.honest, faults.reset]
    async with cloud.listening(), gateway(tmp_path, cloud, BATCH_RECORDS_MAX + 7) as site:
        await site.upload()
        assert (site.store.queue.acknowledged, site.store.queue.records) == (BATCH_RECORDS_MAX, 7)
        assert site.client.state.records_sent == BATCH_RECORDS_MAX
        await site.bring_home()
        assert_at_home(cloud, site)


async def test_a_gateway_restarted_after_a_lost_answer_sends_the_same_again(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.lose_the_reply]
    async with cloud.listening():
        async with gateway(tmp_path, cloud) as site:
            await site.upload()
        async with gateway(tmp_path, cloud, 0) as site:
            site.written = 5
            await site.bring_home()
            assert_at_home(cloud, site)
    assert cloud.bodies[0] == cloud.bodies[1]


async def test_the_last_upload_can_be_cut_short_at_any_moment(tmp_path: Path):
    cloud = CloudServer()
    cloud.faults = [faults.stay_silent]
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await site.client.finish()
        assert site.store.queue.records == 5
        await site.client.finish()
        assert_at_home(cloud, site)


async def test_it_waits_for_its_turn_and_then_uploads_every_period(tmp_path: Path):
    cloud = CloudServer()
    async with cloud.listening(), gateway(tmp_path, cloud) as site:
        stamps = []
        async with asyncio.TaskGroup() as group:
            running = group.create_task(site.client.run())
            for _ in range(4):
                await cloud.received.wait()
                stamps.append(site.clock.utc_us())
                cloud.received.clear()
                await site.record(1)
            running.cancel()
        await site.client.finish()
        assert_at_home(cloud, site)
        assert site.client.state.next_attempt_us is not None
        assert 0 < stamps[0] - START_US <= 1.05 * PERIOD_S * 1e6


class GuessingClock(SimClock):
    """A board without a clock of its own: nobody has told it the time yet."""

    def __init__(self) -> None:
        super().__init__(UtcUs(0))
        self.told: list[UtcUs] = []

    @property
    def is_trusted(self) -> bool:
        return bool(self.told)

    def trust(self, utc_us: UtcUs) -> None:
        self.told.append(utc_us)


async def test_the_cloud_tells_the_time_in_every_signed_answer(tmp_path: Path):
    cloud, clock = CloudServer(), GuessingClock()
    async with cloud.listening(), gateway(tmp_path, cloud, 0, clock=clock) as site:
        clock.trust(START_US)
        await site.recorder.follow_clock()
        await site.record(5)
        cloud.faults = [faults.signed(500)]
        await site.upload()
        assert clock.told == [START_US, cloud.time_us]


async def test_a_gateway_without_a_clock_asks_for_the_time_even_when_nothing_waits(tmp_path: Path):
    cloud, clock = CloudServer(), GuessingClock()
    async with cloud.listening(), gateway(tmp_path, cloud, 0, clock=clock) as site:
        await site.upload()
        assert clock.told == [cloud.time_us]
        assert (site.client.state.last_error, cloud.rows) == (None, {})
        await site.recorder.follow_clock()
        await site.upload()
        assert clock.told == [cloud.time_us], "once it knows, nothing is asked"


async def test_an_unsigned_answer_tells_no_time(tmp_path: Path):
    cloud, clock = CloudServer(), GuessingClock()
    async with cloud.listening(), gateway(tmp_path, cloud, 0, clock=clock) as site:
        cloud.key = Ed25519PrivateKey.generate()
        await site.upload()
        assert BATCHES_PATH in cloud.paths
        assert clock.told == []


EVERYTHING: list[Record] = [*one_of_each(), RawBlock(START_US, "anomaly", [0], ["grid"], [b"\x01"], [[1]], [b"\x00"])]
SHARED = {
    "health": {"status", "model_report"},
    "aggregates": {"status", "model_report", "readings", "forecast", "anomaly", "decision"},
    "raw": {"status", "model_report", "readings", "forecast", "anomaly", "decision", "raw"},
}


@pytest.mark.parametrize("share", SHARED)
async def test_nothing_but_what_is_shared_ever_leaves_the_site(
    tmp_path: Path, share: Literal["health", "aggregates", "raw"]
):
    cloud = CloudServer()
    cloud.faults = [faults.lose_the_reply, faults.conflict_in_the_middle, faults.signed(422), faults.signed(500)]
    async with cloud.listening(), gateway(tmp_path, cloud, 0, share=share) as site:
        for _ in range(5):
            await site.write(EVERYTHING)
            await site.upload()
        for _ in range(10):
            await site.upload()
        await site.client.finish()
        assert cloud.kinds_seen() == SHARED[share]
        assert set(site.client.state.bytes_by_kind) == SHARED[share]
        came = Counter(record[0] for record in cloud.records())
        came["status"] -= events(cloud).count("generation_begun")
        assert came == dict.fromkeys(SHARED[share], 5), "and all of that, once"


SEEDS, NIGHTLY_SEEDS = 6, 300
RANDOM_FAULTS: dict[str, Fault] = {
    **{name: fault for name, (fault, _) in NOTHING_MOVES.items() if "without end" not in name},
    "honest": faults.honest,
    "stale nonce": faults.stale_nonce,
    "conflict": faults.conflict_in_the_middle,
    "refused": faults.signed(422),
    "restored": faults.restored,
}


@pytest.mark.parametrize(
    "seed", [*range(SEEDS), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(SEEDS, NIGHTLY_SEEDS))]
)
async def test_whatever_happens_on_the_way_nothing_is_lost_nothing_is_there_twice_and_the_order_is_kept(
    tmp_path: Path, seed: int
):
    chance, cloud, clock = random.Random(seed), CloudServer(), SimClock()
    names = list(RANDOM_FAULTS)
    async with cloud.listening():
        written = 0
        for _ in range(3):  # restarts
            async with gateway(tmp_path, cloud, 0, clock=clock) as site:
                site.written = written
                for _ in range(8):
                    await site.record(chance.randrange(12))
                    cloud.faults = [RANDOM_FAULTS[chance.choice(names)] for _ in range(chance.randrange(6))]
                    await site.upload()
                written = site.written
        cloud.faults = []
        async with gateway(tmp_path, cloud, 0, clock=clock) as site:
            site.written = written
            await site.bring_home()
            assert site.store.queue.quarantined == 0
    sequences = [sequence for _, _, sequence in cloud.rows]
    assert len(set(sequences)) == len(sequences), "no record is there under two generations"
    cloud.rows = dict(sorted(cloud.rows.items(), key=lambda row: row[0][2]))
    assert numbers(cloud) == list(range(1, written + 1))
