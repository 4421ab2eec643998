"""One line with Modbus meters: TCP, RTU on a serial port, RTU behind a converter. A shell.

pymodbus lives here, and in modbus_client.py that opens its connections, alone. It is bent to our rules:
one try per request, our own deadline, nothing left behind (no reconnecting task, no socket, no lock on a
port), and it is handed whole right answers only, because with others it waits its time-out or raises
into the event loop. What the bytes mean is judged by rtu.py and mbap.py.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from firmware_bridge import mbap, rtu
from firmware_bridge.config import BusConfig
from firmware_bridge.errors import (
    BadReplyError,
    BusError,
    ExceptionReplyError,
    LineError,
    NoReplyError,
    UnfitPortError,
)
from firmware_bridge.fine_timer import FineTimer
from firmware_bridge.modbus_client import Client, NoConnectionError, host_and_port, open_client
from firmware_bridge.receiver import Receiver
from firmware_bridge.serial_port import LINK_FOLDERS, SerialPort, port_trouble
from firmware_bridge.verdict import GATEWAY_CODES, Fault, Frame, Request, State, exception_name

# When nothing has come for so long, a frame that has begun will not go on. A USB adapter holds bytes back
# for up to 16 ms, and the system as much again; on a network a lost packet is sent anew after 200 ms.
_IDLE_SERIAL_S = 0.035
_IDLE_NETWORK_S = 0.25

# A loop that comes to a deadline so much later was busy: what came meanwhile has not been looked at yet.
_LATE_LOOK_S = 0.01

# Vendor, product code and revision, each in a reply of its own if it is long.
_IDENTITY_REQUESTS_MAX = 4
_BASIC_OBJECTS = 1

_Ask = Callable[[Client], Awaitable[ModbusPDU]]


class ModbusLine:
    """A line of meters, opened by the first read, and anew after it broke.

    One read at a time. Deadlines are real seconds, whatever the clock. Where late answers cannot be
    told by a number, whoever reads must vary the lengths; see late_reply.py.
    """

    def __init__(self, bus: BusConfig, link_folders: Sequence[Path] = LINK_FOLDERS) -> None:
        """Nothing is opened yet.

        Raises:
            SettingError: host or port cannot be one.
        """
        scheme, _, place = bus.url.partition("://")
        self._bus = bus
        self._port = SerialPort(place, link_folders) if scheme == "serial" else None
        if self._port is None:
            host_and_port(bus)
        self._is_rtu = scheme != "tcp"
        self._silence_s = rtu.LineTiming.of(bus).silence_s
        self._idle_s = max(_IDLE_SERIAL_S if self._port else _IDLE_NETWORK_S, self._silence_s)
        self._receiver = Receiver(rtu if self._is_rtu else mbap)
        self._peer = mbap.Peer(is_numbered=not self._is_rtu)
        # Of the connection.
        self._client: Client | None = None
        self._timer: FineTimer | None = None
        self._heard_at_s = 0.0
        # Of the read under way: what it asks, its deadline, and what ended it early.
        self._asked = ""
        self._request: Request | None = None
        self._deadline: asyncio.Timeout | None = None
        self._trouble: BusError | None = None
        self._idle_call: asyncio.TimerHandle | None = None
        self._deadline_call: asyncio.TimerHandle | None = None

    @property
    def counts(self) -> Counter[Fault]:
        """How often each fault kept a frame from being the answer."""
        return self._receiver.counts

    def take_late(self) -> list[Frame]:
        """The whole frames that were no answer when they came, since the last call."""
        return self._receiver.take_late()

    async def read(
        self, unit: int, function: int, address: int, count: int, timeout_s: float | None = None
    ) -> list[int]:
        """The `count` registers from `address` of the meter `unit`; function 3 or 4.

        The deadline runs from when the request leaves until the answer is whole.

        Raises:
            LineError: no connection, or it broke, or is never silent: nobody on this line can be asked now.
            NoReplyError: silence for `timeout_s`, or a gateway that reports it. The answer may come late.
            ExceptionReplyError: the meter refuses this block; others may work.
            BadReplyError: what came does not answer the request. The answer may come late.
        """

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            read = client.read_input_registers if function == 4 else client.read_holding_registers
            return read(address, count=count, device_id=unit)

        asked = f"unit={unit} function={function} address=0x{address:04X} count={count}"
        reply = await self._exchange(ask, asked, timeout_s)
        return list(reply.registers)

    async def identify(self, unit: int, timeout_s: float | None = None) -> dict[int, str]:
        """The basic identification of the meter `unit`, function 43/14: 0 maker, 1 product code, 2 revision.

        Raises:
            BusError: as `read`; most meters refuse it.
        """
        texts: dict[int, str] = {}
        at = 0
        for _ in range(_IDENTITY_REQUESTS_MAX):

            def ask(client: Client, at: int = at) -> Awaitable[ModbusPDU]:
                return client.read_device_information(read_code=_BASIC_OBJECTS, object_id=at, device_id=unit)

            reply: Any = await self._exchange(ask, f"unit={unit} identification={at}", timeout_s)
            for number, value in reply.information.items():
                raw = value if isinstance(value, bytes) else b" ".join(value)
                texts[number] = raw.decode("ascii", "replace").strip("\0 ")
            if not reply.more_follows or reply.next_object_id <= at:
                break
            at = reply.next_object_id
        return texts

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that works as far as is known."""
        return self._client is not None and self._client.connected

    async def open(self) -> None:
        """Make the connection that the next read will need, if there is none.

        Raises:
            LineError: there is nobody, or the port cannot be had.
        """
        await self._open()

    def close(self) -> None:
        """Drop the connection, if there is one; the next read opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    async def _exchange(self, ask: _Ask, asked: str, timeout_s: float | None) -> ModbusPDU:
        assert self._deadline is None, "one read at a time"
        wait_s = self._bus.timeout_s if timeout_s is None else timeout_s
        self._asked, self._request, self._trouble = f"bus={self._bus.name} {asked}", None, None
        client = await self._open()
        try:
            async with asyncio.timeout(None) as self._deadline:
                self._wait_until(_now_s() + wait_s)
                if self._timer is not None:
                    await self._keep_silence(self._timer)
                    self._wait_until(_now_s() + wait_s)
                reply = await ask(client)
        except TimeoutError:
            raise self._trouble or self._silence(wait_s) from None
        except ModbusException as error:
            self._trouble = LineError(f"line failed: reason={error} {self._asked}")
            raise self._trouble from error
        finally:
            self._deadline = None
            for call in (self._idle_call, self._deadline_call):
                if call is not None:
                    call.cancel()
            self._idle_call = self._deadline_call = None
            if not self._is_fit_for_next():
                self.close()
        if reply.isError():
            raise _refusal(reply.exception_code, self._asked)
        return reply

    def _silence(self, wait_s: float) -> BusError:
        if self._request is None:
            return LineError(f"line never silent, somebody else talks: waited_s={wait_s:g} {self._asked}")
        return NoReplyError(f"no reply: waited_s={wait_s:g} {self._asked}")

    def _is_fit_for_next(self) -> bool:
        """Whether the connection can be kept after this read, however it ended: late answers must be told."""
        if isinstance(self._trouble, LineError):
            return False
        if self._request is None or (self._trouble is None and not self._receiver.is_asking):
            return True
        self._receiver.give_up()
        if self._port is not None:
            return True
        is_in_step = self._is_rtu or not isinstance(self._trouble, BadReplyError)
        return self._peer.is_kept_after(self._request.unit, is_mute=self._receiver.is_mute) and is_in_step

    async def _keep_silence(self, timer: FineTimer) -> None:
        """Serial Line 2.5.1.1; what comes meanwhile was not asked for, and prolongs it."""
        await timer.wait(self._silence_left_s())
        while (left_s := self._silence_left_s()) > 0:
            await timer.wait(left_s)

    def _silence_left_s(self) -> float:
        return self._heard_at_s + self._silence_s - _now_s()

    async def _open(self) -> Client:
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        try:
            place = self._port.find() if self._port is not None else ""
            client = await open_client(self._bus, place, self._on_packet, self._on_connect)
        except (NoConnectionError, OSError) as error:
            reason = port_trouble(error) if isinstance(error, OSError) else error
            kind = UnfitPortError if isinstance(error, NoConnectionError) and error.is_unfit else LineError
            raise kind(f"no connection: bus={self._bus.name} url={self._bus.url} reason={reason}") from None
        if self._port is not None:
            self._port.remember()
        self._client = client
        self._timer = FineTimer() if self._is_rtu else None
        self._heard_at_s = _now_s()
        self._receiver.connected()
        self._peer.connected()
        return client

    def _on_packet(self, is_sending: bool, data: bytes) -> bytes:  # noqa: FBT001  pymodbus calls it so
        """Hook of pymodbus: sees the request that leaves, and whatever comes; gives it whole answers only."""
        if is_sending:
            self._request = self._receiver.ask(data, is_transaction_echoed=self._peer.is_echoing)
            return data
        if self._client is None:
            return b""
        self._client.ctx.recv_buffer = b""  # it is ours now
        self._heard_at_s = _now_s()
        verdict = self._receiver.hear(data)
        if verdict.state is State.WAITING:
            if self._is_rtu and self._receiver.is_asking and self._idle_call is None:
                self._listen_for_idle()
        elif verdict.state is State.REFUSED:
            self._end_read(BadReplyError(f"bad reply: {verdict.detail} {self._asked}"))
        elif self._request is not None:
            self._peer.answered(self._request, verdict.frame)
        return verdict.frame

    def _on_connect(self, is_connected: bool) -> None:  # noqa: FBT001
        """Hook of pymodbus."""
        if not is_connected:
            self._end_read(LineError(f"connection lost: {self._asked}"))

    def _listen_for_idle(self) -> None:
        at_s = self._heard_at_s + self._idle_s
        self._idle_call = asyncio.get_running_loop().call_at(at_s, self._on_idle)

    def _on_idle(self) -> None:
        """Nothing came for a while, or only it seems so: one timer serves all bytes of an answer."""
        self._idle_call = None
        if _now_s() < self._heard_at_s + self._idle_s:
            self._listen_for_idle()
            return
        verdict = self._receiver.idle()
        if verdict.state is State.REFUSED:
            self._end_read(BadReplyError(f"bad reply: {verdict.detail} {self._asked}"))
        elif verdict.state is State.EXCEPTION:
            self._end_read(_refusal(verdict.code, self._asked))

    def _wait_until(self, at_s: float) -> None:
        if self._deadline_call is not None:
            self._deadline_call.cancel()
        self._deadline_call = asyncio.get_running_loop().call_at(at_s, self._on_deadline, at_s)

    def _on_deadline(self, at_s: float) -> None:
        """Whoever was busy when the answer came looks once more before calling the meter silent."""
        if _now_s() - at_s > _LATE_LOOK_S:
            self._wait_until(_now_s() + _LATE_LOOK_S)
        elif self._deadline is not None:
            self._deadline.reschedule(0)  # long ago: the read ends in this turn of the loop

    def _end_read(self, trouble: BusError) -> None:
        if self._deadline is not None and self._trouble is None and not self._deadline.expired():
            self._trouble = trouble
            self._deadline.reschedule(0)  # long ago: the read ends in this turn of the loop


def _refusal(code: int, asked: str) -> BusError:
    said = f"exception {code} ({exception_name(code)}): {asked}"
    return NoReplyError(said) if code in GATEWAY_CODES else ExceptionReplyError(said, code)


def _now_s() -> float:
    """The loop's own time, by which its deadlines run."""
    return asyncio.get_running_loop().time()
