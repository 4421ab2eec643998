"""The encoding of SML: bytes -> nested values. Pure.

BSI TR-03109-1 Anlage IV, Smart Message Language 1.04, chapter 6: each value begins with type and length.
smllib reads it too, and is what our tests compare with. It is under the GPL 3, whose terms an image with
locked boot cannot meet, and it believes the length of a list: 28 bytes made it ask for 2 GB. Here a list has no
more parts than there are bytes.
"""

from typing import TypeAlias

# Truth, number, octets, list, nothing.
Node: TypeAlias = "bool | int | bytes | list[Node] | None"

# The deepest value is a local time stamp in an entry: 6 lists around it, and one to spare.
_DEPTH_MAX = 8
# Two nibbles and two more: 65,535, above any file of ours.
_HEAD_BYTES_MAX = 4
_INTEGER_BYTES_MAX = 8

_MORE, _TYPE, _LENGTH = 0x80, 0x70, 0x0F
_OCTETS, _BOOLEAN, _SIGNED, _UNSIGNED, _LIST = 0x00, 0x40, 0x50, 0x60, 0x70


class SmlError(ValueError):
    """The bytes are no SML."""


class TreeReader:
    """Reads values from `data`, one after the other, from `at`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def is_over(self) -> bool:
        """Whether all bytes are read."""
        return self.at >= len(self.data)

    def node(self, depth: int = 0) -> Node:
        """The next value.

        Raises:
            SmlError: there is none, or none that we take.
        """
        kind, length, head_bytes = self._head()
        if kind == _LIST:
            # each part has a byte at least
            if depth >= _DEPTH_MAX or length > len(self.data) - self.at:
                raise SmlError
            return [self.node(depth + 1) for _ in range(length)]
        octets = self.take(length - head_bytes)
        if kind == _OCTETS:
            return octets or None
        if kind == _BOOLEAN and len(octets) == 1:
            return octets != b"\0"
        if kind in (_SIGNED, _UNSIGNED) and 1 <= len(octets) <= _INTEGER_BYTES_MAX:
            return int.from_bytes(octets, "big", signed=kind == _SIGNED)
        raise SmlError

    def take(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            SmlError: there are not so many.
        """
        octets = self.data[self.at : self.at + count]
        if count < 0 or len(octets) < count:
            raise SmlError
        self.at += count
        return octets

    def _head(self) -> tuple[int, int, int]:
        """Type, length (which counts the head, but for lists) and bytes of the head."""
        first = octet = self.take(1)[0]
        length, head_bytes = first & _LENGTH, 1
        while octet & _MORE:
            octet = self.take(1)[0]
            head_bytes += 1
            if octet & _TYPE or head_bytes > _HEAD_BYTES_MAX:
                raise SmlError
            length = length << 4 | octet & _LENGTH
        return first & _TYPE, length, head_bytes
