"""A pseudo-terminal that stands for a serial adapter: what a master opens, and our end of it. A shell.

The kernel keeps the speed and stop bits that the master sets, and we read them here; it cannot keep
a parity. Which parity a master asked for is told by `hil/parity_notes.c`, in a file named after the
terminal: one letter of N, E, O.
"""

import asyncio
import os
import re
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.line_settings import Parity
from firmware_bridge.simulator.uart import Framing

# More than the longest frame with a few stray ones; what a master writes beyond it waits in the kernel.
_READ_BYTES_MAX = 1024
_NOTE_BYTES_MAX = 1

# Places in what termios gives.
_FLAGS, _IN_SPEED, _OUT_SPEED = 2, 4, 5
_BAUDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B\d+", name)}
_CODES = {baud: code for code, baud in _BAUDS.items()}
_PARITIES: dict[bytes, Parity] = {b"N": "N", b"E": "E", b"O": "O"}


class Terminal:
    """An open pseudo-terminal with names of ours, symbolic links."""

    def __init__(self, links: Sequence[Path], notes: Path | None, framing: Framing) -> None:
        """Make one that has the names `links`; `framing` is what it starts with.

        Raises:
            SettingError: a link cannot be made, or something that is no link lies there.
        """
        self._links, self._framing = links, framing
        # Both ends stay open: without a master our end would otherwise fail every read.
        self._ours, self._masters = os.openpty()
        self.path = Path(os.ttyname(self._masters))
        self._note = None if notes is None else notes / self.path.name
        try:
            self._set_up()
            for link in links:
                self._make(link)
        except OSError as error:
            self.close()
            raise SettingError(
                "line.link",
                ", ".join(map(str, links)),
                f"cannot be made ({error.strerror})",
                "name a folder that can be written",
            ) from error
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        """Bytes as they are, at our speed, from before the first master opens it."""
        tty.setraw(self._masters)
        settings = termios.tcgetattr(self._masters)
        settings[_IN_SPEED] = settings[_OUT_SPEED] = _CODES.get(self._framing.baud, termios.B9600)
        if self._framing.stop_bits == 2:
            settings[_FLAGS] |= termios.CSTOPB
        termios.tcsetattr(self._masters, termios.TCSANOW, settings)
        os.set_blocking(self._ours, False)
        if self._note is not None:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.unlink(missing_ok=True)  # of an earlier terminal of that name

    def _make(self, link: Path) -> None:
        if link.exists() and not link.is_symlink():
            raise SettingError("line.link", str(link), "is there and is no link", "name another, or remove it")
        link.parent.mkdir(parents=True, exist_ok=True)
        draft = link.with_name(f"{link.name}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(self.path)
        draft.replace(link)

    @property
    def framing(self) -> Framing:
        """How the master has set the terminal; what it left open is as the terminal started."""
        settings = termios.tcgetattr(self._ours)  # the kernel answers with those of the master's end
        baud = _BAUDS.get(settings[_OUT_SPEED]) or self._framing.baud
        return Framing(baud, self._parity_asked(), 2 if settings[_FLAGS] & termios.CSTOPB else 1)

    def _parity_asked(self) -> Parity:
        if self._note is None:
            return self._framing.parity
        try:
            with self._note.open("rb") as file:
                return _PARITIES.get(file.read(_NOTE_BYTES_MAX), self._framing.parity)
        except FileNotFoundError:  # this master noted nothing
            return self._framing.parity

    def on_bytes(self, take: Callable[[bytes], None]) -> None:
        """Hand every piece that the master writes to `take`, as soon as it is there."""
        asyncio.get_running_loop().add_reader(self._ours, lambda: self._read(take))

    def _read(self, take: Callable[[bytes], None]) -> None:
        with suppress(BlockingIOError):
            take(os.read(self._ours, _READ_BYTES_MAX))

    def write(self, data: bytes) -> int:
        """Hand `data` to the master; how many bytes found no room."""
        try:
            return len(data) - os.write(self._ours, data)
        except BlockingIOError:
            return len(data)

    def close(self) -> None:
        """Pull the cable: the master finds its terminal dead and its names gone."""
        with suppress(ValueError, RuntimeError):  # nobody listened, or no loop runs any more
            asyncio.get_running_loop().remove_reader(self._ours)
        for link in self._links:
            with suppress(OSError):
                if link.readlink() == self.path:
                    link.unlink()
        for descriptor in (self._ours, self._masters):
            os.close(descriptor)
