import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.shell.host_frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    Answer,
    Failure,
    FrameError,
    Question,
    Ready,
    decode_frame,
    decode_length,
    encode_frame,
    tensor_of,
)

TENSOR = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
FRAMES = [
    Ready("d" * 64, ["energy_forecast"]),
    Question("energy_forecast", [1, 2, 3], TENSOR.tobytes()),
    Answer([1, 2, 3], TENSOR.tobytes()),
    Failure("why"),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_survives_the_pipe(frame):
    data = encode_frame(frame)
    length = decode_length(data[: LENGTH.size])
    assert length == len(data) - LENGTH.size
    assert decode_frame(data[LENGTH.size :]) == frame


def test_a_tensor_survives_the_pipe():
    assert (tensor_of(Answer([1, 2, 3], TENSOR.tobytes())) == TENSOR).all()


@pytest.mark.parametrize("frame", FRAMES)
def test_every_truncation_is_refused(frame):
    body = encode_frame(frame)[LENGTH.size :]
    for end in range(len(body)):
        with pytest.raises(FrameError):
            decode_frame(body[:end])


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_frame_or_a_frame_error(body):
    try:
        frame = decode_frame(body)
        if isinstance(frame, Question | Answer):
            tensor_of(frame)
    except FrameError:
        pass


def test_a_length_beyond_the_limit_is_refused():
    assert decode_length(LENGTH.pack(FRAME_BYTES_MAX)) == FRAME_BYTES_MAX
    with pytest.raises(FrameError, match="more than"):
        decode_length(LENGTH.pack(FRAME_BYTES_MAX + 1))


@pytest.mark.parametrize("shape", [[1, 2, 4], [7], [1, 2, 3, 2]])
def test_data_that_do_not_fill_their_shape_are_refused(shape):
    with pytest.raises(FrameError, match="do not fill"):
        tensor_of(Answer(shape, TENSOR.tobytes()))
