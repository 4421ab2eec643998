"""Where a serial adapter is now: ttyUSB0 today may be ttyUSB1 after the next thunderstorm. A shell.

udev keeps links whose names do not change, by the adapter's serial number and by the socket it sits in.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

# The adapter itself is a better name than the socket it happens to sit in.
LINK_FOLDERS = (Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))

_TROUBLES = {
    errno.EAGAIN: "another program uses the port: stop it",
    errno.EBUSY: "another program uses the port: stop it",
    errno.ENOENT: "no such port: plug the adapter in",
    errno.ENODEV: "no such port: plug the adapter in",
    errno.EACCES: "no right to open the port: put the user into its group",
    errno.ECONNREFUSED: "nobody listens there: check the port number and the meter's settings",
    errno.EHOSTUNREACH: "no way to the host: check its address, and that it is on",
    errno.ENETUNREACH: "no way to the network: check this machine's own",
    errno.EINVAL: "the port cannot do this speed or parity",
}


class SerialPort:
    """One adapter: known by the name in the settings until it was opened once, by its lasting name from then on."""

    def __init__(self, path: str, link_folders: Sequence[Path] = LINK_FOLDERS) -> None:
        self._path, self._link_folders = path, link_folders
        self._lasting: str | None = None

    def find(self) -> str:
        """The device to open now.

        Raises:
            OSError: the adapter that was opened before is not plugged in, whoever has its old name.
        """
        if self._lasting is None:
            return self._path
        device = os.path.realpath(self._lasting)
        if not Path(device).exists():
            raise FileNotFoundError(errno.ENOENT, "adapter not plugged in", self._lasting)
        return device

    def remember(self) -> None:
        """It was opened: note the name that will last, if it has one."""
        if self._lasting is None:
            self._lasting = lasting_name(os.path.realpath(self._path), list_links(self._link_folders))


def lasting_name(device: str, links: Iterable[tuple[str, str]]) -> str | None:
    """The first of the links, given as name and target, that leads to `device`. Pure."""
    return next((name for name, target in links if target == device), None)


def list_links(folders: Iterable[Path]) -> list[tuple[str, str]]:
    """Name and device of every link in the folders, in their order; a folder may be missing."""
    links: list[tuple[str, str]] = []
    for folder in folders:
        try:
            names = sorted(folder.iterdir())
        except OSError:
            continue  # no udev, or no adapter has ever been plugged in
        links += [(str(name), os.path.realpath(name)) for name in names]
    return links


def port_trouble(error: OSError) -> str:
    """Why something cannot be opened, and what to do. Pure."""
    return _TROUBLES.get(error.errno or 0) or error.strerror or str(error)
