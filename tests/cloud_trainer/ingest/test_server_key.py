import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from cloud_trainer.ingest.server_key import SECRET_FILE, SETTLED_S, ServerKeys, create_key, load_keys
from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.reading import US_PER_S, UtcUs

# 2026-02-02 02:40:00 UTC
NOW_US = UtcUs(1_770_000_000 * US_PER_S)
DAY_US = 86_400 * US_PER_S


def test_the_first_start_makes_what_is_missing_for_the_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "keys"
    made = ServerKeys.open(folder, NOW_US)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "20260202T024000Z.pem": 0o600,
        SECRET_FILE: 0o600,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    again = ServerKeys.open(folder, UtcUs(NOW_US + DAY_US))
    assert again.public == made.public
    assert again.nonce_secret == made.nonce_secret
    assert again.keys[0].made_us == NOW_US


def test_another_folder_has_another_key_and_another_secret(tmp_path: Path) -> None:
    one, other = (ServerKeys.open(tmp_path / name, NOW_US) for name in "ab")
    assert one.public != other.public
    assert one.nonce_secret != other.nonce_secret


def test_a_gateway_is_answered_with_the_newest_key_that_it_was_told(tmp_path: Path) -> None:
    ServerKeys.open(tmp_path, NOW_US)
    create_key(tmp_path, UtcUs(NOW_US + 10 * DAY_US))
    keys = ServerKeys.open(tmp_path, NOW_US)
    old, new = (key.signer.key_id for key in keys.keys)
    # told while some process of the ingest may not have had the new one yet: the old one is safe
    told_us = {NOW_US: old, NOW_US + 10 * DAY_US: old, NOW_US + 10 * DAY_US + SETTLED_S * US_PER_S: new}
    assert {at_us: keys.for_gateway(at_us).key_id for at_us in told_us} == told_us
    assert keys.for_gateway(None).key_id == old
    assert keys.newest.key_id == new
    assert [key.signer.public for key in reversed(keys.keys)] == keys.public


def test_once_the_old_key_is_gone_the_new_one_answers_all(tmp_path: Path) -> None:
    ServerKeys.open(tmp_path, NOW_US)
    create_key(tmp_path, UtcUs(NOW_US + DAY_US))
    (tmp_path / "20260202T024000Z.pem").unlink()
    keys = ServerKeys.open(tmp_path, NOW_US)
    assert {keys.for_gateway(at_us).key_id for at_us in (None, NOW_US, NOW_US + 9 * DAY_US)} == {keys.newest.key_id}


def test_no_more_keys_are_made_than_a_gateway_can_be_told(tmp_path: Path) -> None:
    for day in range(4):
        create_key(tmp_path, UtcUs(NOW_US + day * DAY_US))
    with pytest.raises(ConflictError, match="holds 4 keys already"):
        create_key(tmp_path, UtcUs(NOW_US + 4 * DAY_US))
    assert [key.made_us for key in load_keys(tmp_path)] == [NOW_US + day * DAY_US for day in range(4)]


def test_two_keys_in_one_second_are_a_conflict(tmp_path: Path) -> None:
    create_key(tmp_path, NOW_US)
    with pytest.raises(ConflictError, match="wait a second"):
        create_key(tmp_path, UtcUs(NOW_US + 999_999))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["20260202T024000Z.pem", SECRET_FILE, "."])
def test_what_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    ServerKeys.open(tmp_path, NOW_US)
    path = tmp_path / name
    path.chmod(path.stat().st_mode | 0o044)
    with pytest.raises(SettingError, match="may be read by others"):
        ServerKeys.open(tmp_path, NOW_US)


def pem(key: object, how: object = NoEncryption()) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("20260202T024000Z.pem", b"", "is not an open private key"),
        ("20260202T024000Z.pem", pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")), "is not an open"),
        ("20260202T024000Z.pem", pem(generate_private_key(SECP256R1())), "is not an Ed25519 key"),
        ("20269902T024000Z.pem", pem(Ed25519PrivateKey.generate()), "is not an open private key"),
        (SECRET_FILE, b"short", "does not hold 32 bytes"),
    ],
    ids=["empty", "with a password", "of another kind", "of no day", "secret cut short"],
)
def test_a_file_that_is_something_else_is_told_in_one_sentence(
    tmp_path: Path, name: str, data: bytes, problem: str
) -> None:
    ServerKeys.open(tmp_path, NOW_US)
    (tmp_path / name).write_bytes(data)
    (tmp_path / name).chmod(0o600)
    with pytest.raises(SettingError, match=problem):
        ServerKeys.open(tmp_path, NOW_US)


def test_a_folder_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for use in (lambda path: ServerKeys.open(path, NOW_US), load_keys):
        with pytest.raises(SettingError, match=r"--keys = .* cannot be used \(Not a directory\)"):
            use(tmp_path / "file" / "keys")


def test_a_draft_of_a_start_that_was_killed_is_no_key(tmp_path: Path) -> None:
    (tmp_path / f".20260202T024000Z.pem.{os.getpid()}").write_bytes(b"half a")
    assert len(ServerKeys.open(tmp_path, NOW_US).keys) == 1
