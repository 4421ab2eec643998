"""Inputs made from inputs: bytes changed, taken out, doubled, put in; pieces of others; far too much of one."""

from collections.abc import Callable, Iterable
from random import Random

# Most inputs are a few steps away from one that is known, some are many.
STEPS_MAX = 8
# Where a number ends, in one byte, two and four; and in digits.
EDGES = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\x00\x00", b"\x7f\xff", b"\x80\x00", b"\xff\xff", b"\xff" * 4)
NUMBERS = (b"0", b"-1", b"1e999", b"-0.0", b"nan", b"inf", b"65536", b"4294967296", b"9" * 20, b"9" * 5000, b"1e-400")
# Brackets in thousands find what walks a tree by calling itself.
OPENERS = (b"[", b"{", b'{"a":', b"(", b"\x91", b"\x81")
REPEATS_MAX = 4096


class Mutator:
    """Makes inputs; the same ones for the same random numbers."""

    def __init__(self, random: Random, words: Iterable[bytes], bytes_max: int) -> None:
        self._random, self._bytes_max = random, bytes_max
        self._words = [*words, *EDGES, *NUMBERS, *OPENERS]
        self._steps: list[Callable[[bytes], bytes]] = [
            self._flip,
            self._flip,
            self._overwrite,
            self._overwrite,
            self._insert,
            self._take_out,
            self._double,
            self._cut_off,
            self._swap,
            self._number,
            self._repeat,
        ]

    def mutated(self, corpus: list[bytes]) -> bytes:
        """A new input from those in the corpus."""
        random = self._random
        data = random.choice(corpus)
        if random.random() < 0.2:
            data = self._spliced(data, random.choice(corpus))
        for _ in range(min(1 + int(random.expovariate(0.7)), STEPS_MAX)):
            data = random.choice(self._steps)(data)
        return data[: self._bytes_max]

    def _place(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _piece(self, data: bytes) -> slice:
        start = self._place(data)
        return slice(start, start + min(int(self._random.expovariate(0.1)) + 1, 64))

    def _spliced(self, data: bytes, other: bytes) -> bytes:
        return data[: self._place(data)] + other[self._place(other) :]

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        place = self._random.randrange(len(data))
        return data[:place] + bytes((data[place] ^ 1 << self._random.randrange(8),)) + data[place + 1 :]

    def _overwrite(self, data: bytes) -> bytes:
        place, word = self._place(data), self._word()
        return data[:place] + word + data[place + len(word) :]

    def _insert(self, data: bytes) -> bytes:
        place = self._place(data)
        return data[:place] + self._word() + data[place:]

    def _word(self) -> bytes:
        if self._random.random() < 0.5:
            return self._random.choice(self._words)
        return self._random.randbytes(self._random.randint(1, 4))

    def _take_out(self, data: bytes) -> bytes:
        piece = self._piece(data)
        return data[: piece.start] + data[piece.stop :]

    def _double(self, data: bytes) -> bytes:
        piece, place = self._piece(data), self._place(data)
        return data[:place] + data[piece] + data[place:]

    def _cut_off(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _swap(self, data: bytes) -> bytes:
        first = self._piece(data)
        second = slice(first.stop, first.stop + first.stop - first.start)
        return data[: first.start] + data[second] + data[first] + data[second.stop :]

    def _number(self, data: bytes) -> bytes:
        """Another number where one stands."""
        digits = [place for place, byte in enumerate(data) if byte in b"0123456789"]
        if not digits:
            return data
        start = self._random.choice(digits)
        end = start
        while end < len(data) and data[end] in b"0123456789.":
            end += 1
        return data[:start] + self._random.choice(NUMBERS) + data[end:]

    def _repeat(self, data: bytes) -> bytes:
        place = self._place(data)
        piece = data[self._piece(data)] if self._random.random() < 0.5 else self._random.choice(OPENERS)
        return data[:place] + piece * self._random.randint(2, REPEATS_MAX) + data[place:]
