import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.forecast_spec import DAY_US, MINUTE_US, energy_spec
from gateway.contract.host_frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    Answer,
    Failure,
    FrameError,
    Question,
    Ready,
    Tensor,
    decode_frame,
    decode_length,
    encode_frame,
    pack_question,
    pack_tensor,
    unpack_tensor,
)
from gateway.contract.inputs import CHANNELS
from gateway.contract.manifest import INPUTS_MAX

VALUES = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
FRAMES = [
    Ready("d" * 64, ["energy_forecast_consumption_96x15min"]),
    pack_question("energy_forecast_consumption_96x15min", [VALUES, VALUES[0]]),
    Answer(pack_tensor(VALUES)),
    Failure("why"),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_survives_the_pipe(frame):
    data = encode_frame(frame)
    length = decode_length(data[: LENGTH.size])
    assert length == len(data) - LENGTH.size
    assert decode_frame(data[LENGTH.size :]) == frame


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_tensor_survives_the_pipe_from_any_memory_order(order):
    assert (unpack_tensor(pack_tensor(VALUES.copy(order))) == VALUES).all()


@pytest.mark.parametrize("count", [0, INPUTS_MAX + 1])
def test_a_question_of_no_tensor_or_too_many_is_refused(count):
    data = encode_frame(pack_question("name", [VALUES] * count))
    with pytest.raises(FrameError):
        decode_frame(data[LENGTH.size :])


def test_the_largest_forecaster_that_can_be_specified_fits_into_a_frame():
    spec = energy_spec(MINUTE_US, DAY_US // MINUTE_US)
    recent = np.zeros((1, spec.recent_steps), np.float32)
    steps = np.zeros((1, spec.rows, CHANNELS), np.float32)
    assert FRAME_BYTES_MAX / 2 < len(encode_frame(pack_question("x" * 100, [recent, steps]))) < FRAME_BYTES_MAX


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
        for tensor in frame.tensors if isinstance(frame, Question) else ():
            unpack_tensor(tensor)
    except FrameError:
        pass


def test_a_length_beyond_the_limit_is_refused():
    assert decode_length(LENGTH.pack(FRAME_BYTES_MAX)) == FRAME_BYTES_MAX
    with pytest.raises(FrameError, match="more than"):
        decode_length(LENGTH.pack(FRAME_BYTES_MAX + 1))


@pytest.mark.parametrize("shape", [[1, 2, 4], [7], [1, 2, 3, 2]])
def test_data_that_do_not_fill_their_shape_are_refused(shape):
    with pytest.raises(FrameError, match="do not fill"):
        unpack_tensor(Tensor(shape, VALUES.tobytes()))
