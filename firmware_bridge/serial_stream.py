"""Bytes of a device that sends by itself, over a serial port or a TCP adapter. A shell.

Beside the connections of pymodbus the one place where pyserial lives: pymodbus asks and waits, and has
nothing for devices that only talk. Nothing is ever written to the line.
"""

import asyncio
import os
import socket
import termios
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import serial

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import LineError, SettingError
from firmware_bridge.modbus_client import host_and_port
from firmware_bridge.serial_port import LINK_FOLDERS, SerialPort, port_trouble

# Five seconds of a line at 115200 baud: what nobody took for so long is old.
HELD_BYTES_MAX = 64 * 1024
_READ_BYTES = 4096

# An adapter that lost its power says nothing: it is asked after 30 s of silence, and lost after 30 more.
_KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class SerialStream:
    """One line; opened by `open`, and again by `open` after it broke."""

    def __init__(self, bus: BusConfig, link_folders: Sequence[Path] = LINK_FOLDERS) -> None:
        """Nothing is opened yet.

        Raises:
            SettingError: the address cannot be one of such a line.
        """
        scheme, _, place = bus.url.partition("://")
        if scheme == "rtu+tcp":
            problem, next_step = "is for Modbus, which nobody speaks here", f"write tcp://{place}"
            raise SettingError(f"bus.{bus.name}.url", repr(bus.url), problem, next_step)
        self._bus = bus
        self._port = SerialPort(place, link_folders) if scheme == "serial" else None
        if self._port is None:
            host_and_port(bus)
        # Of the connection, if there is one; of the last one, if there was one.
        self._close: Callable[[], None] | None = None
        self._inbox = _Inbox()
        # bytes that nobody took in time
        self.dropped_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether bytes may still come."""
        return self._close is not None and self._inbox.trouble is None

    async def open(self) -> None:
        """Open the line, anew if it is open; what was not taken before is forgotten.

        Raises:
            LineError: it cannot be opened now.
        """
        self.close()
        self._inbox = _Inbox()
        try:
            if self._port is None:
                self._close = await self._connect(self._inbox)
            else:
                self._close = self._open_port(self._port, self._inbox)
        except (OSError, ValueError, termios.error) as error:
            trouble = error if isinstance(error, OSError) else OSError(*error.args)
            reason = "no answer" if isinstance(error, TimeoutError) else port_trouble(trouble)
            raise LineError(f"no connection: bus={self._bus.name} url={self._bus.url} reason={reason}") from error

    def take(self) -> bytes:
        """Everything received since the last call; of more than HELD_BYTES_MAX the newest.

        Raises:
            LineError: the line is not open, or broke, and all that came before was taken.
        """
        data, dropped = self._inbox.take()
        self.dropped_bytes += dropped
        if not data and not self.is_open:
            self.close()
            raise LineError(f"line lost: bus={self._bus.name} reason={self._inbox.trouble or 'not open'}")
        return data

    def close(self) -> None:
        """Give the line up, if it is open."""
        if self._close is not None:
            self._close()
            self._close = None

    async def _connect(self, inbox: "_Inbox") -> Callable[[], None]:
        host, port = host_and_port(self._bus)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._bus.timeout_s):
            transport, _ = await loop.create_connection(lambda: inbox, host, port)
        with ExitStack() as on_failure:
            on_failure.callback(transport.abort)
            for option in _KEEP_ALIVE:
                transport.get_extra_info("socket").setsockopt(*option)
            on_failure.pop_all()
        return transport.abort

    def _open_port(self, place: SerialPort, inbox: "_Inbox") -> Callable[[], None]:
        bus = self._bus
        port = serial.Serial(
            place.find(),
            baudrate=bus.baud,
            bytesize=bus.data_bits,
            parity=bus.parity,
            stopbits=bus.stop_bits,
            timeout=0,
            exclusive=True,
        )
        loop = asyncio.get_running_loop()

        def close() -> None:
            if port.is_open:
                loop.remove_reader(port.fileno())
                port.close()

        def read() -> None:
            if not _read(port.fileno(), inbox):
                close()

        with ExitStack() as on_failure:
            on_failure.callback(close)
            if bus.parity != "N":
                _heed_parity(port.fileno())
            loop.add_reader(port.fileno(), read)
            place.remember()
            on_failure.pop_all()
        return close


class _Inbox(asyncio.Protocol):
    """What came over one connection, and how that ended. A new one for each, so that an old one cannot disturb it."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._held = bytearray()
        self._dropped = 0

    def take(self) -> tuple[bytes, int]:
        """What is held, and how many bytes before it were dropped."""
        taken = bytes(self._held), self._dropped
        self._held.clear()
        self._dropped = 0
        return taken

    def data_received(self, data: bytes) -> None:
        self._held += data
        excess = max(0, len(self._held) - HELD_BYTES_MAX)
        del self._held[:excess]
        self._dropped += excess

    def connection_lost(self, error: Exception | None) -> None:
        self.trouble = str(error) if error else "closed by the other side"


def _read(descriptor: int, inbox: _Inbox) -> bool:
    """Move what has come into `inbox`; False when the port is gone."""
    try:
        data = os.read(descriptor, _READ_BYTES)
    except BlockingIOError:
        return True
    except OSError as error:
        inbox.connection_lost(error)
        return False
    if not data:  # ready, and nothing there: how an adapter looks that was pulled out
        inbox.connection_lost(OSError("unplugged"))
        return False
    inbox.data_received(data)
    return True


def _heed_parity(descriptor: int) -> None:
    """Have a character with wrong parity read as 0, which no frame contains: pyserial leaves them unchecked.

    A pseudo-terminal has no parity, and refuses.
    """
    with suppress(termios.error):
        attributes = termios.tcgetattr(descriptor)
        attributes[0] |= termios.INPCK
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
