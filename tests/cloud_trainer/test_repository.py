from datetime import timedelta

import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from cloud_trainer import keys
from cloud_trainer.repository import check_channel, open_repository
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import SettingError
from tests.sim.releases import DAY_US, Publisher


@pytest.fixture
def publisher(tmp_path):
    publisher = Publisher(tmp_path)
    publisher.publish(1)
    return publisher


def metadata(publisher, name):
    return Metadata.from_file(str(publisher.repository / "metadata" / f"{name}.json"))


def names(publisher):
    return sorted(path.name for path in (publisher.repository / "metadata").iterdir())


def opened(publisher, days_later=0):
    return open_repository(publisher.repository, publisher.keys, SystemClock().utc_us() + days_later * DAY_US)


def test_first_root_demands_two_of_three_and_carries_three_signatures(publisher):
    root = metadata(publisher, "1.root")
    assert isinstance(root.signed, Root)
    assert (root.signed.roles["root"].threshold, len(root.signed.roles["root"].keyids)) == (2, 3)
    assert len(root.signatures) == 3
    assert root.signed.consistent_snapshot
    root.signed.verify_delegate("root", root.signed_bytes, root.signatures)


def test_channel_is_a_terminating_delegation_with_a_key_of_its_own(publisher):
    targets = metadata(publisher, "1.targets").signed
    assert isinstance(targets, Targets)
    role = targets.delegations.roles["stable"]
    assert role.terminating
    assert role.paths == ["bundles/stable/*", "bundles/stable/*/*"]
    others = {key for one in metadata(publisher, "1.root").signed.roles.values() for key in one.keyids}
    assert others.isdisjoint(role.keyids)
    assert targets.targets == {}


def test_timestamp_and_snapshot_pin_what_they_name(publisher):
    timestamp, snapshot = metadata(publisher, "timestamp").signed, metadata(publisher, "1.snapshot").signed
    assert isinstance(timestamp, Timestamp)
    assert isinstance(snapshot, Snapshot)
    folder = publisher.repository / "metadata"
    timestamp.snapshot_meta.verify_length_and_hashes((folder / "1.snapshot.json").read_bytes())
    for name, meta in snapshot.meta.items():
        assert meta.hashes
        meta.verify_length_and_hashes((folder / f"{meta.version}.{name}").read_bytes())


def test_lives_are_those_of_a_small_operator(publisher):
    now = SystemClock().utc_us() / 1e6
    lives = {
        name: round((metadata(publisher, name).signed.expires.timestamp() - now) / 86_400)
        for name in ("1.root", "1.targets", "1.stable", "1.snapshot", "timestamp")
    }
    assert lives == {"1.root": 730, "1.targets": 365, "1.stable": 180, "1.snapshot": 30, "timestamp": 14}


def test_next_release_signs_only_what_changes(publisher):
    publisher.publish(2)
    assert names(publisher) == [
        "1.root.json", "1.snapshot.json", "1.stable.json", "1.targets.json",
        "2.snapshot.json", "2.stable.json", "timestamp.json",
    ]  # fmt: skip


def test_root_and_targets_keys_may_be_away_for_a_release(publisher):
    for name in (*keys.ROOT_KEYS, keys.TARGETS_KEY):
        (publisher.keys / f"{name}.pem").unlink()
    publisher.publish(2)
    assert opened(publisher).released("stable") == 2


def test_half_lived_metadata_is_renewed_with_two_root_keys(publisher):
    (publisher.keys / "root-2.pem").unlink()
    publisher.publish(2, days_ago=-400)
    assert {"2.root.json", "2.targets.json"} <= set(names(publisher))
    old, new = metadata(publisher, "1.root").signed, metadata(publisher, "2.root")
    old.verify_delegate("root", new.signed_bytes, new.signatures)
    new.signed.verify_delegate("root", new.signed_bytes, new.signatures)


def test_half_lived_metadata_is_warned_of_when_the_keys_are_away(publisher):
    for name in ("root-1", "root-2", "targets"):
        (publisher.keys / f"{name}.pem").unlink()
    repository = opened(publisher, days_later=400)
    repository.publish("stable", [])
    assert [warning.partition(" expires on ")[0] for warning in repository.warnings] == ["root.json", "targets.json"]
    assert all("at hand" in warning for warning in repository.warnings)


def test_new_channel_gets_its_delegation_and_leaves_the_other_alone(publisher):
    before = (publisher.repository / "metadata" / "1.stable.json").read_bytes()
    canary = publisher.folder / "canary"
    keys.create_keys(canary, ["canary"])
    (canary / "channel-canary.pem").rename(publisher.keys / "channel-canary.pem")
    publisher.publish(5, channel="canary")
    repository = opened(publisher)
    assert (repository.released("stable"), repository.released("canary"), repository.released("none")) == (1, 5, 0)
    assert (publisher.repository / "metadata" / "1.stable.json").read_bytes() == before


def test_keys_of_another_repository_are_refused(publisher, tmp_path):
    keys.create_keys(tmp_path / "others")
    repository = open_repository(publisher.repository, tmp_path / "others", SystemClock().utc_us())
    with pytest.raises(SettingError, match="give the keys it was made with"):
        repository.publish("stable", [])


@pytest.mark.parametrize("name", ["1.root", "timestamp", "1.snapshot", "1.targets", "1.stable"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "garbage"])
def test_damaged_repository_is_named_and_not_signed_over(publisher, name, damage):
    path = publisher.repository / "metadata" / f"{name}.json"
    data = path.read_bytes()
    match damage:
        case "flipped":
            path.write_bytes(data.replace(b'"version":1', b'"version":2'))
        case "cut":
            path.write_bytes(data[:-20])
        case "gone" if name != "timestamp":
            path.unlink()
        case _:
            path.write_bytes(b"\xff\x00")
    with pytest.raises(SettingError, match=f"{name}.json"):
        opened(publisher).released("stable")


def test_role_file_of_another_kind_is_refused(publisher):
    folder = publisher.repository / "metadata"
    (folder / "timestamp.json").write_bytes((folder / "1.snapshot.json").read_bytes())
    with pytest.raises(SettingError, match="not timestamp metadata"):
        opened(publisher)


@pytest.mark.parametrize("channel", ["", "root", "targets", "snapshot", "timestamp", "Stable", "a/b", "..", "x" * 50])
def test_name_that_cannot_be_a_channel_is_refused(channel):
    with pytest.raises(SettingError, match="cannot be the name of a channel"):
        check_channel(channel)


def test_timestamp_reaches_the_server_last(publisher):
    repository = opened(publisher)
    repository.publish("stable", [TargetFile.from_data("bundles/stable/manifest.json", b"x", ["sha256"])])
    assert [file.path.rpartition("/")[2] for file in repository.writes] == [
        "2.stable.json",
        "2.snapshot.json",
        "timestamp.json",
    ]
    assert repository.timestamp.expires - repository.now == timedelta(days=14)
