import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from firmware_bridge.errors import SettingError
from gateway.shell.key_file import FILE_BYTES_MAX, load_key, load_or_make_key, read_own_file


def test_a_key_is_made_once_and_is_the_same_from_then_on(tmp_path):
    path = tmp_path / "identity.key"
    assert load_key(path) is None
    made = load_or_make_key(path)
    assert load_or_make_key(path).key_id == made.key_id
    again = load_key(path)
    assert again is not None
    assert again.sign(b"data") == made.sign(b"data")


def test_nobody_else_may_read_a_key_that_is_made(tmp_path):
    before = os.umask(0)
    try:
        load_or_make_key(tmp_path / "identity.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["identity.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "identity.key"
    load_or_make_key(path)
    path.chmod(mode)
    for use in (load_key, load_or_make_key):
        with pytest.raises(SettingError, match=f"may be read by others .mode {mode:04o}.; chmod 600"):
            use(path)


def pem(private, encryption) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not an open private key"),
        (b"-----BEGIN PRIVATE KEY-----\nMC4C\n", "is not an open private key"),
        (bytes(FILE_BYTES_MAX + 1), "is larger than"),
        (pem(generate_private_key(SECP256R1()), NoEncryption()), "is not an Ed25519 key"),
        (pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")), "is not an open private key"),
    ],
)
def test_what_is_no_key_of_ours_is_never_written_over(tmp_path, data, problem):
    path = tmp_path / "identity.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(SettingError, match=problem):
        load_or_make_key(path)
    assert path.read_bytes() == data


def test_links_folders_and_pipes_are_neither_followed_nor_waited_for(tmp_path):
    load_or_make_key(tmp_path / "true.key")
    (tmp_path / "link").symlink_to("true.key")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (("link", "cannot be read"), ("folder", "is no plain file"), ("pipe", "is no plain file")):
        with pytest.raises(SettingError, match=problem):
            load_key(tmp_path / name)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"store.folder = .*cannot be written"):
        load_or_make_key(tmp_path / "nowhere" / "identity.key")


def test_what_is_no_secret_may_be_read_by_others(tmp_path):
    path = tmp_path / "identity.json"
    path.write_bytes(b"{}")
    path.chmod(0o644)
    assert read_own_file(path, is_secret=False) == b"{}"
