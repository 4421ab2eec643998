"""What a device that sends by itself told at once, and why frames of such devices are refused. Pure."""

from enum import StrEnum

import msgspec

from firmware_bridge.reading import UtcUs

# A number or a text, and its unit as the device writes it: "" where it names none.
Value = tuple[float | str, str]


class Frame(msgspec.Struct, frozen=True):
    """One frame that passed every check of its protocol.

    `sender` is the number of a sensor, the equipment id of a P1 meter, the server id of an SML meter:
    when it changes on a line, somebody changed the device.
    """

    sender: str
    # key or OBIS code -> value
    values: dict[str, Value]
    # what the meter's own clock says: evidence of its error, never the time of a reading
    meter_clock_us: UtcUs | None = None


class Refusal(StrEnum):
    """What kept bytes from becoming a frame; each reader counts them."""

    # more bytes than any honest frame has
    LENGTH = "length"
    # begun and never properly ended, or ended wrongly
    FRAMING = "framing"
    CRC = "crc"
    # whole, and not what the protocol says
    BODY = "body"
    # two values for one name: the pieces of two frames, or a mistake of the sender
    DUPLICATE = "duplicate"
    # without a CRC, and not of the same form as the one before
    UNPROVEN = "unproven"


class RefusedError(ValueError):
    """Inside a reader only: this frame is refused."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason
        super().__init__(reason)
