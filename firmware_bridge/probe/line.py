"""The line under probe: one ask at a time goes out, what is heard comes back. A shell.

Only reads and identification leave here, whatever is asked for.
"""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from firmware_bridge.clock import Clock
from firmware_bridge.config import BusConfig
from firmware_bridge.errors import BadReplyError, ExceptionReplyError, LineError, NoReplyError, UnfitPortError
from firmware_bridge.probe.asks import (
    FUNCTIONS,
    Ask,
    Dropped,
    Garbled,
    Hail,
    Heard,
    Identify,
    Listen,
    Read,
    Refused,
    Silence,
    Texts,
    Unfit,
    Wire,
    Words,
)
from firmware_bridge.probe.dialect import hail_frames, spoken, unspoken
from firmware_bridge.probe.ear import Ear
from firmware_bridge.reading import MonotonicS
from firmware_bridge.serial_port import port_trouble
from firmware_bridge.serial_stream import SerialStream
from firmware_bridge.transport import ModbusLine

# A network answers a connection within this, or not at all.
CONNECT_S_MAX = 3.0
# Often enough that no bytes are dropped.
_LISTEN_STEP_S = 0.2
# The longest frame of either protocol; who says more before an answer babbles.
_HAIL_BYTES_MAX = 4096


class Place(NamedTuple):
    """Where the line is: a serial port, or a host and its port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def is_serial(self) -> bool:
        """Whether settings of a serial line can be tried."""
        return bool(self.path)

    @property
    def told(self) -> str:
        """As it is named to people."""
        return self.path or f"{self.host}:{self.port}"

    def bus(self, wire: Wire, name: str = "probe") -> BusConfig:
        """The line, spoken to this way, as a gateway's configuration says it."""
        url = f"serial://{self.path}" if self.is_serial else f"{wire.kind}://{self.host}:{self.port}"
        return BusConfig(
            name=name,
            url=url,
            baud=wire.baud,
            parity=wire.parity,
            data_bits=wire.data_bits,
            stop_bits=wire.stop_bits,
        )


class LineUnderProbe:
    """Speaks on the line as each ask wants it; opened by the first, and anew for each setting."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place, self._clock = place, clock
        self._wire: Wire | None = None
        self._line: ModbusLine | None = None
        # units that answered at this setting
        self._answering: set[int] = set()

    async def hear(self, ask: Ask) -> Heard:
        """Ask, and say what was heard by its deadline.

        Raises:
            LineError: the line cannot be used: no such port, taken, refused, unplugged.
        """
        match ask:
            case Hail():
                self.close()
                return await self._hail(ask)
            case Listen():
                self.close()
                return await self._listen(ask)
        return await self._answer(ask)

    async def _answer(self, ask: Read | Identify) -> Heard:
        try:
            return await self._exchange(ask)
        except NoReplyError:
            await self._let_late_answers_pass(ask)
            return Silence(self._late_units())
        except ExceptionReplyError as error:
            self._answering.add(ask.unit)
            return Refused(error.code)
        except BadReplyError as error:
            await self._let_late_answers_pass(ask)
            return Garbled(str(error).partition(" bus=")[0])
        except UnfitPortError:
            self.close()
            return Unfit()
        except LineError as error:
            self.close()
            if self._place.is_serial:
                raise
            await self._check_connection()
            return Dropped(str(error))

    def close(self) -> None:
        """Give the line back."""
        if self._line is not None:
            self._line.close()
        self._line = self._wire = None
        self._answering.clear()

    async def _exchange(self, ask: Read | Identify) -> Heard:
        line = self._spoken_to(ask.wire)
        if isinstance(ask, Identify):
            texts = await line.identify(ask.unit, ask.timeout_s)
            self._answering.add(ask.unit)
            return Texts(texts)
        assert ask.function in FUNCTIONS, "the probe reads"
        words = await line.read(ask.unit, ask.function, ask.address, ask.count, ask.timeout_s)
        self._answering.add(ask.unit)
        return Words(tuple(words))

    def _spoken_to(self, wire: Wire) -> ModbusLine:
        if self._line is None or wire != self._wire:
            self.close()
            self._line, self._wire = ModbusLine(self._place.bus(wire)), wire
        return self._line

    async def _let_late_answers_pass(self, ask: Read | Identify) -> None:
        """An RTU frame has no number: the late answer of a device that is there could be taken for its next one."""
        if ask.wire.kind != "tcp" and ask.unit in self._answering:
            await self._clock.rest_until(MonotonicS(self._clock.monotonic_s() + ask.timeout_s))

    def _late_units(self) -> tuple[int, ...]:
        frames = self._line.take_late() if self._line is not None else []
        return tuple(sorted({frame.unit for frame in frames}))

    async def _check_connection(self) -> None:
        """A device may close a connection on a question it does not like; one that takes none is gone."""
        _, writer = await self._connect()
        writer.close()

    async def _listen(self, listen: Listen) -> Heard:
        """Say nothing for a while; a connection that nobody speaks on is none of our business."""
        ear = Ear()
        stream = SerialStream(self._place.bus(listen.wire))
        await stream.open()
        try:
            until_s = self._clock.monotonic_s() + listen.duration_s
            while self._clock.monotonic_s() < until_s:
                await self._clock.rest_until(MonotonicS(self._clock.monotonic_s() + _LISTEN_STEP_S))
                ear.feed(stream.take())
        except LineError:
            if self._place.is_serial:
                raise
        finally:
            stream.close()
        return ear.overheard()

    async def _hail(self, hail: Hail) -> Heard:
        received = b""
        for frame in hail_frames(hail.unit):
            reader, writer = await self._connect()
            try:
                writer.write(frame)
                received = await _received(reader, hail)
            except OSError as error:
                return Dropped(str(error))
            finally:
                writer.close()
            if (answer := spoken(hail.unit, received)) is not None:
                return answer
            if received:
                break
        return unspoken(received)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = f"{self._place.host}:{self._place.port}"
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                return await asyncio.open_connection(self._place.host, self._place.port)
        except TimeoutError as error:
            raise LineError(f"no connection to {where} within {CONNECT_S_MAX:g} s") from error
        except OSError as error:
            raise LineError(f"no connection to {where}: {port_trouble(error)}") from error


async def _received(reader: asyncio.StreamReader, hail: Hail) -> bytes:
    """What comes after a hail, until it is an answer, or the deadline, or the end."""
    received = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(hail.timeout_s):
            while data := await reader.read(_HAIL_BYTES_MAX):
                received += data
                if spoken(hail.unit, received) or len(received) >= _HAIL_BYTES_MAX:
                    break
    return received
