import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import UtcUs
from gateway.contract.enrolment import Enrolled, Rotated, encode_bytes
from gateway.shell import durable
from gateway.shell.identity import (
    IDENTITY_NAME,
    INSTANCE,
    KEY_NAME,
    NEXT_KEY_NAME,
    IdentityFolder,
    decode_identity,
)
from tests.sim.cloud_server import key_name

URL = "https://companion.example.org"
NOW_US = UtcUs(1_780_000_000_000_000)
SERVER_KEYS = [encode_bytes(bytes([number]) * 32) for number in (1, 2)]
ENROLLED = Enrolled("gw-1", "shops", "ikeja", SERVER_KEYS, NOW_US)


@pytest.fixture
def folder(tmp_path) -> IdentityFolder:
    return IdentityFolder(tmp_path / "data", "gw-1")


@pytest.fixture
def enrolled(folder) -> IdentityFolder:
    """A folder with an identity."""
    with folder.locked():
        folder.enrolment_key(anew=False)
        folder.take_in(ENROLLED, URL, NOW_US, anew=False)
    return folder


def test_whose_it_is_is_known_once_it_is_enrolled(folder, request):
    assert folder.organisation is None
    assert request.getfixturevalue("enrolled").organisation == "shops"


def data(folder: IdentityFolder, name: str, tmp_path: Path) -> Path:
    return tmp_path / "data" / name


def signers(folder: IdentityFolder) -> list[str]:
    identity = folder.load()
    assert identity is not None
    return [signer.key_id for signer in identity.signers]


def rotate(folder: IdentityFolder) -> str:
    """Up to where both sides know the next key."""
    with folder.locked():
        following = folder.next_key()
        folder.confirm_next(Rotated(following.key_id, SERVER_KEYS))
    return following.key_id


# --- enrolment ------------------------------------------------------------------------------------------------


def test_a_gateway_that_is_not_enrolled_has_no_identity(folder):
    assert folder.load() is None
    assert folder.key_id is None
    with folder.locked():
        key = folder.enrolment_key(anew=False)
    assert folder.load() is None, "a key alone is none"
    assert folder.key_id == key.key_id


def test_what_the_cloud_answered_is_there_after_a_restart(enrolled, tmp_path):
    identity = IdentityFolder(tmp_path / "data", "gw-1").load()
    assert identity is not None
    assert (identity.file.organisation, identity.file.site, identity.file.url) == ("shops", "ikeja", URL)
    assert identity.server_keys == {key_name(bytes([number]) * 32): bytes([number]) * 32 for number in (1, 2)}
    assert signers(enrolled) == [enrolled.key_id]
    assert identity.next_key_id is None


def test_asked_again_it_is_the_same_key(folder):
    """The answer to the first request may have been lost: the code was used with this key."""
    with folder.locked():
        first = folder.enrolment_key(anew=False)
    with folder.locked():
        assert folder.enrolment_key(anew=False).key_id == first.key_id
        new = folder.enrolment_key(anew=True)
        assert new.key_id != first.key_id
        assert folder.enrolment_key(anew=True).key_id == new.key_id


def test_a_new_key_takes_the_place_of_the_old_one_only_when_the_cloud_took_it(enrolled, tmp_path):
    old = enrolled.key_id
    with enrolled.locked():
        enrolled.next_key()
        new = enrolled.enrolment_key(anew=True)
        assert signers(enrolled)[0] == old
        enrolled.take_in(ENROLLED, URL, NOW_US, anew=True)
    assert signers(enrolled) == [new.key_id]
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {KEY_NAME, IDENTITY_NAME, "identity.lock"}


def test_all_files_are_for_the_gateways_eyes_alone(enrolled, tmp_path):
    rotate(enrolled)
    folder = tmp_path / "data"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys((KEY_NAME, NEXT_KEY_NAME, IDENTITY_NAME, "identity.lock"), 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_start_of_the_program_has_one_number():
    assert len(bytes.fromhex(INSTANCE)) == 8


# --- what is wrong is told --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"gateway":"gw-1"', "\0", "[" * 5000])
def test_a_damaged_identity_is_told_with_the_way_out(enrolled, tmp_path, text):
    data(enrolled, IDENTITY_NAME, tmp_path).write_text(text)
    with pytest.raises(SettingError, match=r"identity.json: is damaged .*; enroll again with the same code"):
        enrolled.load()


def test_a_server_key_that_is_none_is_damage(enrolled, tmp_path):
    path = data(enrolled, IDENTITY_NAME, tmp_path)
    damaged = path.read_bytes().replace(SERVER_KEYS[0].encode(), b"A" * 42 + b"B")
    with pytest.raises(ValueError, match="base64url"):
        decode_identity(damaged)


def test_the_identity_of_another_gateway_is_refused(enrolled, tmp_path):
    """The card was copied, and the configuration was changed."""
    with pytest.raises(SettingError, match=r"site.gateway_id = 'gw-2': is not the name .*'gw-1'"):
        IdentityFolder(tmp_path / "data", "gw-2").load()


def test_a_key_that_is_missing_is_told(enrolled, tmp_path):
    data(enrolled, KEY_NAME, tmp_path).unlink()
    with pytest.raises(SettingError, match=r"identity.key: is missing; bring it back, or enroll with a new code"):
        enrolled.load()


def test_two_commands_do_not_change_an_identity_at_once(folder, tmp_path):
    with (
        folder.locked(),
        pytest.raises(ConflictError, match="is being changed by another command"),
        IdentityFolder(tmp_path / "data", "gw-1").locked(),
    ):
        pass
    with folder.locked():
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SettingError, match=r"store.folder = .*cannot be written"),
        IdentityFolder(tmp_path / "file" / "data", "gw-1").locked(),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write what its owner cannot read")
def test_root_does_not_leave_files_that_the_gateway_cannot_read(tmp_path):
    os.chown(tmp_path, 12345, 12345)
    with (
        pytest.raises(SettingError, match=r"belongs to another user; sudo -u '#12345' the same command"),
        IdentityFolder(tmp_path, "gw-1").locked(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


# --- rotation ---------------------------------------------------------------------------------------------------


def test_a_next_key_is_tried_last_until_the_cloud_knows_it_and_first_from_then_on(enrolled):
    old = enrolled.key_id
    with enrolled.locked():
        following = enrolled.next_key().key_id
    assert signers(enrolled) == [old, following]
    with enrolled.locked():
        assert enrolled.next_key().key_id == following, "asked again it is the same one"
        enrolled.confirm_next(Rotated(following, SERVER_KEYS[1:]))
    assert signers(enrolled) == [following, old]
    identity = enrolled.load()
    assert identity is not None
    assert list(identity.server_keys) == [key_name(bytes([2]) * 32)], "the cloud told its keys by now"


def test_the_first_use_makes_the_next_key_the_only_one(enrolled, tmp_path):
    old, following = enrolled.key_id, rotate(enrolled)
    enrolled.promote(old)
    assert signers(enrolled) == [following, old], "the old one was used: nothing has changed"
    enrolled.promote(following)
    assert signers(enrolled) == [following]
    assert not data(enrolled, NEXT_KEY_NAME, tmp_path).exists()
    enrolled.promote(following)
    assert signers(enrolled) == [following]


def test_a_key_that_is_used_before_both_sides_knew_is_settled_as_well(enrolled):
    """The answer to the rotation was lost, and the old key ended meanwhile."""
    with enrolled.locked():
        following = enrolled.next_key().key_id
    enrolled.promote(following)
    assert signers(enrolled) == [following]


def test_a_running_gateway_sees_that_a_command_changed_something(enrolled):
    stamps = [enrolled.stamp]
    following = rotate(enrolled)
    stamps.append(enrolled.stamp)
    enrolled.promote(following)
    stamps.append(enrolled.stamp)
    assert len(set(stamps)) == 3


class PowerCutError(OSError):
    """The machine is off from here on."""


class Claimed:
    """What the cloud knows: the keys it takes, and the one that used the claim."""

    def __init__(self, key: str) -> None:
        self.keys = {key}
        self.used_by = ""


def enrol_anew(folder: IdentityFolder, cloud: Claimed) -> None:
    with folder.locked():
        key = folder.enrolment_key(anew=True).key_id
        assert cloud.used_by in ("", key), "a claim is good for one key"
        cloud.used_by, cloud.keys = key, {key}
        folder.take_in(ENROLLED, URL, NOW_US, anew=True)


def rotate_and_use(folder: IdentityFolder, cloud: Claimed) -> None:
    with folder.locked():
        following = folder.next_key().key_id
        cloud.keys.add(following)
        folder.confirm_next(Rotated(following, SERVER_KEYS))
    cloud.keys = {following}
    folder.promote(following)


@pytest.mark.parametrize("command", [rotate_and_use, enrol_anew])
def test_a_power_cut_at_any_step_strands_nobody(command, tmp_path, monkeypatch):
    """Steps are all that touches the disk: after each the power goes, and then the same command comes again."""
    cuts, is_cut = 0, True
    while is_cut:
        folder = IdentityFolder(tmp_path / str(cuts), "gw-1")
        with folder.locked():
            folder.enrolment_key(anew=False)
            folder.take_in(ENROLLED, URL, NOW_US, anew=False)
        assert folder.key_id is not None
        cloud = Claimed(folder.key_id)
        with monkeypatch.context() as patch:
            is_cut = _is_cut_after(patch, cuts, partial(command, folder, cloud))
        if not cloud.keys & set(signers(folder)) or command is rotate_and_use:
            command(folder, cloud)
        assert cloud.keys & set(signers(folder))
        cuts += 1
    assert cuts > 8


def _is_cut_after(patch: pytest.MonkeyPatch, cuts: int, work: Callable[[], None]) -> bool:
    """Do `work` with the power off after so many steps; whether it took more than those."""
    done = 0

    def step(true):
        def cut(*args, **kwargs):
            nonlocal done
            if done == cuts:
                raise PowerCutError(5, "power cut")
            done += 1
            return true(*args, **kwargs)

        return cut

    for owner, name in ((durable, "sync_folder"), (Path, "replace"), (Path, "unlink"), (os, "fsync"), (os, "open")):
        patch.setattr(owner, name, step(getattr(owner, name)))
    try:
        work()
    except (SettingError, PowerCutError):
        return True
    return False
