"""What the forecasts' tracks have learnt, in a file beside the store: who earned to speak outlives a restart.

Without it a model that was retired speaks again after each power cut, until it has been worse for days anew.

A damaged file is as good as none.
"""

import asyncio
import logging
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from firmware_bridge.clock import Clock
from gateway.contract.records import UNDECODABLE
from gateway.core.track import Track, TrackRecord
from gateway.shell import durable

log = logging.getLogger(__name__)

FILE_NAME = "tracks.msgpack.z"
# Three tracks with a day of issues under way are 0.3 MB, packed a third of that.
FILE_BYTES_MAX = 1024 * 1024
FILE_UNPACKED_BYTES_MAX = 2 * 1024 * 1024
# A power cut takes so much of what was learnt: one issue, and the steps of the others in that time.
PERIOD_S = 3600.0

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[TrackRecord])


def encode_tracks(records: Sequence[TrackRecord]) -> bytes:
    """The bytes of the file."""
    return zlib.compress(_ENCODER.encode(records))


def decode_tracks(data: bytes) -> list[TrackRecord]:
    """What is in the file.

    Raises:
        ValueError: it is damaged, or too large.
    """
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(data, FILE_UNPACKED_BYTES_MAX)
        if not unpacker.eof:
            raise ValueError("it is cut short, or too large")
        return _DECODER.decode(unpacked)
    except (zlib.error, *UNDECODABLE) as error:
        raise ValueError(f"it cannot be decoded: {error}") from error


class TrackFile:
    """Keeps the tracks of a forecaster."""

    def __init__(self, folder: Path, tracks: Sequence[Track], clock: Clock) -> None:
        self._path, self._tracks, self._clock = folder / FILE_NAME, tracks, clock

    def restore(self) -> None:
        """Let each track begin with what is kept of it; one of which nothing usable is begins anew."""
        try:
            with self._path.open("rb") as file:
                kept = {one.name: one for one in decode_tracks(file.read(FILE_BYTES_MAX))}
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("forecasts begin anew: file=%s error=%s", self._path, error)
            return
        for track in self._tracks:
            if (saved := kept.get(track.name)) is None:
                continue
            try:
                track.restore(saved)
            except ValueError as error:
                log.warning("a forecast begins anew: name=%s error=%s", track.name, error)

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
            log.warning("what forecasts have learnt is not kept: file=%s error=%s", self._path, error)

    async def keep(self) -> None:
        """Write them; the loop does not wait for the card.

        Raises:
            OSError: the disk refuses.
        """
        records = [track.save() for track in self._tracks]
        await asyncio.to_thread(lambda: durable.write_atomically(self._path, encode_tracks(records)))
