import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.contract.manifest import ManifestError
from gateway.shell.bundle_files import (
    REFUSED_MAX,
    STATE_NAME,
    BundleFiles,
    BundleState,
    Refusal,
    decode_state,
    encode_state,
    read_state,
)
from gateway.shell.verified_bundle import BundleMissingError
from tests.sim.bundles import MODEL_FILE, install_bundle, write_bundle


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def factory(tmp_path):
    write_bundle(tmp_path / "factory")
    return tmp_path / "factory"


def started(models, factory):
    files = BundleFiles(models, factory)
    return files, files.start()


def with_two_releases(models, factory):
    """Release 2 runs, release 1 is the one before."""
    files, _ = started(models, factory)
    digests = [install_bundle(models, release=release) for release in (1, 2)]
    files.activate(digests[0])
    # It was collected: only the check brings bundles here, and only when nothing else runs.
    digests[1] = install_bundle(models, release=2)
    files.activate(digests[1])
    return files, digests


def spoil(models, digest):
    path = models / "versions" / digest / MODEL_FILE
    path.write_bytes(b"weightz")


def test_current_digest_is_what_the_gateway_runs_and_asking_for_it_writes_nothing(models, factory):
    files = BundleFiles(models, factory)
    asked_before = files.current_digest()
    assert not models.exists()
    assert asked_before == files.start().digest
    _, digests = with_two_releases(models, factory)
    before = (models / STATE_NAME).read_bytes()
    assert BundleFiles(models, factory).current_digest() == digests[1]
    assert (models / STATE_NAME).read_bytes() == before


def test_current_digest_of_a_damaged_state_is_not_guessed(models, factory):
    started(models, factory)
    (models / STATE_NAME).write_bytes(b"{}")
    with pytest.raises(ValueError, match="checksum"):
        BundleFiles(models, factory).current_digest()


def test_gateway_that_never_was_online_runs_the_factory_bundle(models, factory):
    _, active = started(models, factory)
    assert (active.origin, active.path, active.release, active.trouble) == ("factory", factory, 0, "")


def test_broken_factory_bundle_is_said_aloud(models, factory):
    (factory / MODEL_FILE).write_bytes(b"?")
    with pytest.raises(ManifestError, match=MODEL_FILE):
        BundleFiles(models, factory).start()
    with pytest.raises(BundleMissingError):
        BundleFiles(models, factory / "nowhere").start()


def test_activated_bundle_survives_a_restart(models, factory):
    _, digests = with_two_releases(models, factory)
    _, active = started(models, factory)
    assert (active.digest, active.release, active.origin, active.trouble) == (digests[1], 2, "installed", "")


def test_only_current_and_previous_are_kept(models, factory):
    files, digests = with_two_releases(models, factory)
    third = install_bundle(models, release=3)
    files.activate(third)
    assert {entry.name for entry in (models / "versions").iterdir()} == {digests[1], third}


def test_activating_what_is_active_changes_nothing(models, factory):
    files, digests = with_two_releases(models, factory)
    before = (models / STATE_NAME).read_bytes()
    files.activate(digests[1])
    assert (models / STATE_NAME).read_bytes() == before


def test_incomplete_bundle_is_not_activated(models, factory):
    files, digests = with_two_releases(models, factory)
    third = install_bundle(models, release=3)
    spoil(models, third)
    with pytest.raises(ManifestError, match="not whole"):
        files.activate(third)
    assert started(models, factory)[1].digest == digests[1]


def test_folder_under_a_foreign_name_is_not_that_bundle(models, factory):
    files, _ = started(models, factory)
    digest = install_bundle(models, release=1)
    other = "0" * 64
    (models / "versions" / digest).rename(models / "versions" / other)
    assert files.installed(other) is None


def test_rolled_back_bundle_is_refused_for_good(models, factory):
    files, digests = with_two_releases(models, factory)
    active = files.roll_back("its host failed three times")
    assert active.digest == digests[0]
    assert read_state(models).refused == [Refusal(digests[1], "its host failed three times")]
    install_bundle(models, release=2)
    with pytest.raises(ManifestError, match="refused before"):
        files.activate(digests[1])
    assert started(models, factory)[1].digest == digests[0]


def test_two_roll_backs_end_at_the_factory_bundle_and_a_third_stays_there(models, factory):
    files, _ = with_two_releases(models, factory)
    files.roll_back("bad")
    assert files.roll_back("bad too").origin == "factory"
    assert files.strike() == 1
    assert files.roll_back("factory as well").origin == "factory"
    assert read_state(models).strikes == 0
    assert list((models / "versions").iterdir()) == []


def test_roll_back_to_a_damaged_bundle_goes_on_to_the_factory(models, factory):
    files, digests = with_two_releases(models, factory)
    spoil(models, digests[0])
    active = files.roll_back("bad")
    assert active.origin == "factory"
    assert digests[0][:12] in active.trouble


def test_strikes_are_counted_durably_within_the_life_of_a_bundle(models, factory):
    files, _ = with_two_releases(models, factory)
    assert [files.strike(), files.strike()] == [1, 2]
    files, _ = started(models, factory)
    assert files.strike() == 3
    files.activate(install_bundle(models, release=3))
    assert files.strike() == 1


def test_list_of_refused_bundles_keeps_the_newest_and_each_once(models, factory):
    files, _ = started(models, factory)
    for number in [*range(REFUSED_MAX + 3), REFUSED_MAX + 2]:
        files.refuse(f"{number:064x}", f"reason {number}")
    refused = read_state(models).refused
    assert [refusal.reason for refusal in refused] == [f"reason {number}" for number in range(3, REFUSED_MAX + 3)]


def test_refused_bundle_is_removed_and_the_active_one_stays(models, factory):
    files, digests = with_two_releases(models, factory)
    third = install_bundle(models, release=3)
    files.refuse(third, "does not load")
    assert {entry.name for entry in (models / "versions").iterdir()} == set(digests)
    assert started(models, factory)[1].digest == digests[1]


def test_damaged_current_bundle_gives_way_to_the_previous_one(models, factory):
    _, digests = with_two_releases(models, factory)
    spoil(models, digests[1])
    _, active = started(models, factory)
    assert active.digest == digests[0]
    assert digests[1][:12] in active.trouble
    assert read_state(models).current == digests[0]


def test_damaged_bundle_is_not_refused_for_that(models, factory):
    """Damaged is not bad: fetched again, it is taken again."""
    _, digests = with_two_releases(models, factory)
    spoil(models, digests[1])
    files, _ = started(models, factory)
    (models / "versions" / digests[1] / MODEL_FILE).write_bytes(b"weights")
    assert files.activate(digests[1]).digest == digests[1]


def test_factory_is_the_last_resort_only(models, factory):
    """Never the factory bundle while an older good one is whole."""
    files, digests = with_two_releases(models, factory)
    files.roll_back("bad")
    stray = install_bundle(models, release=7)
    spoil(models, digests[0])
    _, active = started(models, factory)
    assert (active.digest, active.release) == (stray, 7)


DAMAGES = {
    "emptied": lambda _: b"",
    "zeroed": lambda data: bytes(len(data)),
    "cut": lambda data: data[:-5],
    "garbage": lambda _: b"\xff\xfe garbage",
    "without checksum": lambda data: data.partition(b"\n")[2],
    "of the future": lambda data: encode_state(BundleState()).replace(b'"schema": 1', b'"schema": 2'),
    "too long": lambda data: data + b" " * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state_file_costs_no_bundle(models, factory, damage):
    _, digests = with_two_releases(models, factory)
    path = models / STATE_NAME
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    _, active = started(models, factory)
    assert active.digest == digests[1]
    assert "state.json is damaged" in active.trouble
    _, again = started(models, factory)
    assert (again.digest, again.trouble) == (digests[1], "")


def test_lost_state_file_costs_no_bundle(models, factory):
    _, digests = with_two_releases(models, factory)
    (models / STATE_NAME).unlink()
    _, active = started(models, factory)
    assert active.digest == digests[1]
    assert "missing" in active.trouble


def test_bundle_installed_before_a_power_cut_is_not_run_by_accident(models, factory):
    started(models, factory)
    install_bundle(models, release=1)
    assert started(models, factory)[1].origin == "factory"


def test_any_bundle_is_found_by_its_digest(models, factory):
    files, digests = with_two_releases(models, factory)
    factory_digest = BundleFiles(models / "other", factory).start().digest
    for digest, release in ((digests[1], 2), (factory_digest, 0)):
        assert (found := files.find(digest)) is not None
        assert found.manifest.release == release
    assert files.find("0" * 64) is None
    assert BundleFiles(models, factory / "nowhere").find(digests[1]) is not None


states = st.builds(
    BundleState,
    current=st.none() | st.just("a" * 64),
    previous=st.none() | st.just("b" * 64),
    strikes=st.integers(0, 9),
    refused=st.lists(st.builds(Refusal, st.just("c" * 64), st.text(max_size=20)), max_size=3),
)


@given(states)
def test_state_makes_the_round_trip_and_people_can_read_it(state):
    data = encode_state(state)
    assert decode_state(data) == state
    assert json.loads(data.partition(b"\n")[2])["schema"] == 1


@given(st.binary(max_size=300))
def test_other_bytes_are_no_state(data):
    with pytest.raises(ValueError, match="checksum"):
        decode_state(data)


def test_every_truncation_and_every_flipped_bit_of_a_state_is_noticed():
    data = encode_state(BundleState(current="a" * 64, strikes=2))
    damaged = [data[:size] for size in range(len(data))]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for piece in damaged:
        with pytest.raises(ValueError):
            decode_state(piece)


@pytest.mark.parametrize("digest", ["", "a" * 63, "A" * 64, "../" + "a" * 61, None])
def test_what_is_no_digest_never_becomes_a_path(digest):
    body = encode_state(BundleState()).partition(b"\n")[2]
    altered = body.replace(b'"previous": null', b'"previous": ' + json.dumps(digest).encode())
    data = hashlib.sha256(altered).hexdigest().encode() + b"\n" + altered
    if digest is None:
        assert decode_state(data) == BundleState()
    else:
        with pytest.raises(ValueError, match="previous"):
            decode_state(data)


class Life(RuleBasedStateMachine):
    """Whatever happens to the models folder, a whole and unrefused bundle is chosen."""

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.models, self.factory = Path(self.place.name) / "models", Path(self.place.name) / "factory"
        write_bundle(self.factory)
        self.release, self.newest = 0, ""
        self.restart()

    def teardown(self):
        self.place.cleanup()

    def restart(self):
        self.files, self.active = started(self.models, self.factory)

    def refused(self):
        return {refusal.digest for refusal in read_state(self.models).refused}

    @rule()
    def install(self):
        self.release += 1
        self.newest = install_bundle(self.models, release=self.release)

    @precondition(lambda self: self.newest not in self.refused() and self.files.installed(self.newest))
    @rule()
    def activate(self):
        self.active = self.files.activate(self.newest)

    @precondition(lambda self: self.newest not in ("", self.active.digest))
    @rule()
    def refuse(self):
        self.files.refuse(self.newest, "bad")

    @rule()
    def roll_back(self):
        bad, self.active = self.active, self.files.roll_back("bad")
        assert self.active.origin == "factory" or self.active.digest != bad.digest

    @rule()
    def strike(self):
        self.files.strike()

    @precondition(lambda self: self.active.origin == "installed")
    @rule()
    def spoil_and_restart(self):
        spoil(self.models, self.active.digest)
        self.restart()

    @rule()
    def lose_state_and_restart(self):
        (self.models / STATE_NAME).write_bytes(b"")
        self.restart()

    @rule()
    def restart_only(self):
        before = self.active.digest
        self.restart()
        assert (self.active.digest, self.active.trouble) == (before, "")

    @invariant()
    def what_runs_is_whole_and_not_refused(self):
        assert self.active.digest not in self.refused()
        found = self.files.find(self.active.digest)
        assert found is not None
        assert found.manifest.release == self.active.release


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
