"""What must hold for any bytes: one function for each reader of frames, for a driver that finds bytes."""

from collections.abc import Callable
from math import isfinite

from firmware_bridge.catalog import load_profile
from firmware_bridge.frames.fields import FieldDecoder
from firmware_bridge.frames.frame import Frame
from firmware_bridge.frames.p1 import TELEGRAM_BYTES_MAX, P1Reader
from firmware_bridge.frames.reader import FrameReader
from firmware_bridge.frames.sensor import FRAME_BYTES_MAX, SensorReader
from firmware_bridge.frames.sml import FILE_BYTES_MAX, SmlReader
from tests.firmware_bridge.frames import golden, p1_encoder, sensor_encoder, sml_encoder

# A reader may hold a frame and the word behind it.
_SLACK = 16
_DECODERS = {
    SensorReader: FieldDecoder(load_profile("serial_sensor").fields),
    P1Reader: FieldDecoder(load_profile("dsmr_p1").fields),
    SmlReader: FieldDecoder(load_profile("sml_meter").fields),
}


def fuzz_sensor(data: bytes) -> None:
    """As it comes, and as the body of a frame that is otherwise right."""
    _check(SensorReader, data, golden.SENSOR_JSON, FRAME_BYTES_MAX)
    _check(SensorReader, sensor_encoder.framed(data), golden.SENSOR_CBOR, FRAME_BYTES_MAX)


def fuzz_p1(data: bytes) -> None:
    """As it comes, and as the lines of a telegram that is otherwise right."""
    _check(P1Reader, data, golden.DSMR_5, TELEGRAM_BYTES_MAX)
    text = data.decode("latin-1")
    whole = b"/SWE5X\r\n" + text.encode("latin-1") + b"\r\n!"
    _check(P1Reader, whole + f"{p1_encoder.arc(whole):04X}\r\n".encode(), golden.DSMR_5, TELEGRAM_BYTES_MAX)


def fuzz_sml(data: bytes) -> None:
    """As it comes, as the file in a transport that is right, and as the entries of a list in one."""
    _check(SmlReader, data, golden.SML, FILE_BYTES_MAX)
    _check(SmlReader, sml_encoder.transported(data), golden.SML, FILE_BYTES_MAX)
    _check(SmlReader, sml_encoder.transported(sml_encoder.list_message(b"S", [data])), golden.SML, FILE_BYTES_MAX)


TARGETS: dict[str, Callable[[bytes], None]] = {"sensor": fuzz_sensor, "p1": fuzz_p1, "sml": fuzz_sml}
# A word of the language of each, for a driver that likes to begin with something.
SEEDS: dict[str, list[bytes]] = {
    "sensor": [golden.SENSOR_JSON, golden.SENSOR_CBOR],
    "p1": [golden.DSMR_5, golden.DSMR_2, golden.SWEDISH],
    "sml": [golden.SML],
}


def _check(kind: Callable[[], FrameReader], data: bytes, good: bytes, bytes_max: int) -> None:
    reader = kind()
    frames = reader.feed(data)
    for frame in frames:
        _check_values(frame)
        assert all(value is None or isfinite(value) for value in _DECODERS[kind].decode(frame))
    # every frame and every refusal took bytes: the work is bounded by the input
    assert len(frames) + reader.refused.total() <= len(data)
    assert held_bytes(reader) <= bytes_max + _SLACK
    # whatever came, one good frame is lost at most, and the next is read
    assert len([*reader.feed(good), *reader.feed(good)]) >= 1


def _check_values(frame: Frame) -> None:
    for key, (value, unit) in frame.values.items():
        assert key.isascii()
        assert len(unit) <= 64
        assert isinstance(value, str) or isfinite(value)


def held_bytes(reader: object) -> int:
    """What a reader remembers of its line."""
    total = 0
    for name in ("_held", "_lines"):
        held = getattr(reader, name, b"")
        total += sum(len(line) + 1 for line in held) if isinstance(held, list) else len(held)
    return total
