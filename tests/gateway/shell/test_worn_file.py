import os
from pathlib import Path

import pytest

from gateway.shell.worn_file import SECTOR_BYTES, WornFile


def test_a_file_that_can_be_read_is_given_as_it_is(tmp_path: Path):
    data = os.urandom(3 * SECTOR_BYTES + 7)
    (tmp_path / "file").write_bytes(data)
    file = WornFile.open(tmp_path / "file")
    assert len(file) == len(data)
    for begin, end in ((0, len(data)), (1, 2), (500, 520), (9, 9), (len(data) - 3, len(data) + 50), (9999, 10_000)):
        assert file[begin:end] == data[begin:end]
    file.close()


def test_what_cannot_be_read_is_zeros():
    """The memory of this process as a file: at its first addresses the kernel says what it says of a bad sector."""
    descriptor = os.open("/proc/self/mem", os.O_RDONLY)
    with pytest.raises(OSError, match="Input/output error"):
        os.pread(descriptor, 100, 0)
    file = WornFile(descriptor, 2 * SECTOR_BYTES)
    assert file[100:700] == bytes(600)
    assert file[0:4096] == bytes(2 * SECTOR_BYTES)
    file.close()


def test_a_file_that_became_shorter_ends_in_zeros(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    file = WornFile.open(path)
    os.truncate(path, 10)
    assert file[0:1000] == b"x" * 10 + bytes(990)
    file.close()


def test_other_trouble_is_told(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        WornFile.open(tmp_path / "nothing")
    file = WornFile.open(tmp_path)
    with pytest.raises(IsADirectoryError):
        file[0:10]
    file.close()
