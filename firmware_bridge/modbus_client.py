"""Connections of pymodbus, opened so that nothing is left behind and the reason of a failure is told. A shell."""

import asyncio
import errno
import logging
import termios
from collections.abc import Callable
from typing import Any

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.transaction import TransactionManager
from pymodbus.transport.serialtransport import SerialTransport

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import SettingError
from firmware_bridge.serial_port import port_trouble

# pymodbus logs what it also raises, with a dump of frames; an error is told once, by us.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

# Its own time-out must never end a request before ours does.
_TIMEOUT_S = 3600.0
# It forgets what it received beyond its own limit; ours are in rtu.py and mbap.py.
_BUFFER_BYTES = 2**30

Client = AsyncModbusTcpClient | AsyncModbusSerialClient
# Called with whether bytes leave, and the bytes: gives those to go on with.
OnPacket = Callable[[bool, bytes], bytes]
# Called with whether the connection is there.
OnConnect = Callable[[bool], None]


class NoConnectionError(Exception):
    """A connection cannot be opened; the text says why, and what to do about it.

    `is_unfit`: only because the port cannot do this speed or parity.
    """

    def __init__(self, reason: str, *, is_unfit: bool = False) -> None:
        self.is_unfit = is_unfit
        super().__init__(reason)


async def open_client(bus: BusConfig, place: str, on_packet: OnPacket, on_connect: OnConnect) -> Client:
    """A connected client: `place` is a serial device, or host and port.

    Raises:
        NoConnectionError: the other end refuses, or does not answer, or the port cannot be opened.
    """
    client = _new_client(bus, place, on_packet, on_connect)
    reason, is_unfit = "no answer", False
    create = client.ctx.call_create

    async def create_and_tell() -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        nonlocal reason, is_unfit
        try:
            if isinstance(client, AsyncModbusSerialClient):
                return _open_port(client.ctx), client.ctx
            transport, protocol = await create()
        except OSError as error:
            reason, is_unfit = port_trouble(error), error.errno == errno.EINVAL
            raise
        return transport, protocol

    client.ctx.call_create = create_and_tell
    client.ctx.max_buffer_size = _BUFFER_BYTES
    is_open = False
    try:
        async with asyncio.timeout(bus.timeout_s):
            is_open = await client.connect()
    except TimeoutError:
        pass  # told below
    finally:
        if not is_open:
            client.close()
    if not is_open:
        raise NoConnectionError(reason, is_unfit=is_unfit)
    return client


def host_and_port(bus: BusConfig) -> tuple[str, int]:
    """The two in the address of a line on the network.

    Raises:
        SettingError: they cannot be ones.
    """
    scheme, _, place = bus.url.partition("://")
    host, _, port = place.rpartition(":")
    if not 1 <= int(port) <= 0xFFFF or not _is_host(host):
        raise SettingError(f"bus.{bus.name}.url", repr(bus.url), "is no address", f"write {scheme}://host:port")
    return host, int(port)


def _new_client(bus: BusConfig, place: str, on_packet: OnPacket, on_connect: OnConnect) -> Client:
    rules: dict[str, Any] = {
        "framer": FramerType.SOCKET if bus.url.startswith("tcp://") else FramerType.RTU,
        "timeout": _TIMEOUT_S,
        "retries": 0,
        "reconnect_delay": 0,  # else a task of pymodbus reconnects behind our back, for ever
        "trace_packet": on_packet,
        "trace_connect": on_connect,
    }
    if not bus.url.startswith("serial://"):
        host, port = host_and_port(bus)
        return AsyncModbusTcpClient(host, port=port, **rules)
    return AsyncModbusSerialClient(
        place, baudrate=bus.baud, bytesize=bus.data_bits, parity=bus.parity, stopbits=bus.stop_bits, **rules
    )


class _SerialTransport(SerialTransport):
    """Closes the port when opening fails half-way: pymodbus would keep it locked for this process."""

    def __init__(self, context: TransactionManager) -> None:
        to = context.comm_params
        try:
            super().__init__(
                context.loop, context, to.host, to.baudrate, to.bytesize, to.parity, to.stopbits, to.timeout_connect
            )
        except (OSError, ValueError, termios.error) as error:
            if port := getattr(self, "sync_serial", None):
                port.close()
            raise OSError(*error.args) from error


def _open_port(context: TransactionManager) -> SerialTransport:
    transport = _SerialTransport(context)
    transport.setup()
    return transport


def _is_host(host: str) -> bool:
    """Whether a resolver will take it; it raises strange errors for what it will not."""
    try:
        return host.isprintable() and bool(host.encode("idna"))
    except UnicodeError:
        return False
