import pytest

from gateway.contract.manifest import FILE_BYTES_MAX, MANIFEST_NAME, ManifestError, bundle_digest
from gateway.shell.verified_bundle import BundleMissingError, read_bundle
from tests.sim.starter_bundle import MODEL_FILE, STARTER, copy_starter


def test_the_starter_bundle_is_whole():
    bundle = read_bundle(STARTER)
    assert bundle.digest == bundle_digest((STARTER / MANIFEST_NAME).read_bytes())
    assert bundle.files[MODEL_FILE] == (STARTER / MODEL_FILE).read_bytes()
    assert set(bundle.files) == set(bundle.manifest.files)


def test_no_bundle_is_told_from_a_bad_one(tmp_path):
    with pytest.raises(BundleMissingError, match="no readable manifest"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("name", sorted(read_bundle(STARTER).files))
@pytest.mark.parametrize("damage", ["missing", "a folder", "longer", "shorter", "one bit"])
def test_a_damaged_file_is_refused_by_name(tmp_path, name, damage):
    path = copy_starter(tmp_path) / name
    data = bytearray(path.read_bytes())
    path.unlink()
    match damage:
        case "a folder":
            path.mkdir()
        case "longer":
            path.write_bytes(data + b" ")
        case "shorter":
            path.write_bytes(data[:-1])
        case "one bit":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    with pytest.raises(ManifestError, match=name):
        read_bundle(path.parent)


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    bundle = copy_starter(tmp_path)
    with (bundle / MODEL_FILE).open("ab") as file:
        file.truncate(1000 * FILE_BYTES_MAX)
    with pytest.raises(ManifestError, match=MODEL_FILE):
        read_bundle(bundle)
