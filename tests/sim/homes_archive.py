"""The recorded homes come in one archive: its files, unpacked. Python before 3.11.4 has no filter for that."""

import tarfile
from pathlib import Path


def unpack_homes(recordings: Path, folder: Path) -> Path:
    """The recordings of the homes, from the archive in the folder `recordings`, in a new folder below `folder`."""
    homes = folder / "homes"
    homes.mkdir()
    with tarfile.open(recordings / "city_homes_hourly.tar.gz") as archive:
        for member in archive:
            if member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                (homes / Path(member.name).name).write_bytes(file.read())
    return homes
