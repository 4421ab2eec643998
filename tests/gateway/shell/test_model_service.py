"""Which bundle runs, on real bundles, real hosts, a real store and a real repository."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import gateway.shell.host_process
from firmware_bridge.clock import SystemClock
from gateway import config as settings
from gateway.contract.records import ModelReport, decode_record
from gateway.core.update import STRIKES_MAX
from gateway.shell.bundle_files import BundleState, encode_state, read_state
from gateway.shell.model_service import ModelService
from gateway.shell.recorder import Recorder
from gateway.shell.store import Store
from gateway.shell.timekeeper import Timekeeper
from gateway.shell.verified_bundle import read_bundle
from tests.sim.full_disk import files_limited_to
from tests.sim.home import gateway_text
from tests.sim.model_hosts import model_hosts
from tests.sim.releases import Publisher
from tests.sim.repository_server import RepositoryServer, flip_byte, serving, stall_after, status
from tests.sim.starter_bundle import MODEL_FILE, NAME, STARTER, TOLERANCE, copy_starter, golden_case, rewrite_file
from tests.sim.stores import kept

pytestmark = pytest.mark.slow

INPUTS, WANTED = golden_case()
FACTORY_DIGEST = read_bundle(STARTER).digest
# Real seconds; far above what anything here takes on a busy machine.
PATIENT_S = 30.0


class HandClock(SystemClock):
    """The machine's time, but whoever rests on it rests until told."""

    is_trusted = True

    def __init__(self) -> None:
        super().__init__()
        self._resting = asyncio.Event()
        self._rested = asyncio.Event()

    async def sleep_for(self, duration_s: float) -> None:
        assert duration_s > 0
        self._rested.clear()
        self._resting.set()
        await self._rested.wait()

    async def next_rest(self) -> None:
        """Return when somebody rests, anew."""
        self._resting.clear()
        self._rested.set()
        async with asyncio.timeout(PATIENT_S):
            await self._resting.wait()


class Site:
    """A model service in a folder of its own, and what it has reported."""

    def __init__(self, folder: Path, store: Store, factory: Path) -> None:
        self.folder, self.store = folder, store
        self.models = folder / "data" / "models"
        self.clock = HandClock()
        self.service = ModelService(self.models, 10.0, Recorder(store, Timekeeper(self.clock)), self.clock, factory)

    @property
    def digest(self) -> str | None:
        bundle = self.service.inference.bundle
        return None if bundle is None else bundle.digest

    @property
    def state(self) -> BundleState:
        return read_state(self.models)

    async def answers(self) -> str | None:
        """The digest of the bundle that answers."""
        answer = await self.service.inference.forecast(NAME, INPUTS)
        if answer is None:
            return None
        assert answer[0] == pytest.approx(WANTED, abs=TOLERANCE)
        return answer[1]

    async def fail(self, times: int = 1) -> None:
        """Let the host crash under a question, so often."""
        for _ in range(times):
            await answering(self)
            os.kill(model_hosts()[0], signal.SIGKILL)
            assert await self.answers() is None

    async def reports(self) -> list[ModelReport]:
        records = [decode_record(one.body) for one in await kept(self.store)]
        return [record for record in records if isinstance(record, ModelReport)]

    async def events(self) -> list[tuple[str, str | None]]:
        return [(report.event, report.bundle) for report in await self.reports()]


@asynccontextmanager
async def a_site(folder: Path, factory: Path = STARTER) -> AsyncIterator[Site]:
    store = await Store.open(folder / "data", SystemClock().utc_us())
    site = Site(folder, store, factory)
    try:
        async with asyncio.TaskGroup() as tasks:
            reviver = tasks.create_task(site.service.inference.revive_for_ever())
            yield site
            reviver.cancel()
    finally:
        await site.service.close()
        await store.close()
        assert model_hosts() == []


@asynccontextmanager
async def watching(site: Site) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(site.service.watch_strikes())
        yield
        watch.cancel()


def install(folder: Path, card: bytes) -> str:
    """A bundle as an earlier run has installed it; its digest."""
    bundle = copy_starter(folder)
    rewrite_file(bundle, "card.md", card)
    return _moved_to_versions(folder, bundle)


def install_unloadable(folder: Path) -> str:
    """An installed bundle that verifies, and that no host can load; its digest."""
    return _moved_to_versions(folder, spoil(copy_starter(folder)))


def spoil(bundle: Path) -> Path:
    """Whole, but no host can load it."""
    rewrite_file(bundle, MODEL_FILE, b"TFL3 but no model" * 10)
    return bundle


def _moved_to_versions(folder: Path, bundle: Path) -> str:
    digest = read_bundle(bundle).digest
    versions = folder / "data" / "models" / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    bundle.rename(versions / digest)
    return digest


def make_current(folder: Path, digest: str, previous: str | None = None, strikes: int = 0) -> None:
    state = BundleState(current=digest, previous=previous, strikes=strikes)
    (folder / "data" / "models" / "state.json").write_bytes(encode_state(state))


async def answering(site: Site) -> str:
    """The digest of the bundle that answers, once one does."""
    async with asyncio.timeout(PATIENT_S):
        while (digest := await site.answers()) is None:
            await SystemClock().sleep_for(0.01)
    return digest


async def until_reported(site: Site, event: str) -> ModelReport:
    """The last report, once it is an `event`; questions go on meanwhile."""
    async with asyncio.timeout(PATIENT_S):
        while (report := site.service.last_report) is None or report.event != event:
            await site.answers()
            await SystemClock().sleep_for(0.01)
    return report


async def until(site: Site, digest: str | None) -> None:
    """Return when the bundle `digest` answers."""
    async with asyncio.timeout(PATIENT_S):
        while await site.answers() != digest:
            await SystemClock().sleep_for(0.01)


class Repository:
    """What the site's gateway trusts and asks."""

    def __init__(self, publisher: Publisher, server: RepositoryServer, config_file: Path) -> None:
        self._publisher, self.server, self.config_file = publisher, server, config_file

    def publish(self, release: int) -> str:
        """Publish the starter bundle as `release`; its digest."""
        digest = self._publisher.publish_bundle(STARTER, release)
        (self._publisher.folder / "root.json").write_bytes(self._publisher.root)
        return digest


@asynccontextmanager
async def a_repository(site: Site) -> AsyncIterator[Repository]:
    publisher = Publisher(site.folder)
    with serving(publisher.repository) as server:
        update = f"\n[update]\nurl = {json.dumps(server.url)}\nroot = {json.dumps(str(site.folder / 'root.json'))}\n"
        config_file = site.folder / "site.toml"
        config_file.write_text(gateway_text(site.folder, bus_port=502, more=update))
        yield Repository(publisher, server, config_file)


@asynccontextmanager
async def checking(site: Site, repository: Repository) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Checks one after the other, each when the function that this gives is awaited."""
    update = settings.load_file(repository.config_file).update
    assert update is not None
    async with asyncio.TaskGroup() as tasks:
        checks = tasks.create_task(site.service.check_for_ever(update, repository.config_file))
        yield site.clock.next_rest
        checks.cancel()


class TestAtTheStart:
    async def test_the_factory_bundle_runs_on_a_new_gateway_and_nothing_is_reported(self, tmp_path):
        async with a_site(tmp_path) as site:
            await site.service.start()
            assert await site.answers() == FACTORY_DIGEST
            assert await site.reports() == []

    async def test_what_was_current_runs_again(self, tmp_path):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest)
        async with a_site(tmp_path) as site:
            await site.service.start()
            assert await site.answers() == digest
            assert await site.reports() == []

    async def test_a_damaged_bundle_gives_way_and_that_is_reported(self, tmp_path):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest)
        (tmp_path / "data" / "models" / "versions" / digest / MODEL_FILE).write_bytes(b"a card that went bad")
        async with a_site(tmp_path) as site:
            await site.service.start()
            assert await site.answers() == FACTORY_DIGEST
            (report,) = await site.reports()
            assert (report.event, report.bundle) == ("rolled_back", FACTORY_DIGEST)
            assert digest[:12] in report.reason

    async def test_without_any_bundle_the_baseline_speaks_alone(self, tmp_path):
        async with a_site(tmp_path, factory=tmp_path / "nowhere") as site:
            await site.service.start()
            assert site.digest is None
            assert await site.answers() is None
            assert await site.reports() == []

    async def test_one_whose_host_is_slow_to_start_takes_a_strike_and_runs_later(self, tmp_path, monkeypatch):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest)
        async with a_site(tmp_path) as site:
            with monkeypatch.context() as slow_card:
                slow_card.setattr(gateway.shell.host_process, "START_S", 0.001)
                await site.service.start()
            assert (site.digest, site.state.strikes) == (digest, 1)
            assert await answering(site) == digest
            assert (site.state.current, site.state.strikes) == (digest, 1)
            assert await site.reports() == []

    async def test_one_that_never_loads_strikes_out_and_gives_way(self, tmp_path):
        first, second = install(tmp_path, b"first"), install_unloadable(tmp_path)
        make_current(tmp_path, second, previous=first)
        async with a_site(tmp_path) as site, watching(site):
            await site.service.start()
            await until(site, first)
            assert (site.state.current, site.state.strikes) == (first, 0)
            assert [refusal.digest for refusal in site.state.refused] == [second]
            report = await until_reported(site, "rolled_back")
            assert report.bundle == first
            assert "failed three times" in report.reason

    async def test_its_last_strike_at_the_start_itself_gives_way_too(self, tmp_path):
        digest = install_unloadable(tmp_path)
        make_current(tmp_path, digest, strikes=STRIKES_MAX - 1)
        async with a_site(tmp_path) as site:
            await site.service.start()
            async with watching(site):
                await until(site, FACTORY_DIGEST)
            assert site.state.current is None

    async def test_a_factory_bundle_that_does_not_load_is_silenced_in_the_end(self, tmp_path):
        factory = spoil(copy_starter(tmp_path))
        async with a_site(tmp_path, factory) as site, watching(site):
            await site.service.start()
            assert site.state.strikes == 1
            async with asyncio.timeout(PATIENT_S):
                while site.state.strikes:  # forgotten once it has struck out
                    assert await site.answers() is None
                    await SystemClock().sleep_for(0.01)
                while model_hosts():  # its last chance
                    await SystemClock().sleep_for(0.01)
            assert await site.answers() is None
            assert site.state.strikes == 0
            assert await site.reports() == [], "there was nothing to go back to"

    async def test_a_bundle_and_a_factory_that_do_not_load_leave_the_baseline(self, tmp_path):
        digest = install_unloadable(tmp_path)
        make_current(tmp_path, digest)
        factory = copy_starter(tmp_path)
        rewrite_file(factory, "card.md", b"another card")
        spoil(factory)
        async with a_site(tmp_path, factory) as site, watching(site):
            await site.service.start()
            report = await until_reported(site, "rolled_back")
            assert report.bundle == site.digest == read_bundle(factory).digest
            assert await site.answers() is None

    async def test_and_with_a_models_folder_that_cannot_be_used(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "models").write_text("somebody's file")
        async with a_site(tmp_path) as site:
            await site.service.start()
            assert await site.answers() is None


class TestStrikes:
    async def test_the_third_one_rolls_back_to_the_bundle_before_and_reports(self, tmp_path):
        first, second = install(tmp_path, b"first"), install(tmp_path, b"second")
        make_current(tmp_path, second, previous=first)
        async with a_site(tmp_path) as site, watching(site):
            await site.service.start()
            await site.fail(STRIKES_MAX - 1)
            assert site.state.strikes == STRIKES_MAX - 1
            assert await answering(site) == second, "two are no verdict"
            await site.fail()
            await until(site, first)
            assert (site.state.current, site.state.strikes) == (first, 0)
            assert [refusal.digest for refusal in site.state.refused] == [second]
            assert await site.events() == [("rolled_back", first)]

    async def test_they_survive_a_restart(self, tmp_path):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest, strikes=STRIKES_MAX - 1)
        async with a_site(tmp_path) as site, watching(site):
            await site.service.start()
            await site.fail()
            await until(site, FACTORY_DIGEST)
            assert await site.events() == [("rolled_back", FACTORY_DIGEST)]

    async def test_of_the_factory_bundle_start_it_anew(self, tmp_path):
        async with a_site(tmp_path) as site, watching(site):
            await site.service.start()
            await site.fail(STRIKES_MAX)
            await until(site, FACTORY_DIGEST)
            assert site.state.strikes == 0
            assert await site.events() == [("rolled_back", FACTORY_DIGEST)]

    async def test_with_nothing_to_go_back_to_silence_the_model_and_leave_the_way_open(self, tmp_path):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest, strikes=STRIKES_MAX - 1)
        nowhere = tmp_path / "nowhere"
        async with a_site(tmp_path, factory=nowhere) as site, watching(site), a_repository(site) as repository:
            await site.service.start()
            await site.fail()
            assert await site.answers() is None
            newest = repository.publish(7)
            async with checking(site, repository) as next_check:
                await next_check()
            assert await site.answers() == newest, "a better one is taken up"

    async def test_that_the_disk_cannot_count_do_not_stop_the_tick(self, tmp_path):
        async with a_site(tmp_path) as site:
            await site.service.start()
            os.kill(model_hosts()[0], signal.SIGKILL)
            with files_limited_to(0):
                assert await site.answers() is None
            assert await answering(site) == FACTORY_DIGEST


class TestChecks:
    async def test_a_new_version_is_taken_up_reported_and_kept(self, tmp_path):
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            await site.service.start()
            digest = repository.publish(2)
            async with checking(site, repository) as next_check:
                await next_check()
                assert await site.answers() == digest
                assert len(model_hosts()) == 1
                await next_check()  # nothing new
            (report,) = await site.reports()
            assert (report.event, report.release, report.bundle) == ("activated", 2, digest)
            assert site.state.current == digest
        async with a_site(tmp_path) as site:
            await site.service.start()
            assert await site.answers() == digest

    async def test_one_that_does_not_run_here_is_refused_once_and_the_old_one_stays(self, tmp_path, monkeypatch):
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            await site.service.start()
            digest = repository.publish(2)
            # the cold child accepts it; for the host on this busy machine it is too slow
            monkeypatch.setattr(gateway.shell.host_process, "START_S", 0.001)
            async with checking(site, repository) as next_check:
                await next_check()
                assert await site.answers() == FACTORY_DIGEST
                await next_check()
            (report,) = await site.reports()
            assert (report.event, report.release, report.bundle) == ("refused", 2, digest)
            assert "does not run here" in report.reason
            assert [refusal.digest for refusal in site.state.refused] == [digest]
            assert site.state.current is None

    async def test_one_that_is_current_and_does_not_run_here_is_left_not_refused_under_our_feet(
        self, tmp_path, monkeypatch
    ):
        """It was damaged, the disk was full at the start, and what is fetched again is no better."""
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            digest = repository.publish(2)
            (site.models / "versions" / digest).mkdir(parents=True)
            make_current(tmp_path, digest)
            in_the_way = site.models / ".state.json.draft"
            in_the_way.mkdir()
            await site.service.start()
            assert site.digest is None
            in_the_way.rmdir()
            with monkeypatch.context() as slow_card:
                slow_card.setattr(gateway.shell.host_process, "START_S", 0.001)
                async with checking(site, repository) as next_check:
                    await next_check()
            assert await answering(site) == FACTORY_DIGEST
            assert site.state.current is None
            assert [refusal.digest for refusal in site.state.refused] == [digest]
            (report,) = await site.reports()
            assert (report.event, report.bundle) == ("rolled_back", FACTORY_DIGEST)
            assert "does not run here" in report.reason

    async def test_the_same_refusal_is_one_event_and_another_is_another(self, tmp_path):
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            await site.service.start()
            repository.publish(2)
            async with checking(site, repository) as next_check:
                for part in ("manifest.json", "manifest.json", MODEL_FILE):
                    repository.server.faults = {part: flip_byte}
                    await next_check()
                assert await site.answers() == FACTORY_DIGEST
                first, second = await site.reports()
                assert (first.event, second.event) == ("refused", "refused")
                assert "manifest.json" in first.reason
                assert MODEL_FILE in second.reason
                assert site.state.refused == [], "the delivery was wrong, not the bundle"
                repository.server.faults = {}
                await next_check()
                assert (await site.reports())[-1].event == "activated"

    async def test_a_repository_that_is_away_is_no_event(self, tmp_path):
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            await site.service.start()
            repository.publish(2)
            repository.server.faults = {"": status(503)}
            async with checking(site, repository) as next_check:
                await next_check()
            assert await site.reports() == []
            assert await site.answers() == FACTORY_DIGEST

    async def test_a_bundle_that_strikes_out_ends_a_check_that_hangs(self, tmp_path):
        digest = install(tmp_path, b"second")
        make_current(tmp_path, digest, strikes=STRIKES_MAX - 1)
        async with a_site(tmp_path) as site, a_repository(site) as repository, watching(site):
            await site.service.start()
            is_asked = threading.Event()
            repository.server.faults = {"": stall_after(0, is_asked)}
            newest = repository.publish(3)
            async with checking(site, repository) as next_check:
                async with asyncio.timeout(PATIENT_S):
                    await asyncio.to_thread(is_asked.wait)
                await site.fail()
                await until(site, FACTORY_DIGEST)
                repository.server.faults = {}
                await next_check()
                assert await site.answers() == newest
            assert await site.events() == [("rolled_back", FACTORY_DIGEST), ("activated", newest)]

    async def test_a_disk_that_takes_no_activation_keeps_the_old_one_and_refuses_nothing(self, tmp_path):
        async with a_site(tmp_path) as site, a_repository(site) as repository:
            await site.service.start()
            repository.publish(2)
            in_the_way = site.models / ".state.json.draft"
            in_the_way.mkdir()
            async with checking(site, repository) as next_check:
                await next_check()
                assert await site.answers() == FACTORY_DIGEST
                assert await site.reports() == []
                in_the_way.rmdir()
                await next_check()
            assert [event for event, _ in await site.events()] == ["activated"]
