"""What a meter says of itself: codes, texts and a serial number, at the places its profile names. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from firmware_bridge.simulator.frames import READ_HOLDING
from firmware_bridge.simulator.noise import stream_root
from firmware_bridge.simulator.raw_type import RAW_TYPES, swap_words

READ_DEVICE_IDENTIFICATION = 43
# Modbus Application Protocol V1.1b3, 6.21: the basic objects.
_VENDOR_NAME, _PRODUCT_CODE, _REVISION = 0, 1, 2
_REVISION_TEXT = "V1.0"
# A number without a meaning of its own, for codes whose values a profile does not tell.
_SOME_CODE = 1
# Eight digits: they fit a register pair, and the shortest text of a serial number.
_SERIAL_MIN, _SERIAL_SPAN = 10_000_000, 89_999_999
_SERIAL_STREAM = 1 << 20


class Cell(NamedTuple):
    """Words that stand at an address, whatever is measured."""

    function: int
    address: int
    words: bytes


class Nameplate:
    """The identity of one kind of meter."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        """Read it from the profile's TOML tree.

        Raises:
            KeyError, TypeError, ValueError: the profile is not one.
        """
        self.vendor, self.model = str(tree.get("vendor", "")), str(tree.get("models", [""])[0])
        self._entries = [dict(entry) for entry in tree.get("identify", [])]
        self._is_low_first = tree.get("word_order") == "low_first"
        self._is_text_swapped = bool(tree.get("byte_swapped_text", False))

    @property
    def units_beside(self) -> set[int]:
        """Units that answer for this meter besides its own."""
        return {entry["unit"] for entry in self._entries if "unit" in entry}

    def cells(self, serial_number: int, unit: int) -> Iterator[Cell]:
        """What the meter's own unit shows."""
        return self._cells(serial_number, unit, None)

    def cells_beside(self, serial_number: int, unit: int) -> Iterator[Cell]:
        """What `unit`, which is not the meter's own, shows for it."""
        return self._cells(serial_number, unit, unit)

    def objects(self, serial_number: int) -> dict[int, bytes]:
        """The objects of Read Device Identification; empty where the meter does not know it."""
        for entry in self._entries:
            if entry.get("function") == READ_DEVICE_IDENTIFICATION:
                texts = {
                    _VENDOR_NAME: self.vendor,
                    _PRODUCT_CODE: self._text(entry, serial_number),
                    _REVISION: _REVISION_TEXT,
                }
                return {key: _ascii(text) for key, text in texts.items()}
        return {}

    def _cells(self, serial_number: int, unit: int, beside: int | None) -> Iterator[Cell]:
        for entry in self._entries:
            if "address" in entry and entry.get("unit") in (beside, unit):
                words = self._words(entry, serial_number, unit)
                yield Cell(int(entry.get("function", READ_HOLDING)), int(entry["address"]), words)

    def _words(self, entry: Mapping[str, Any], serial_number: int, unit: int) -> bytes:
        if entry.get("type") == "str":
            return self._packed(self._text(entry, serial_number), int(entry["registers"]))
        packer = RAW_TYPES[entry.get("type", "u16")].packer
        number = unit if entry.get("is_unit") else self._number(entry, serial_number)
        packed = (number % 256**packer.size).to_bytes(packer.size, "big")
        return swap_words(packed) if self._is_low_first else packed

    def _number(self, entry: Mapping[str, Any], serial_number: int) -> int:
        if entry["name"] == "serial_number":
            return serial_number
        if entry.get("values"):
            return int(next(iter(entry["values"])), 0)
        return int(entry["ranges"][0]["first"]) if entry.get("ranges") else _SOME_CODE

    def _text(self, entry: Mapping[str, Any], serial_number: int) -> str:
        if entry["name"] == "serial_number":
            return str(serial_number)
        if entry.get("values"):
            return str(next(iter(entry["values"])))
        if entry.get("contains"):
            part = str(next(iter(entry["contains"])))
            return self.model if part in self.model.lower() else part.upper()
        return self.vendor if entry["name"] in ("manufacturer", "vendor") else self.model

    def _packed(self, text: str, registers: int) -> bytes:
        return packed_text(text, registers, is_swapped=self._is_text_swapped)


def packed_text(text: str, registers: int, *, is_swapped: bool = False) -> bytes:
    """A text in registers, filled up with zeros."""
    packed = bytearray(_ascii(text)[: 2 * registers].ljust(2 * registers, b"\0"))
    if is_swapped:
        packed[::2], packed[1::2] = packed[1::2], packed[::2]
    return bytes(packed)


def serial_number_of(seed: int, unit: int) -> int:
    """The serial number of the meter at `unit`: of eight digits, another one for another seed or unit."""
    return _SERIAL_MIN + stream_root(seed, _SERIAL_STREAM + unit) % _SERIAL_SPAN


def other_serial_number(serial_number: int) -> int:
    """That of the meter which is put in its place."""
    return serial_number_of(serial_number, 0)


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")
