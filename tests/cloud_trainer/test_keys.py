import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cloud_trainer.keys import ROOT_KEYS, create_keys, ensure_channel_key, has_key, load_signer
from firmware_bridge.errors import ConflictError, SettingError


def test_every_key_is_for_its_owners_eyes_alone(tmp_path):
    folder = tmp_path / "a" / "keys"
    create_keys(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.stem for path in folder.iterdir()) == sorted(
        [*ROOT_KEYS, "targets", "snapshot", "timestamp", "channel-stable"]
    )


def test_each_key_is_another_and_signs(tmp_path):
    created = create_keys(tmp_path / "keys", ["stable", "canary"])
    assert len(set(created.values())) == len(created) == 8
    for name, identifier in created.items():
        signer = load_signer(tmp_path / "keys", name)
        assert signer.public_key.keyid == identifier
        assert signer.public_key.keytype == "ed25519"
        signer.public_key.verify_signature(signer.sign(b"data"), b"data")


def test_existing_keys_are_never_overwritten(tmp_path):
    folder = tmp_path / "keys"
    create_keys(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConflictError, match=r"holds root-1.pem already; give an empty folder"):
        create_keys(folder)
    (folder / "root-1.pem").unlink()
    with pytest.raises(SettingError, match=r"root-2.pem already"):
        create_keys(folder)
    assert {path.name for path in folder.iterdir()} == before.keys() - {"root-1.pem"}


def test_channel_gets_a_key_once_where_it_can_be_made_known(tmp_path):
    folder = tmp_path / "keys"
    create_keys(folder)
    ensure_channel_key(folder, "canary")
    made = load_signer(folder, "channel-canary").public_key.keyid
    ensure_channel_key(folder, "canary")
    assert load_signer(folder, "channel-canary").public_key.keyid == made
    (folder / "targets.pem").unlink()
    ensure_channel_key(folder, "beta")
    assert not has_key(folder, "channel-beta")


def test_no_key_is_added_where_others_may_look(tmp_path):
    folder = tmp_path / "keys"
    create_keys(folder)
    folder.chmod(0o755)
    with pytest.raises(SettingError, match="read by others"):
        ensure_channel_key(folder, "canary")


def test_folder_that_others_may_look_into_is_refused(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(SettingError, match="read by others"):
        create_keys(folder)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o750


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="cannot be used"):
        create_keys(tmp_path / "file" / "keys")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_key_that_others_may_touch_is_not_used(tmp_path, mode):
    create_keys(tmp_path / "keys")
    path = tmp_path / "keys" / "channel-stable.pem"
    path.chmod(mode)
    with pytest.raises(SettingError, match=f"mode {mode:04o}.*chmod 600") as caught:
        load_signer(tmp_path / "keys", "channel-stable")
    assert caught.value.value == str(path)


def test_missing_key_is_named(tmp_path):
    assert not has_key(tmp_path, "targets")
    with pytest.raises(SettingError, match=r"targets.pem: cannot be read .*smartwatts-trainer keys create"):
        load_signer(tmp_path, "targets")


def key_files():
    private = generate_private_key(SECP256R1())
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"empty": b"", "text": b"my secret", "public": public, "with a password": locked, "cut": locked[:80]}


@pytest.mark.parametrize("kind", key_files())
def test_file_that_is_no_open_private_key_is_refused_without_showing_it(tmp_path, kind):
    path = tmp_path / "targets.pem"
    path.write_bytes(key_files()[kind])
    path.chmod(0o600)
    with pytest.raises(SettingError, match="is not an open private key") as caught:
        load_signer(tmp_path, "targets")
    assert "secret" not in str(caught.value)


def test_key_of_another_kind_signs_as_well(tmp_path):
    """Key management services often have no Ed25519."""
    path = tmp_path / "targets.pem"
    private = generate_private_key(SECP256R1())
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    assert load_signer(tmp_path, "targets").public_key.keytype == "ecdsa"
