"""What the gateway tells systemd: ready, alive, stopping. Nothing where systemd did not start it.

The protocol is one datagram of `KEY=value` to the socket named in NOTIFY_SOCKET (sd_notify(3)).
"""

import logging
import os
import socket

from firmware_bridge.reading import US_PER_S

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

    def ready(self, tick_period_s: float = 0.0) -> None:
        """The meters are being read.

        With ticks rarer than systemd's patience allows (WatchdogSec in the unit, WATCHDOG_USEC in
        the environment), it is asked to wait for two ticks beyond it.
        """
        patience_us = int(os.environ.get("WATCHDOG_USEC", "0"))
        two_ticks_us = round(2 * tick_period_s * US_PER_S)
        wish = f"\nWATCHDOG_USEC={patience_us + two_ticks_us}" if 0 < patience_us < two_ticks_us else ""
        self._tell(f"READY=1{wish}".encode())

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
