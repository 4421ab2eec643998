import hashlib
import shutil

import pytest

from cloud_trainer.publish import FileWrite, Publication, plan, write
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import ConflictError, SettingError
from gateway.contract.manifest import bundle_digest, decode_manifest
from gateway.shell.update_fetch import Check, fetch
from tests.sim import repository_server as sim
from tests.sim.bundles import GOLDEN_FILE, MODEL_FILE, write_bundle
from tests.sim.releases import Publisher


@pytest.fixture
def publisher(tmp_path):
    publisher = Publisher(tmp_path)
    publisher.publish(1)
    return publisher


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "bundle", model=b"better")
    return tmp_path / "bundle"


def planned(publisher, bundle, release=2, channel="stable"):
    return plan(publisher.repository, publisher.keys, bundle, channel, release, SystemClock().utc_us())


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_published_manifest_carries_the_release_and_names_the_bundle(publisher, bundle):
    publication = planned(publisher, bundle, release=7)
    manifest = publication.writes[0].data
    assert publication.writes[0].path == f"targets/bundles/stable/{publication.digest}.manifest.json"
    assert decode_manifest(manifest).release == 7
    assert bundle_digest(manifest) == publication.digest
    assert decode_manifest((bundle / "manifest.json").read_bytes()).release == 0, "the bundle itself is untouched"


def test_files_lie_under_their_hash_and_are_unchanged(publisher, bundle):
    model = hashlib.sha256(b"better").hexdigest()
    files = {file.path: file.data for file in planned(publisher, bundle).writes}
    assert files[f"targets/bundles/stable/{model}/{model}.{MODEL_FILE}"] == b"better"


def test_releases_share_what_they_have_in_common(publisher):
    before = len(contents(publisher.repository / "targets"))
    publisher.publish(2)
    assert len(contents(publisher.repository / "targets")) == before + 1


def test_targets_come_first_and_the_timestamp_last(publisher, bundle):
    paths = [file.path for file in planned(publisher, bundle).writes]
    kinds = [path.partition("/")[0] for path in paths]
    assert kinds == sorted(kinds, reverse=True)
    assert paths[-1] == "metadata/timestamp.json"


@pytest.mark.parametrize("release", [1, 0, -1])
def test_release_that_does_not_rise_is_refused(publisher, bundle, release):
    with pytest.raises(ConflictError, match="is not above 1, published on stable; use 2"):
        planned(publisher, bundle, release)


def test_planning_writes_nothing(publisher, bundle):
    before = contents(publisher.repository)
    planned(publisher, bundle)
    assert contents(publisher.repository) == before


DAMAGES = {
    "is not the file of the manifest": lambda bundle: (bundle / MODEL_FILE).write_bytes(b"bettes"),
    f"{MODEL_FILE} has 7 bytes": lambda bundle: (bundle / MODEL_FILE).write_bytes(b"longer than it was"),
    f"{MODEL_FILE} cannot be read": lambda bundle: (bundle / MODEL_FILE).unlink(),
    "manifest.json cannot be read": lambda bundle: (bundle / "manifest.json").write_bytes(b"{"),
    "is not the file": lambda bundle: (bundle / GOLDEN_FILE).write_bytes(
        b"[" * (bundle / GOLDEN_FILE).stat().st_size
    ),
    r"manifest.json cannot be read \(No such": lambda bundle: shutil.rmtree(bundle),
}


@pytest.mark.parametrize("problem", DAMAGES)
def test_bundle_that_does_not_fit_together_is_refused_by_file(publisher, bundle, problem):
    DAMAGES[problem](bundle)
    with pytest.raises(SettingError, match=problem) as caught:
        planned(publisher, bundle)
    assert caught.value.field == "bundle"


def test_key_that_others_may_read_stops_the_publication(publisher, bundle):
    (publisher.keys / "timestamp.pem").chmod(0o644)
    with pytest.raises(SettingError, match="read by others"):
        planned(publisher, bundle)


def test_bad_channel_is_refused(publisher, bundle):
    with pytest.raises(SettingError, match="channel"):
        planned(publisher, bundle, channel="targets")


def test_folder_that_cannot_be_written_is_named(publisher, bundle, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="cannot be written"):
        write(tmp_path / "file", planned(publisher, bundle))


def test_damaged_file_on_the_server_is_mended_by_publishing_again(publisher):
    stored = next(publisher.repository.rglob(f"*.{MODEL_FILE}"))
    stored.write_bytes(b"weightz")
    publisher.publish(2)
    assert stored.read_bytes() == b"weights"


def first_writes(publication: Publication, count: int) -> Publication:
    writes: list[FileWrite] = publication.writes[:count]
    return Publication(publication.channel, publication.release, publication.digest, "", writes, [])


@pytest.mark.slow
def test_reader_at_any_moment_of_a_publication_sees_the_old_or_the_new_release(publisher, bundle, tmp_path):
    """Also when the publisher is killed there and starts again."""
    write_bundle(tmp_path / "factory", model=b"factory")
    publication = planned(publisher, bundle)
    seen = []
    with sim.serving(publisher.repository) as server:
        for count in range(len(publication.writes) + 1):
            write(publisher.repository, first_writes(publication, count))
            outcome = fetch(
                Check(
                    url=server.url,
                    root=publisher.root,
                    channels=("stable",),
                    models=tmp_path / f"models-{count}",
                    current="0" * 64,
                    budget_s=10.0,
                    factory=tmp_path / "factory",
                ),
                accept=lambda _: "",
            )
            assert outcome.outcome == "installed", outcome
            seen.append(outcome.release)
    assert seen == [1] * len(publication.writes) + [2]


@pytest.mark.parametrize("count", range(7))
def test_publication_that_was_cut_is_simply_done_again(publisher, bundle, count):
    write(publisher.repository, first_writes(planned(publisher, bundle), count))
    again = planned(publisher, bundle)
    write(publisher.repository, again)
    with pytest.raises(SettingError, match="is not above 2"):
        planned(publisher, bundle)
