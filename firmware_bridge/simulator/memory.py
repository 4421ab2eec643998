"""Which addresses of a meter answer, and where their words lie. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from firmware_bridge.simulator.nameplate import Cell


class Place(NamedTuple):
    """A piece of a bank, in bytes."""

    bank: int
    start: int
    end: int


class _Bank(NamedTuple):
    """Addresses in a row, `[first, end)`, that one function reads."""

    function: int
    first: int
    end: int


class Memory:
    """Banks of registers. Between the values of one bank zeros are read; outside of banks nothing answers."""

    def __init__(self, values: Iterable[tuple[int, int, int]], cells: Sequence[Cell], hole_max: int) -> None:
        """Lay out banks.

        Args:
            values: function, address and count of registers of everything measured.
            cells: what the meter says of itself; only their places matter.
            hole_max: holes between values that answer as zeros; a reader may read through them.
        """
        banks = _merged([_Bank(function, at, at + count) for function, at, count in values], hole_max)
        plates = [_Bank(one.function, one.address, one.address + len(one.words) // 2) for one in cells]
        self._banks = _merged([*banks, *plates], 0)

    def place(self, function: int, address: int, count: int) -> Place | None:
        """Where these registers lie; None when not all of them answer."""
        for number, bank in enumerate(self._banks):
            if bank.function == function and bank.first <= address and address + count <= bank.end:
                start = 2 * (address - bank.first)
                return Place(number, start, start + 2 * count)
        return None

    def images(self, cells: Iterable[Cell]) -> list[bytes]:
        """The banks with `cells` in them and zeros elsewhere."""
        images = [bytearray(2 * (bank.end - bank.first)) for bank in self._banks]
        for cell in cells:
            place = self.place(cell.function, cell.address, len(cell.words) // 2)
            if place is not None:
                images[place.bank][place.start : place.end] = cell.words
        return [bytes(image) for image in images]


def _merged(banks: Iterable[_Bank], hole_max: int) -> list[_Bank]:
    """Banks of one function that overlap or are at most `hole_max` apart, as one."""
    merged: list[_Bank] = []
    for bank in sorted(banks):
        last = merged[-1] if merged else None
        if last is not None and last.function == bank.function and bank.first <= last.end + hole_max:
            merged[-1] = last._replace(end=max(last.end, bank.end))
        else:
            merged.append(bank)
    return merged
