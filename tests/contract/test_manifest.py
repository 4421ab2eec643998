import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gateway
from gateway.contract.manifest import (
    FILE_BYTES_MAX,
    FILES_MAX,
    MANIFEST_BYTES_MAX,
    MANIFEST_NAME,
    FileEntry,
    ManifestError,
    bundle_digest,
    check_file,
    decode_golden,
    decode_manifest,
    encode_manifest,
)

GOOD = (Path(gateway.__file__).parent / "factory" / MANIFEST_NAME).read_bytes()
ENTRY = {"sha256": "0" * 64, "size": 1}


def changed(path, value):
    """The good manifest with the value at `path` replaced, or removed when it is None."""
    tree = json.loads(GOOD)
    *parents, last = path
    node = tree
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return json.dumps(tree).encode()


def test_a_manifest_survives_decoding_and_encoding_byte_for_byte():
    assert encode_manifest(decode_manifest(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("schema",), 2, "schema"),
        (("release",), -1, "release"),
        (("release",), "1", "release"),
        (("release",), None, "release"),
        (("input_digest",), "0" * 64, "made for inputs 000000000000"),
        (("input_digest",), "xyz", "input_digest"),
        (("surprise",), 1, "surprise"),
        (("models",), [], "models"),
        (("golden",), [], "golden"),
        (("golden", 0, "tolerance"), 0, "tolerance"),
        (("golden", 0, "tolerance"), 1.0, "tolerance"),
        (("golden", 0, "file"), "other.json", "other.json"),
        (("models", 0, "file"), "other.tflite", "other.tflite"),
        (("models", 0, "kind"), "weather", "kind"),
        (("models", 0, "input", "shape"), [1, 96, 25], "[1, 96, 25]"),
        (("models", 0, "output", "shape"), [1, 96], "[1, 96]"),
        (("models", 0, "input", "dtype"), "int8", "dtype"),
        (("files", "../evil.json"), ENTRY, "files"),
        (("files", "/etc/passwd.json"), ENTRY, "files"),
        (("files", "manifest.json\n"), ENTRY, "files"),
        (("files", "program.sh"), ENTRY, "files"),
        (("files", "golden.json", "size"), FILE_BYTES_MAX + 1, "size"),
        (("files", "golden.json", "size"), 0, "size"),
        (("files", "golden.json", "sha256"), "A" * 64, "sha256"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_refused_and_the_field_named(path, value, said):
    with pytest.raises(ManifestError, match=r"(?s).") as refusal:
        decode_manifest(changed(path, value))
    assert said in str(refusal.value)


def test_too_many_files_are_refused():
    tree = json.loads(GOOD)
    tree["files"] |= {f"file_{number}.json": ENTRY for number in range(FILES_MAX)}
    with pytest.raises(ManifestError, match=f"more than {FILES_MAX}"):
        decode_manifest(json.dumps(tree).encode())


def test_too_large_a_manifest_is_refused_unread():
    with pytest.raises(ManifestError, match="more than"):
        decode_manifest(b" " * (MANIFEST_BYTES_MAX + 1))


@pytest.mark.parametrize("end", range(0, len(GOOD) - 1, 97))
def test_a_truncated_manifest_is_refused(end):
    with pytest.raises(ManifestError):
        decode_manifest(GOOD[:end])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_is_refused_or_names_another_bundle(position, flip):
    data = bytearray(GOOD)
    data[position] ^= flip
    assert bundle_digest(bytes(data)) != bundle_digest(GOOD)
    with suppress(ManifestError):
        decode_manifest(bytes(data))


@given(st.binary(max_size=300) | st.sampled_from([b"[" * 10_000, b'{"models":' + b"[" * 10_000, b'{"x":' * 5_000]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_manifest_or_a_manifest_error(data):
    for decode in (decode_manifest, decode_golden):
        with suppress(ManifestError):
            decode(data)


@pytest.mark.parametrize("data", [b"[]", b"", b"{}", b'[{"input":[1]}]', b'[{"input":[1],"output":["x"]}]', b"[NaN]"])
def test_golden_vectors_that_are_none_are_refused(data):
    with pytest.raises(ManifestError):
        decode_golden(data)


@pytest.mark.parametrize(("data", "said"), [(b"ab", "2 bytes"), (b"abcd", "4 bytes"), (b"abx", "SHA-256")])
def test_a_file_that_is_not_the_one_meant_is_refused_by_name(data, said):
    entry = FileEntry("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3)
    check_file("a.json", b"abc", entry)
    with pytest.raises(ManifestError, match=f"a.json.*{said}"):
        check_file("a.json", data, entry)
