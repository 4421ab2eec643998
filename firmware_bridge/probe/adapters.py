"""The serial adapters of this machine, by names that stay. A shell: it looks into folders.

/dev/ttyUSB0 is another adapter after the next thunderstorm; the links in /dev/serial/by-id name the
adapter itself, those in by-path the socket it is plugged into.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from firmware_bridge.serial_port import LINK_FOLDERS, lasting_name, list_links

DEVICES = Path("/dev")
# USB adapters, and the serial ports on the header of single-board computers.
_PATTERNS = ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttySC*")


class Adapter(NamedTuple):
    """One serial port."""

    # the name to use
    path: str
    # what it is called at the moment
    device: str

    @property
    def is_lasting(self) -> bool:
        """Whether the name will mean the same adapter tomorrow."""
        return self.path != self.device


def adapters(devices: Path = DEVICES, link_folders: Sequence[Path] = LINK_FOLDERS) -> list[Adapter]:
    """All serial ports there are, each once, by its most lasting name."""
    links = list_links(link_folders)
    bare = [str(device) for pattern in _PATTERNS for device in devices.glob(pattern)]
    there = sorted({*bare, *(target for _, target in links)})
    return [Adapter(lasting_name(device, links) or device, device) for device in there]


def best_name(path: str, link_folders: Sequence[Path] = LINK_FOLDERS) -> str:
    """The most lasting name of the port at `path`; `path` itself when there is no better."""
    return lasting_name(os.path.realpath(path), list_links(link_folders)) or path
