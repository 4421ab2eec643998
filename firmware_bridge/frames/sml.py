"""Files of SML meters (Germany): where they begin and end on the line, and whether they arrived whole. Pure.

BSI TR-03109-1 Anlage IV, Smart Message Language 1.04, chapter 8: an escape word and 01010101, the file, an
escape word and 1A, the count of bytes it was filled up with, CRC-16/X-25 over all of it. An escape word in the
file comes twice. The Holley DTZ541 sends CRC-16/KERMIT, and its bytes the other way around (volkszaehler/libsml
issue 75).
"""

from collections import Counter

from fastcrc import crc16

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError
from firmware_bridge.frames.sml_list import frames_of

# A meter at 9600 baud that sends every 4 s can send no more; the usual file has 300 to 600.
FILE_BYTES_MAX = 4096

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_BEGIN = b"\x01\x01\x01\x01"
_START = _ESCAPE + _BEGIN
_END = 0x1A
_WORD = len(_ESCAPE)
_FILL_MAX = 3


class SmlReader:
    """Reads the files of one SML meter."""

    def __init__(self) -> None:
        self.refused: Counter[Refusal] = Counter()
        self._held = bytearray()
        # where in a file that has begun the next escape word may stand; 0 before one begins
        self._at = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames of the files that `data` completes."""
        self._held += data
        frames = []
        while self._has_begun():
            self._at = self._next_escape()
            word = self._held[self._at + _WORD : self._at + 2 * _WORD]
            if self._at > FILE_BYTES_MAX:
                self._drop(Refusal.LENGTH)
            elif len(word) < _WORD:
                break
            elif word == _ESCAPE:
                self._at += 2 * _WORD
            elif word[0] == _END:
                frames += self._take()
            else:
                self._drop(Refusal.FRAMING)
        return frames

    def _has_begun(self) -> bool:
        """Whether a file has; what stands before it is dropped."""
        if self._at:
            return True
        start = self._held.find(_START)
        if start < 0:
            del self._held[: max(0, len(self._held) - len(_START) + 1)]
            return False
        del self._held[:start]
        self._at = len(_START)
        return True

    def _next_escape(self) -> int:
        """Where the next escape word stands, or may yet begin."""
        found = self._held.find(_ESCAPE, self._at)
        return found if found >= 0 else max(self._at, len(self._held) - _WORD + 1)

    def _drop(self, reason: Refusal) -> None:
        """This file is none; the word that shows it may begin another."""
        self.refused[reason] += 1
        del self._held[: self._at]
        self._at = 0

    def _take(self) -> list[Frame]:
        """The frames of the file that ends with the present escape word and the word after it."""
        file = bytes(self._held[: self._at + 2 * _WORD])
        del self._held[: len(file)]
        self._at = 0
        try:
            return _frames(file)
        except RefusedError as error:
            self.refused[error.reason] += 1
            return []


def _x25(data: bytes) -> bytes:
    return crc16.ibm_sdlc(data).to_bytes(2, "little")


def _kermit(data: bytes) -> bytes:
    return crc16.kermit(data).to_bytes(2, "big")


def _frames(file: bytes) -> list[Frame]:
    crc = next((one for one in (_x25, _kermit) if one(file[:-2]) == file[-2:]), None)
    if crc is None:
        raise RefusedError(Refusal.CRC)
    data, fill = file[len(_START) : -2 * _WORD].replace(2 * _ESCAPE, _ESCAPE), file[-3]
    if fill > min(_FILL_MAX, len(data)):
        raise RefusedError(Refusal.FRAMING)
    return frames_of(data[: len(data) - fill], crc)
