"""Which reader makes frames of the bytes of which protocol. Pure."""

from collections import Counter
from typing import Protocol, assert_never

from firmware_bridge import map_file
from firmware_bridge.frames.frame import Frame, Refusal
from firmware_bridge.frames.p1 import P1Reader
from firmware_bridge.frames.sensor import SensorReader
from firmware_bridge.frames.sml import SmlReader


class FrameReader(Protocol):
    """Bytes of one line in, in pieces of any size; frames out.

    It holds one frame at most, never raises, works in proportion to what it is fed, and finds the
    next frame after any garbage.
    """

    # how many frames were refused, by reason
    refused: Counter[Refusal]

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in the order of the line."""
        ...


def reader_of(protocol: map_file.Protocol) -> FrameReader:
    """A new reader for a line that speaks `protocol`; Modbus devices are asked, and have none."""
    match protocol:
        case "sensor":
            return SensorReader()
        case "p1":
            return P1Reader()
        case "sml":
            return SmlReader()
        case "modbus":
            raise AssertionError("Modbus devices do not send by themselves")
    assert_never(protocol)
