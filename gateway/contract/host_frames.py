"""The frames between a model host and who asks it: length, then msgpack. Pure.

The host speaks first: `Ready`, or `Failure` when the bundle cannot be used. From then on each
`Question` gets one `Answer` or `Failure`, in order.
Numbers are float32 in C order, little-endian as every machine of ours.
"""

import math
import struct
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from gateway.contract.inputs import F32
from gateway.contract.manifest import INPUTS_MAX

# The largest forecaster that a ForecastSpec allows, a day ahead in minutes, takes 211 kB; ENERGY takes 14.
FRAME_BYTES_MAX = 256 * 1024
LENGTH = struct.Struct(">I")

Size = Annotated[int, Meta(ge=1, le=FRAME_BYTES_MAX)]
Shape = Annotated[list[Size], Meta(min_length=1, max_length=8)]


class FrameError(ValueError):
    """The bytes are not a frame of ours."""


class Tensor(msgspec.Struct, frozen=True, array_like=True):
    """One tensor, flat."""

    shape: Shape
    data: bytes


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The bundle is verified and its models, these, are loaded."""

    digest: str
    names: list[str]


class Question(msgspec.Struct, frozen=True, array_like=True, tag="question"):
    """Run the model `name` on these tensors, in the order of the manifest's inputs."""

    name: str
    tensors: Annotated[list[Tensor], Meta(min_length=1, max_length=INPUTS_MAX)]


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """What the model said."""

    tensor: Tensor


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """Why there is no answer."""

    error: str


Frame = Ready | Question | Answer | Failure

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def pack_question(name: str, inputs: Sequence[F32]) -> Question:
    """The question what the model `name` says to `inputs`."""
    return Question(name, [pack_tensor(one) for one in inputs])


def encode_frame(frame: Frame) -> bytes:
    """The bytes of `frame`, its length first."""
    body = _ENCODER.encode(frame)
    assert len(body) <= FRAME_BYTES_MAX, "tensors larger than any model of ours takes"
    return LENGTH.pack(len(body)) + body


def decode_length(head: bytes) -> int:
    """How many bytes follow `head`, which has `LENGTH.size` bytes.

    Raises:
        FrameError: more than a frame may have.
    """
    length: int = LENGTH.unpack(head)[0]
    if length > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {length} bytes, more than {FRAME_BYTES_MAX}")
    return length


def decode_frame(body: bytes) -> Frame:
    """The frame in `body`, which follows its length.

    Raises:
        FrameError: not a frame of ours.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise FrameError(f"a frame cannot be decoded: {error}") from error


def pack_tensor(values: F32) -> Tensor:
    """The numbers as a frame carries them."""
    return Tensor(list(values.shape), np.ascontiguousarray(values, dtype="<f4").tobytes())


def unpack_tensor(tensor: Tensor) -> F32:
    """The numbers that a frame carries; read-only.

    Raises:
        FrameError: the data do not fill the shape.
    """
    if len(tensor.data) != 4 * math.prod(tensor.shape):
        raise FrameError(f"{len(tensor.data)} bytes do not fill float32 {tensor.shape}")
    return np.frombuffer(tensor.data, dtype=np.float32).reshape(tensor.shape)
