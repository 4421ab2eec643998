"""What the gateway tells systemd: ready, alive, stopping. Nothing where systemd did not start it.

The protocol is one datagram of `KEY=value` to the socket named in NOTIFY_SOCKET (sd_notify(3)).
"""

import logging
import os
import socket

log = logging.getLogger(__name__)


class Notifier:
    """The line to systemd, held open because the watchdog hears of every tick."""

    def __init__(self, address: str | None = None) -> None:
        """Talk to the socket at `address`, by default the one systemd named; to nobody if there is none."""
        address = address or os.environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the null byte of an abstract socket, which an environment cannot hold.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_UNIX, kind)
        self._was_heard = True

    def ready(self) -> None:
        """The meters are being read."""
        self._tell(b"READY=1")

    def alive(self) -> None:
        """The tick still turns; silence for WatchdogSec means a restart."""
        self._tell(b"WATCHDOG=1")

    def stopping(self) -> None:
        """The way down has begun."""
        self._tell(b"STOPPING=1")

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _tell(self, state: bytes) -> None:
        if not self._address:
            return
        try:
            self._socket.sendto(state, self._address)
            self._was_heard = True
        except OSError as error:
            # systemd decides what a lost word means; the gateway goes on reading meters.
            if self._was_heard:
                log.warning("systemd does not hear us: state=%s error=%s", state.decode(), error)
            self._was_heard = False
