"""Whose frames are in the bytes that came before anybody was asked? Pure."""

from typing import get_args

from firmware_bridge.frames.reader import FrameReader, reader_of
from firmware_bridge.map_file import Protocol
from firmware_bridge.probe.asks import Overheard, Sender

_PROTOCOLS: tuple[Protocol, ...] = tuple(one for one in get_args(Protocol) if one != "modbus")


class Ear:
    """Hears all protocols at once, for a few seconds."""

    def __init__(self) -> None:
        self._readers: dict[Protocol, FrameReader] = {protocol: reader_of(protocol) for protocol in _PROTOCOLS}
        self._codes: dict[tuple[Protocol, str], set[str]] = {}
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """These bytes came."""
        self._bytes += len(data)
        for protocol, reader in self._readers.items():
            for frame in reader.feed(data):
                self._codes.setdefault((protocol, frame.sender), set()).update(frame.values)

    def overheard(self) -> Overheard:
        """Who was heard, in the order of their first frames."""
        senders = tuple(
            Sender(protocol, name, tuple(sorted(codes))) for (protocol, name), codes in self._codes.items()
        )
        return Overheard(senders, bytes_unknown=0 if senders else self._bytes)
