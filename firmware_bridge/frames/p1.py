"""Telegrams of the P1 port of a smart meter: where they begin and end, and whether they arrived whole. Pure.

DSMR P1 Companion Standard 5.0.2, chapters 5 and 6: "/", identification, an empty line, data lines, "!",
four hexadecimal digits of CRC-16/ARC over everything from "/" to "!". Some meters (Sweden, Holley) send
CRC-16/X-25. Meters before DSMR 4 send none: a parity bit guards each character, and we take a telegram
only when it has the form of the one before, because lost bytes change the form.
"""

import re
from collections import Counter

from fastcrc import crc16

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError
from firmware_bridge.frames.p1_lines import frame_of

# A text message of 1024 characters comes as 2048 digits (5.0.2, 6.12); all else fits another 2 kB.
TELEGRAM_BYTES_MAX = 8192

# IEC 62056-21, 6.3.2: three letters of the manufacturer, a digit for the baud, the identification.
_FIRST_LINE = re.compile(rb"/[A-Z][A-Za-z]{2}[0-9A-Z][ -.0-~]*\r?\Z")
_LAST_LINE = re.compile(rb"!([0-9A-Fa-f]{4})?\r?")
# DSMR 4 brought a line with the version, and the CRC: a telegram with the one and not the other lost it.
_VERSION = b"\n1-3:0.2.8("
_CRCS = (crc16.arc, crc16.ibm_sdlc)
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")


class P1Reader:
    """Reads the telegrams of one P1 port."""

    def __init__(self) -> None:
        self.refused: Counter[Refusal] = Counter()
        # the line under way
        self._held = b""
        # the lines of the telegram under way, from its "/"
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._has_crc = False
        # the last telegram without a CRC, all its digits 0
        self._form = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames of the telegrams that `data` completes."""
        *lines, rest = (self._held + data).split(b"\n")
        # of too much without an end of line, the newest part is kept: a telegram may begin in it
        self._held = rest[-TELEGRAM_BYTES_MAX:]
        frames = []
        for line in lines:
            if begin := _FIRST_LINE.search(line):
                self._begin(begin[0])
            elif self._lines and not line.startswith(b"!"):
                self._append(line)
            elif self._lines:
                frames += self._end(line)
        return frames

    def _begin(self, line: bytes) -> None:
        if self._lines:
            self.refused[Refusal.FRAMING] += 1
        self._lines, self._lines_bytes = [line], len(line)

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._lines_bytes += len(line) + 1
        if self._lines_bytes > TELEGRAM_BYTES_MAX:
            self.refused[Refusal.LENGTH] += 1
            self._lines = []

    def _end(self, last: bytes) -> list[Frame]:
        lines, self._lines = self._lines, []
        try:
            self._prove(b"\n".join([*lines, b"!"]), last)
            return [frame_of([line.removesuffix(b"\r") for line in lines])]
        except RefusedError as error:
            self.refused[error.reason] += 1
            return []

    def _prove(self, telegram: bytes, last: bytes) -> None:
        """Whether the telegram arrived as it was sent, as far as it lets us know."""
        found = _LAST_LINE.fullmatch(last)
        if found is None:
            raise RefusedError(Refusal.CRC)
        if found[1]:
            if int(found[1], 16) not in [crc(telegram) for crc in _CRCS]:
                raise RefusedError(Refusal.CRC)
            self._has_crc = True
        elif self._has_crc or _VERSION in telegram:
            raise RefusedError(Refusal.CRC)
        elif (form := telegram.translate(_DIGITS_TO_ZERO)) != self._form:
            self._form = form
            raise RefusedError(Refusal.UNPROVEN)
