import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_trainer.keys import ensure_channel_key
from gateway.contract.inputs import input_digest
from gateway.contract.manifest import decode_manifest
from gateway.contract.repository import file_target, followed_channels, manifest_target
from gateway.core.update import Outcome
from gateway.shell.bundle_files import BundleFiles
from gateway.shell.cold_check import CheckFailedError
from gateway.shell.update_fetch import Check, fetch
from tests.sim import repository_server as sim
from tests.sim.bundles import GOLDEN_FILE, MODEL_FILE, write_bundle
from tests.sim.full_disk import files_limited_to
from tests.sim.releases import Publisher

pytestmark = pytest.mark.slow

MANIFEST = manifest_target("stable")
BIG = bytes(range(256)) * 2000


@dataclass
class Gateway:
    """A gateway as far as bundles go: it checks, and activates what was installed."""

    publisher: Publisher
    server: sim.RepositoryServer
    models: Path
    factory: Path

    def __post_init__(self) -> None:
        self.files = BundleFiles(self.models, self.factory)
        self.active = self.files.start()
        self.root = b""
        self.channels: tuple[str, ...] = ("stable",)
        self.accept = lambda _: ""

    def check(self, *, current: str | None = None, budget_s: float = 10.0, gap_s: float = 5.0) -> Outcome:
        return fetch(
            Check(
                url=self.server.url,
                root=self.root or self.publisher.root,
                channels=self.channels,
                models=self.models,
                current=current or self.active.digest,
                budget_s=budget_s,
                gap_s=gap_s,
                factory=self.factory,
            ),
            accept=self.accept,
        )

    def update(self) -> Outcome:
        outcome = self.check()
        assert outcome.outcome == "installed", outcome
        self.active = self.files.activate(outcome.digest or "")
        return outcome

    def refused(self, reason: str, *, lasting: bool) -> None:
        """A check is refused for `reason`, and what runs is untouched, now and after a restart."""
        versions = sorted(entry.name for entry in (self.models / "versions").iterdir())
        outcome = self.check()
        assert (outcome.outcome, outcome.reason, outcome.lasting) == ("refused", reason, lasting)
        assert sorted(entry.name for entry in (self.models / "versions").iterdir()) == versions
        again = BundleFiles(self.models, self.factory).start()
        assert (again.digest, again.trouble) == (self.active.digest, "")


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
def gateway(tmp_path, publisher):
    publisher.publish(1)
    write_bundle(tmp_path / "factory", model=b"factory weights")
    with sim.serving(publisher.repository) as server:
        yield Gateway(publisher, server, tmp_path / "models", tmp_path / "factory")


def test_release_after_release_is_taken_up(gateway):
    first = gateway.update()
    assert (first.release, gateway.active.release) == (1, 1)
    digest = gateway.publisher.publish(2, model=b"better")
    second = gateway.update()
    assert (second.release, second.digest) == (2, digest)
    assert (gateway.active.path / MODEL_FILE).read_bytes() == b"better"
    assert gateway.check().outcome == "no_update"


def test_check_without_news_costs_two_requests(gateway):
    gateway.update()
    gateway.server.requests.clear()
    gateway.check()
    assert [path for path, _ in gateway.server.requests] == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_unchanged_files_are_not_fetched_again(gateway):
    gateway.update()
    gateway.publisher.publish(2)
    gateway.server.requests.clear()
    gateway.update()
    assert len(gateway.server.asked("/targets/")) == len(gateway.server.asked(".manifest.json")) == 1


def test_altered_file_of_an_installed_version_is_not_reused(gateway):
    gateway.update()
    (gateway.active.path / MODEL_FILE).write_bytes(b"weightz")
    gateway.publisher.publish(2)
    gateway.update()
    assert (gateway.active.path / MODEL_FILE).read_bytes() == b"weights"


def test_what_was_fetched_before_a_power_cut_is_not_fetched_again(gateway):
    assert gateway.check().outcome == "installed"
    gateway.server.requests.clear()
    assert gateway.check() == Outcome("installed", 1, gateway.check().digest, "was fetched before")
    assert gateway.server.asked("/targets/") == []


def test_bundle_damaged_on_disk_is_fetched_again(gateway):
    gateway.update()
    (gateway.active.path / MODEL_FILE).write_bytes(b"weightz")
    gateway.active = gateway.files.start()
    assert gateway.active.origin == "factory"
    gateway.update()
    assert (gateway.active.path / MODEL_FILE).read_bytes() == b"weights"


@pytest.mark.parametrize("fault", [sim.flip_byte, sim.shorten, sim.lengthen, sim.portal, sim.endless])
@pytest.mark.parametrize("name", [MODEL_FILE, "manifest.json"])
def test_altered_target_is_refused_by_name_until_it_is_whole_again(gateway, name, fault):
    gateway.update()
    gateway.publisher.publish(2, model=BIG)
    gateway.server.faults[f".{name}"] = fault
    gateway.refused(f"{name}: length or hash differs from the signed metadata", lasting=False)
    gateway.server.faults.clear()
    assert gateway.update().release == 2


def test_model_spoiled_on_the_server_is_refused_by_name(gateway):
    """The first release, so that no copy of the file is at hand."""
    stored = next(gateway.server.folder.rglob(f"*.{MODEL_FILE}"))
    stored.write_bytes(b"weightz")
    gateway.refused(f"{MODEL_FILE}: length or hash differs from the signed metadata", lasting=False)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("2.snapshot.json", "2.snapshot.json: "),
        ("2.stable.json", "2.stable.json: "),
    ],
)
def test_altered_metadata_is_refused_by_name(gateway, name, reason):
    gateway.update()
    gateway.publisher.publish(2)
    gateway.server.faults[name] = sim.flip_byte
    outcome = gateway.check()
    assert (outcome.outcome, outcome.lasting) == ("refused", False)
    assert outcome.reason.startswith(reason)


def test_timestamp_with_a_forged_version_is_refused(gateway):
    gateway.update()
    gateway.publisher.publish(2)
    path = gateway.server.folder / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":9'))
    outcome = gateway.check()
    assert outcome.outcome == "refused"
    assert outcome.reason.startswith("timestamp.json: ")


@pytest.mark.parametrize("size", [0, 1, 100, 400])
def test_truncated_timestamp_is_no_repository(gateway, size):
    gateway.update()
    path = gateway.server.folder / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes()[:size])
    assert gateway.check() == Outcome("network", reason="timestamp.json is no metadata: not a repository")


def test_captive_portal_is_no_attack(gateway):
    gateway.server.faults["/"] = sim.portal
    assert gateway.check() == Outcome("network", reason="2.root.json is no metadata: not a repository")


@pytest.mark.parametrize("code", [302, 403, 404, 500, 503])
def test_server_in_trouble_is_the_network(gateway, code):
    gateway.server.faults["timestamp.json"] = sim.status(code)
    outcome = gateway.check()
    assert (outcome.outcome, str(code) in outcome.reason) == ("network", True)


def test_stopped_server_is_the_network(gateway):
    gateway.server.shutdown()
    gateway.server.server_close()
    outcome = gateway.check()
    assert outcome.outcome == "network"
    assert "no connection" in outcome.reason


@pytest.mark.parametrize("name", ["timestamp.json", MODEL_FILE])
def test_silent_server_is_the_network(gateway, name):
    gateway.server.faults[name] = sim.silent
    assert gateway.check(gap_s=0.2).outcome == "network"


@pytest.mark.parametrize("name", ["timestamp.json", MODEL_FILE])
def test_trickling_server_is_the_network(gateway, name):
    gateway.publisher.publish(2, model=BIG)
    gateway.server.faults[name] = sim.trickle(0.02)
    assert gateway.check(budget_s=0.5).outcome == "network"


def test_endless_metadata_is_the_network(gateway):
    gateway.server.faults["timestamp.json"] = sim.endless
    assert gateway.check().outcome == "network"


def test_cut_link_resumes_at_the_next_check(gateway):
    gateway.publisher.publish(2, model=BIG)
    gateway.server.faults[MODEL_FILE] = sim.cut_after(200_000)
    assert [gateway.check().outcome for _ in range(3)] == ["network", "network", "installed"]
    assert gateway.server.asked(MODEL_FILE) == [None, "bytes=200000-", "bytes=400000-"]
    assert list((gateway.models / "spool").iterdir()) == []


def test_part_spoiled_by_a_power_cut_is_no_security_matter(gateway):
    gateway.publisher.publish(2, model=BIG)
    gateway.server.faults[MODEL_FILE] = sim.cut_after(200_000)
    assert gateway.check().outcome == "network"
    part = next(part for part in (gateway.models / "spool").iterdir() if part.name.endswith(MODEL_FILE))
    part.write_bytes(bytes(200_000))
    gateway.server.faults.clear()
    assert gateway.check().outcome == "installed"


def test_parts_of_an_older_release_are_cleared_away(gateway):
    gateway.publisher.publish(2, model=BIG)
    gateway.server.faults[MODEL_FILE] = sim.cut_after(200_000)
    gateway.check()
    gateway.publisher.publish(3, model=BIG[1:])
    gateway.check()
    assert len([part for part in (gateway.models / "spool").iterdir() if part.name.endswith(MODEL_FILE)]) == 1


def test_old_repository_played_again_is_refused(gateway, tmp_path):
    shutil.copytree(gateway.server.folder, tmp_path / "old")
    gateway.publisher.publish(2)
    gateway.update()
    gateway.server.folder = tmp_path / "old"
    outcome = gateway.check()
    assert outcome.outcome == "refused"
    assert outcome.reason.startswith("timestamp.json: ")


def test_old_repository_is_refused_even_when_all_local_metadata_is_lost(gateway, tmp_path):
    shutil.copytree(gateway.server.folder, tmp_path / "old")
    gateway.publisher.publish(2)
    gateway.update()
    shutil.rmtree(gateway.models / "tuf")
    gateway.server.folder = tmp_path / "old"
    gateway.refused("manifest.json: release 1 is below 2, which runs", lasting=True)


def test_foreign_repository_is_refused(gateway, tmp_path):
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    foreign = Publisher(stranger)
    foreign.publish(7)
    gateway.server.folder = foreign.repository
    outcome = gateway.check()
    assert outcome.outcome == "refused"
    assert outcome.reason.startswith("timestamp.json: ")


def test_wrong_root_on_the_gateway_is_its_own_trouble(gateway):
    gateway.root = b"no root at all"
    outcome = gateway.check()
    assert outcome.outcome == "local"
    assert "update.root" in outcome.reason


@pytest.mark.parametrize(
    ("days_ago", "name"), [(15, "timestamp.json"), (31, "timestamp.json"), (800, "Final root.json")]
)
def test_expired_metadata_brings_nothing_new_and_stops_nothing(gateway, days_ago, name, tmp_path):
    stale = tmp_path / "stale"
    stale.mkdir()
    old = Publisher(stale)
    old.publish(1, days_ago=days_ago)
    gateway.server.folder, gateway.root = old.repository, old.root
    outcome = gateway.check()
    assert (outcome.outcome, outcome.reason) == ("expired", f"{name} is expired")
    assert BundleFiles(gateway.models, gateway.factory).start().trouble == ""


def test_channel_without_releases_is_no_update(gateway, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    other = Publisher(empty)
    (other.keys / "channel-stable.pem").rename(other.keys / "channel-canary.pem")
    other.publish(1, channel="canary")
    gateway.server.folder, gateway.root = other.repository, other.root
    assert gateway.check() == Outcome("no_update", reason="nothing is published on channel 'stable'")


@pytest.fixture
def acme(gateway):
    """A gateway that its organisation has a channel for; the name of the channel."""
    gateway.channels = followed_channels("stable", "acme")
    channel = gateway.channels[0]
    ensure_channel_key(gateway.publisher.keys, channel)
    return channel


def test_gateway_takes_what_all_are_given_until_its_organisation_is_given_something(gateway, acme):
    assert gateway.update().release == 1
    for release in range(2, 6):
        gateway.publisher.publish(release)
    assert gateway.update().release == 5
    digest = gateway.publisher.publish(1, model=b"of acme", channel=acme)
    assert gateway.update() == Outcome("installed", 1, digest, "")
    gateway.publisher.publish(6, model=b"better for all")
    assert gateway.check().outcome == "no_update", "what all are given is not for it any more"
    assert gateway.publisher.publish(2, model=b"better", channel=acme) == gateway.update().digest


def test_gateway_of_another_organisation_does_not_see_it(gateway, acme):
    gateway.publisher.publish(9, channel=acme)
    gateway.channels = followed_channels("stable", "other")
    assert gateway.update().release == 1
    assert gateway.server.asked(acme) == []


def test_floor_holds_on_the_channel_of_an_organisation(gateway, acme, tmp_path):
    gateway.publisher.publish(1, channel=acme)
    shutil.copytree(gateway.server.folder, tmp_path / "old")
    gateway.publisher.publish(2, model=b"better", channel=acme)
    gateway.update()
    shutil.rmtree(gateway.models / "tuf")
    gateway.server.folder = tmp_path / "old"
    gateway.refused("manifest.json: release 1 is below 2, which runs", lasting=True)


def test_old_repository_that_knows_nothing_of_the_organisation_brings_nothing_back(gateway, acme, tmp_path):
    gateway.update()
    shutil.copytree(gateway.server.folder, tmp_path / "old")
    gateway.publisher.publish(1, model=b"of acme", channel=acme)
    gateway.update()
    shutil.rmtree(gateway.models / "tuf")
    gateway.server.folder = tmp_path / "old"
    reason = f"manifest.json: channel 'stable' is for gateways that {acme!r}, which runs, is not for"
    gateway.refused(reason, lasting=False)


def test_gateway_that_changes_hands_leaves_what_its_old_organisation_was_given(gateway, acme):
    gateway.publisher.publish(7, model=b"of acme", channel=acme)
    gateway.update()
    gateway.channels = followed_channels("stable", "other")
    assert gateway.update().release == 1


def test_bundle_that_is_not_accepted_never_reaches_the_versions(gateway):
    gateway.accept = lambda _: "golden.json case 0: differs by 3"
    gateway.refused("golden.json case 0: differs by 3", lasting=True)


def test_bundle_refused_before_is_not_fetched_again(gateway):
    gateway.accept = lambda _: "wrong"
    outcome = gateway.check()
    gateway.files.refuse(outcome.digest or "", outcome.reason)
    gateway.server.requests.clear()
    assert gateway.check() == Outcome("no_update", 1, outcome.digest, "refused before: wrong")
    assert gateway.server.asked("/targets/") == []
    gateway.accept = lambda _: ""
    gateway.publisher.publish(2)
    assert gateway.update().release == 2


def test_acceptance_that_cannot_run_says_nothing_of_the_bundle(gateway):
    def fail(_: Path) -> str:
        raise CheckFailedError("the acceptance ended with code -9: ")

    gateway.accept = fail
    assert gateway.check().outcome == "local"
    gateway.accept = lambda _: ""
    assert gateway.update().release == 1


def test_acceptance_sees_the_whole_bundle_on_disk(gateway):
    seen = []
    gateway.accept = lambda staging: seen.append(sorted(path.name for path in staging.iterdir())) or ""
    gateway.update()
    assert seen == [["card.md", MODEL_FILE, GOLDEN_FILE, "manifest.json"]]


def signed_but_wrong(tmp_path):
    """What a publisher with the right keys and no care could sign, by what the gateway says of it."""
    write_bundle(tmp_path / "wrong", release=2, model=b"better", channel="stable")
    manifest = (tmp_path / "wrong" / "manifest.json").read_bytes()
    names = decode_manifest(manifest).files
    files = {
        file_target("stable", name, entry.sha256): (tmp_path / "wrong" / name).read_bytes()
        for name, entry in names.items()
    }
    model = next(path for path in files if path.endswith(MODEL_FILE))
    own = input_digest().encode()
    return {
        "manifest.json cannot be read": files | {MANIFEST: b"{}"},
        "manifest.json has 65537 bytes, more than 65536": files | {MANIFEST: bytes(65537)},
        "manifest.json is of channel 'canary', not 'stable'": files
        | {MANIFEST: manifest.replace(b'"stable"', b'"canary"')},
        "the bundle was made for inputs ffffffffffff": files | {MANIFEST: manifest.replace(own, b"f" * 64)},
        f"{MODEL_FILE}: the manifest names it, the signed metadata does not": {
            path: data for path, data in (files | {MANIFEST: manifest}).items() if path != model
        },
        f"{MODEL_FILE} is not the file of the manifest": files | {MANIFEST: manifest, model: b"BETTER"},
        f"{MODEL_FILE} has 7 bytes": files | {MANIFEST: manifest, model: b"longer!"},
        f"{MODEL_FILE} has 4194305 bytes, more than": files | {MANIFEST: manifest, model: bytes(4 * 1024 * 1024 + 1)},
    }


def test_signed_but_wrong_bundles_are_refused_for_good(gateway, tmp_path):
    gateway.update()
    for release, (reason, offered) in enumerate(signed_but_wrong(tmp_path).items(), start=2):
        gateway.publisher.sign(offered, release)
        outcome = gateway.check()
        assert (outcome.outcome, outcome.lasting) == ("refused", True)
        assert outcome.reason.startswith(reason)
        assert [entry.name for entry in (gateway.models / "versions").iterdir()] == [gateway.active.digest]


def test_full_disk_is_this_machines_trouble_and_clears_when_space_returns(gateway):
    gateway.publisher.publish(2, model=BIG)
    with files_limited_to(100_000):
        assert gateway.check().outcome == "local"
    assert gateway.update().release == 2


def test_folder_that_cannot_be_made_is_this_machines_trouble(gateway):
    gateway.models = gateway.factory / "manifest.json" / "models"
    outcome = gateway.check()
    assert outcome.outcome == "local"


def test_second_check_at_the_same_time_says_so(gateway):
    with (gateway.models / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert gateway.check() == Outcome("local", reason="another check is at work")
    assert gateway.check().outcome == "installed"


def test_lost_local_metadata_is_made_anew(gateway):
    gateway.update()
    for damage in (shutil.rmtree, lambda folder: [p.write_bytes(b"") for p in folder.rglob("*.json") if p.is_file()]):
        damage(gateway.models / "tuf")
        assert gateway.check().outcome == "no_update"


def test_root_renewed_while_away_is_followed(gateway):
    gateway.update()
    gateway.publisher.publish(2, days_ago=-400)
    assert (gateway.server.folder / "metadata" / "2.root.json").exists()
    assert gateway.update().release == 2


def test_killed_check_leaves_nothing_that_disturbs_the_next(gateway, tmp_path):
    digest = gateway.publisher.publish(2, model=BIG)
    stalled = threading.Event()
    gateway.server.faults[MODEL_FILE] = sim.stall_after(300_000, stalled)
    (tmp_path / "root.json").write_bytes(gateway.publisher.root)
    arguments = [gateway.server.url, tmp_path / "root.json", gateway.models, gateway.factory]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.sim.fetch_child", *arguments, "--current", gateway.active.digest],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert stalled.wait(30)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    gateway.server.faults.clear()
    assert gateway.files.start().origin == "factory"
    assert gateway.update().digest == digest
