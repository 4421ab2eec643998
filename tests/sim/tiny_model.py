"""Real `.tflite` files of one operator, made by hand: models for tests that no training would ever make.

The layout is TensorFlow's `schema.fbs`, version 3; a slot is the number of a field in its table.
"""

import flatbuffers
import numpy as np

FLOAT32, INT32 = 0, 2
_CONCATENATION, _CONCATENATION_OPTIONS = 2, 10


def joined(inputs: dict[str, int], *, element: int = FLOAT32) -> bytes:
    """A model that joins its inputs, in the order of `inputs`; each has so many values, `[1, values]`."""
    builder = flatbuffers.Builder(1024)
    sizes = [*inputs.items(), ("joined", sum(inputs.values()))]
    tensors = [_tensor(builder, name, [1, size], element) for name, size in sizes]
    number = len(inputs)
    options = _table(builder, 2, axis=(0, "Int32", 1))
    operator = _table(
        builder,
        5,
        inputs=(1, "UOffsetT", _numbers(builder, range(number))),
        outputs=(2, "UOffsetT", _numbers(builder, [number])),
        options_type=(3, "Uint8", _CONCATENATION_OPTIONS),
        options=(4, "UOffsetT", options),
    )
    subgraph = _table(
        builder,
        4,
        tensors=(0, "UOffsetT", _offsets(builder, tensors)),
        inputs=(1, "UOffsetT", _numbers(builder, range(number))),
        outputs=(2, "UOffsetT", _numbers(builder, [number])),
        operators=(3, "UOffsetT", _offsets(builder, [operator])),
    )
    code = _table(
        builder, 4, old=(0, "Int8", _CONCATENATION), version=(2, "Int32", 1), code=(3, "Int32", _CONCATENATION)
    )
    model = _table(
        builder,
        5,
        version=(0, "Uint32", 3),
        codes=(1, "UOffsetT", _offsets(builder, [code])),
        subgraphs=(2, "UOffsetT", _offsets(builder, [subgraph])),
        buffers=(4, "UOffsetT", _offsets(builder, [_table(builder, 1)])),
    )
    builder.Finish(model, b"TFL3")
    return bytes(builder.Output())


def _tensor(builder: flatbuffers.Builder, name: str, shape: list[int], element: int) -> int:
    shape_at, name_at = _numbers(builder, shape), builder.CreateString(name)
    return _table(
        builder, 4, shape=(0, "UOffsetT", shape_at), type=(1, "Int8", element), name=(3, "UOffsetT", name_at)
    )


def _table(builder: flatbuffers.Builder, slots: int, **fields: tuple[int, str, int]) -> int:
    """A table of the fields slot, kind and value; a field that is left out has its default."""
    builder.StartObject(slots)
    for slot, kind, value in fields.values():
        if kind == "UOffsetT":
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
    return builder.EndObject()


def _offsets(builder: flatbuffers.Builder, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def _numbers(builder: flatbuffers.Builder, numbers) -> int:
    return builder.CreateNumpyVector(np.array(list(numbers), dtype=np.int32))
