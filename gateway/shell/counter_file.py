"""What the counters of the meters remember, in a file beside the store: they outlive a restart.

Without it the first read after a start is believed, whatever it is: a meter that boots beside us shows 0 for a
minute, and the next true value would be booked as energy. With it a restart is a pause like any other.

A damaged file is as good as none.
"""

import asyncio
import logging
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import msgspec

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import Clock
from firmware_bridge.counter import CounterState
from firmware_bridge.measurand import BY_CODE
from firmware_bridge.reading import MeterId, Series
from gateway.contract.records import UNDECODABLE
from gateway.shell import durable

log = logging.getLogger(__name__)

FILE_NAME = "counters.msgpack"
# Five counters of each of 250 meters take 130 kB.
FILE_BYTES_MAX = 1024 * 1024
# A power cut takes so much of their memory: they only see a longer pause. For ten meters it costs 0.2 MB a day.
PERIOD_S = 900.0


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """One counter; its measurand by the code that is never used again."""

    meter: str
    code: int
    state: CounterState


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Kept])


def read_counters(folder: Path) -> dict[Series, CounterState]:
    """What was kept in `folder`; nothing where there is no file or a damaged one."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            return decode_counters(file.read(FILE_BYTES_MAX))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("counters begin anew: file=%s error=%s", folder / FILE_NAME, error)
        return {}


def encode_counters(states: Mapping[Series, CounterState]) -> bytes:
    """The bytes of the file."""
    return _ENCODER.encode([_Kept(one.meter, one.measurand.facts.code, state) for one, state in states.items()])


def decode_counters(data: bytes) -> dict[Series, CounterState]:
    """What is in the file; a measurand that is no counter here is left out.

    Raises:
        ValueError: it is damaged.
    """
    try:
        kept = _DECODER.decode(data)
    except UNDECODABLE as error:
        raise ValueError(f"it cannot be decoded: {error}") from error
    if not all(isfinite(level.value) for one in kept for level in (one.state.base, one.state.held) if level):
        raise ValueError("a counter stood nowhere")
    return {Series(MeterId(one.meter), BY_CODE[one.code]): one.state for one in kept if _is_counter(one.code)}


def _is_counter(code: int) -> bool:
    return code in BY_CODE and BY_CODE[code].facts.is_counter


class CounterFile:
    """Keeps the counters of a bridge."""

    def __init__(self, folder: Path, bridge: Bridge, clock: Clock) -> None:
        self._path, self._bridge, self._clock = folder / FILE_NAME, bridge, clock
        self._written = b""

    async def keep_for_ever(self) -> None:
        """Write them every period.

        Raises:
            OSError: the disk refuses.
        """
        while True:
            await self._clock.sleep_for(PERIOD_S)
            await self.keep()

    async def finish(self) -> None:
        """Write them for the next start; a disk that refuses is no reason not to stop."""
        try:
            await self.keep()
        except OSError as error:
            log.warning("counters are not kept: file=%s error=%s", self._path, error)

    async def keep(self) -> None:
        """Write them if they have changed; the loop does not wait for the card.

        Raises:
            OSError: the disk refuses.
        """
        data = encode_counters(self._bridge.counters)
        if data != self._written:
            await asyncio.to_thread(durable.write_atomically, self._path, data)
            self._written = data
