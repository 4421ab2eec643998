"""A SunSpec device around the model that a profile wants: marker, common model, another one, the end. Pure.

SunSpec Alliance, Device Information Model Specification V1.2; common model 1.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from firmware_bridge.simulator.frames import READ_HOLDING
from firmware_bridge.simulator.nameplate import Cell, packed_text

_MARKER = b"SunS"
_END = struct.pack(">HH", 0xFFFF, 0)
# Id and length stand before each model.
_HEAD_WORDS = 2
_COMMON, _COMMON_WORDS = 1, 66
# A model that nobody asks for: Ethernet link layer.
_OTHER, _OTHER_WORDS = 11, 13
# Lengths of the models that meters and inverters of ours have.
_MODEL_WORDS = {
    **dict.fromkeys((101, 102, 103), 50),
    **dict.fromkeys((111, 112, 113), 60),
    **dict.fromkeys((201, 202, 203, 204), 105),
    **dict.fromkeys((211, 212, 213, 214), 124),
}
# Registers that a device does not implement, of most types.
_NOT_IMPLEMENTED = b"\xff\xff"
_BASE = 40_000
# Modbus Application Protocol V1.1b3, 4.4.
_ADDRESSES = 0x10000


class ModelChain(NamedTuple):
    """Where a device's chain begins, and the model in it."""

    base: int
    model: int
    # registers that the profile reads, from the model's id on
    words: int

    @property
    def model_address(self) -> int:
        """Address of the model's id, which offsets count from."""
        return self.base + len(_MARKER) // 2 + 2 * _HEAD_WORDS + _COMMON_WORDS + _OTHER_WORDS

    def cells(self, vendor: str, product: str, serial_number: int, unit: int) -> Iterator[Cell]:
        """The whole chain."""
        common = b"".join(
            (
                packed_text(vendor, 16),
                packed_text(product, 16),
                packed_text("", 8),
                packed_text("1.0", 8),
                packed_text(str(serial_number), 16),
                struct.pack(">HH", unit, 0x8000),
            )
        )
        length = max(_MODEL_WORDS.get(self.model, 0), self.words - _HEAD_WORDS)
        chain = b"".join(
            (
                _MARKER,
                _model(_COMMON, common),
                _model(_OTHER, _NOT_IMPLEMENTED * _OTHER_WORDS),
                _model(self.model, _NOT_IMPLEMENTED * length),
                _END,
            )
        )
        yield Cell(READ_HOLDING, self.base, chain)


def model_chain(facts: Mapping[str, Any], words: int, phases: int = 0) -> ModelChain:
    """The chain of a profile's `sunspec` entry whose registers reach `words` far.

    Raises:
        ValueError: farther than addresses do.
    """
    if words > _ADDRESSES:
        raise ValueError(f"a register at {words - 1}")
    models = [int(model) for model in facts["models"]]
    # In each family the last digit is the number of phases.
    model = next((one for one in models if one % 10 == phases), models[0])
    return ModelChain(int(facts.get("bases", [_BASE])[0]), model, words)


def _model(number: int, body: bytes) -> bytes:
    return struct.pack(">HH", number, len(body) // 2) + body
