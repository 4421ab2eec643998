"""The frames between the gateway and its model host: length, then msgpack. Pure.

The host speaks first: `Ready`, or `Failure` when the bundle cannot be used. From then on each
`Question` gets one `Answer` or `Failure`, in order. Numbers are float32 in C order, little-endian
as every machine of ours.
"""

import math
import struct
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from gateway.contract.inputs import F32

# The forecaster's input has 10 kB; a model that needs 25 times that is not for this gateway.
FRAME_BYTES_MAX = 256 * 1024
LENGTH = struct.Struct(">I")

Size = Annotated[int, Meta(ge=1, le=FRAME_BYTES_MAX)]
Shape = Annotated[list[Size], Meta(min_length=1, max_length=8)]


class FrameError(ValueError):
    """The bytes are not a frame of ours."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The bundle is verified and its models are loaded."""

    digest: str
    kinds: list[str]


class Question(msgspec.Struct, frozen=True, array_like=True, tag="question"):
    """Run the model `kind` on this tensor."""

    kind: str
    shape: Shape
    data: bytes


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """What the model said."""

    shape: Shape
    data: bytes


class Failure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """Why there is no answer."""

    error: str


Frame = Ready | Question | Answer | Failure

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """The bytes of `frame`, its length first."""
    body = _ENCODER.encode(frame)
    assert len(body) <= FRAME_BYTES_MAX, "a tensor larger than any model of ours"
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


def tensor_of(frame: Question | Answer) -> F32:
    """The tensor a frame carries.

    Raises:
        FrameError: its data do not fill its shape.
    """
    if len(frame.data) != 4 * math.prod(frame.shape):
        raise FrameError(f"{len(frame.data)} bytes do not fill float32 {frame.shape}")
    return np.frombuffer(frame.data, dtype=np.float32).reshape(frame.shape)
