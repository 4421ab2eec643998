import msgspec
import pytest

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError


def test_a_frame_cannot_be_changed():
    with pytest.raises(AttributeError):
        Frame("7", {}).sender = "8"


def test_a_frame_without_a_clock_has_none():
    assert Frame("7", {}).meter_clock_us is None


def test_a_frame_can_be_kept_and_read_again():
    frame = Frame("7", {"temperature_c": (21.5, ""), "1-0:96.1.0": ("x", "")})
    assert msgspec.json.decode(msgspec.json.encode(frame), type=Frame) == frame


def test_a_refusal_names_its_reason():
    assert RefusedError(Refusal.CRC).reason is Refusal.CRC
    assert str(RefusedError(Refusal.CRC)) == "crc"
