"""One Modbus TCP line. A shell, and the only place where pymodbus lives.

pymodbus is bent to four rules of ours: one try per request, our own deadline, nothing left behind
(no reconnecting task, no socket), and bytes that cannot become the answer end the request at once,
where pymodbus would wait out its time-out or raise into the event loop.
"""

import asyncio
import logging
import struct

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import (
    BadReplyError,
    BusError,
    ExceptionReplyError,
    LineError,
    NoReplyError,
    SettingError,
)

# pymodbus logs what it also raises, with a dump of frames; an error is told once, by us.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

# Its own time-out must never end a request before ours does.
_PYMODBUS_TIMEOUT_S = 3600.0

# Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3: transaction, protocol (always 0),
# length of what follows, unit; then the function.
_HEAD = struct.Struct(">HHHBB")
_BYTES_BEFORE_LENGTH_COUNTS = 6
# Unit, function and one byte at least; unit and a PDU of 253 bytes at most.
_LENGTH_MIN, _LENGTH_MAX = 3, 254

# Modbus Application Protocol V1.1b3, 7.
_EXCEPTIONS = {
    0x01: "illegal function",
    0x02: "illegal address",
    0x03: "illegal value",
    0x04: "device failure",
    0x06: "device busy",
    0x08: "memory parity error",
    0x0A: "gateway path unavailable",
    0x0B: "gateway target silent",
}
# With these a TCP gateway says that it cannot reach the meter behind it: to us the meter is silent.
_GATEWAY_CODES = {0x0A, 0x0B}


class ModbusTcpLine:
    """A connection to a Modbus TCP meter, or to a gateway with meters behind it.

    Opened by the first read, and anew after any read that was not answered, so that a late reply
    has nowhere to arrive. One read at a time. Deadlines are real seconds, whatever the clock.
    """

    def __init__(self, bus: BusConfig) -> None:
        """Nothing is opened yet.

        Raises:
            SettingError: host or port cannot be one.
        """
        host, _, port = bus.url.removeprefix("tcp://").rpartition(":")
        if not 1 <= int(port) <= 0xFFFF or not _is_host(host):
            raise SettingError(f"bus.{bus.name}.url", repr(bus.url), "is no address", "write tcp://host:port")
        self._bus, self._host, self._port = bus, host, int(port)
        self._client: AsyncModbusTcpClient | None = None
        # Of the read under way: its bytes, its deadline, and what ended it early.
        self._request = b""
        self._deadline: asyncio.Timeout | None = None
        self._trouble: BusError | None = None

    async def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """The `count` registers from `address` of the meter `unit`; function 3 or 4.

        Raises:
            LineError: no connection, or it broke: nobody on this line can be asked now.
            NoReplyError: silence for the time-out of the bus, or a gateway that reports it.
            ExceptionReplyError: the meter refuses this block; others may work.
            BadReplyError: what came does not answer the request.
        """
        asked = f"bus={self._bus.name} unit={unit} function={function} address=0x{address:04X} count={count}"
        client = await self._open()
        ask = client.read_input_registers if function == 4 else client.read_holding_registers
        is_answered = False
        try:
            async with asyncio.timeout(self._bus.timeout_s) as self._deadline:
                reply = await ask(address, count=count, device_id=unit)
            is_answered = True
        except TimeoutError:
            trouble = self._trouble or NoReplyError(f"no reply: waited_s={self._bus.timeout_s:g}")
            raise type(trouble)(f"{trouble} {asked}") from None
        except ModbusException as error:
            raise LineError(f"line failed: reason={error} {asked}") from error
        finally:
            self._deadline = None
            if not is_answered:
                self.close()
        if reply.isError():
            raise _refusal(reply.exception_code, asked)
        return list(reply.registers)

    def close(self) -> None:
        """Drop the connection, if there is one; the next read opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _open(self) -> AsyncModbusTcpClient:
        assert self._deadline is None, "one read at a time"
        self._trouble = None
        if self._client is not None and self._client.connected:
            return self._client
        self._client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=_PYMODBUS_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,  # else a task of pymodbus reconnects behind our back, for ever
            trace_packet=self._on_packet,
            trace_connect=self._on_connect,
        )
        is_open = False
        try:
            async with asyncio.timeout(self._bus.timeout_s):
                is_open = await self._client.connect()
        except TimeoutError:
            pass  # told below, like a refused connection: pymodbus keeps the reason to itself
        finally:
            client = self._client
            if not is_open:
                self.close()
        if not is_open:
            raise LineError(f"no connection: bus={self._bus.name} url={self._bus.url}")
        return client

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:  # noqa: FBT001  pymodbus calls it so
        """Hook of pymodbus: sees the request that leaves and all bytes received since."""
        if is_sending:
            self._request = data
            return data
        if self._deadline is None:
            return b""  # nobody asked
        if fault := fault_in_reply(self._request, data):
            self._end_read(BadReplyError(f"bad reply: {fault}"))
            return b""
        return data

    def _on_connect(self, is_connected: bool) -> None:  # noqa: FBT001
        """Hook of pymodbus."""
        if not is_connected:
            self._end_read(LineError("connection lost:"))

    def _end_read(self, trouble: BusError) -> None:
        if self._deadline is not None and self._trouble is None and not self._deadline.expired():
            self._trouble = trouble
            self._deadline.reschedule(0)  # long ago: the read ends in this turn of the loop


def fault_in_reply(request: bytes, received: bytes) -> str | None:
    """What keeps the bytes received so far from becoming the answer; None while they still may.

    Answers to other transactions are passed over; pymodbus drops them too. Transaction 0 counts as
    ours, because some meters never fill it in and a connection never outlives a lost answer.
    """
    asked_transaction, _, _, asked_unit, asked_function = _HEAD.unpack_from(request)
    at = 0
    while len(received) - at >= _HEAD.size:
        transaction, protocol, length, unit, function = _HEAD.unpack_from(received, at)
        if protocol:
            return f"protocol {protocol}"
        if not _LENGTH_MIN <= length <= _LENGTH_MAX:
            return f"length {length}"
        if transaction in {asked_transaction, 0}:
            if unit != asked_unit:
                return f"unit {unit}"
            if function == asked_function | 0x80:
                return None if length == _LENGTH_MIN else f"length {length} of an exception"
            if function != asked_function:
                return f"function {function}"
            return _fault_in_registers(request, length, received[at + _HEAD.size :])
        at += _BYTES_BEFORE_LENGTH_COUNTS + length
    return None


def _fault_in_registers(request: bytes, length: int, rest: bytes) -> str | None:
    """`rest` begins with the count of bytes, which stands beside the length of the frame."""
    asked_bytes = 2 * int.from_bytes(request[10:12], "big")
    if length != _LENGTH_MIN + asked_bytes:
        return f"length {length} for {asked_bytes} bytes of registers"
    if rest and rest[0] != asked_bytes:
        return f"byte count {rest[0]} for {asked_bytes}"
    return None


def _refusal(code: int, asked: str) -> BusError:
    kind = NoReplyError if code in _GATEWAY_CODES else ExceptionReplyError
    return kind(f"exception {code} ({_EXCEPTIONS.get(code, 'unknown')}): {asked}")


def _is_host(host: str) -> bool:
    """Whether a resolver will take it; it raises strange errors for what it will not."""
    try:
        return host.isprintable() and bool(host.encode("idna"))
    except UnicodeError:
        return False
