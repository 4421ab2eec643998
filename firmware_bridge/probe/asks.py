"""What the probe asks and what it hears. Pure.

Every ask and every answer is a plain struct that can be written to a file and read again: that is
what makes an interrupted probe go on where it was.
"""

from typing import Literal

import msgspec

from firmware_bridge.map_file import Protocol

WireKind = Literal["serial", "tcp", "rtu+tcp"]
Parity = Literal["N", "E", "O"]
# What may be said to a device that nobody knows: none of these functions changes anything in it.
FUNCTIONS = frozenset({3, 4, 43})


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """One way to speak on the line under probe; the four settings are those of a serial line."""

    kind: WireKind
    baud: int = 9600
    parity: Parity = "N"
    data_bits: Literal[7, 8] = 8
    stop_bits: Literal[1, 2] = 1

    @property
    def bits_per_character(self) -> int:
        """Start, data, parity and stop bits."""
        return 1 + self.data_bits + (self.parity != "N") + self.stop_bits

    @property
    def told(self) -> str:
        """As an installer says it: "19200 8E1", "Modbus TCP"."""
        if self.kind == "serial":
            return f"{self.baud} {self.data_bits}{self.parity}{self.stop_bits}"
        return "Modbus TCP" if self.kind == "tcp" else "RTU over TCP"


class Read(msgspec.Struct, frozen=True, tag=True):
    """These registers of this unit."""

    wire: Wire
    unit: int
    function: int
    address: int
    count: int
    timeout_s: float


class Identify(msgspec.Struct, frozen=True, tag=True):
    """Read Device Identification, function 43 with MEI type 14."""

    wire: Wire
    unit: int
    timeout_s: float


class Hail(msgspec.Struct, frozen=True, tag=True):
    """The same question as Modbus TCP and then as RTU, to hear which of them an address understands."""

    unit: int
    timeout_s: float


class Listen(msgspec.Struct, frozen=True, tag=True):
    """Be quiet and hear who sends by himself."""

    wire: Wire
    duration_s: float


Ask = Read | Identify | Hail | Listen


class Words(msgspec.Struct, frozen=True, tag=True):
    """The registers that were asked for."""

    words: tuple[int, ...]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A Modbus exception: somebody is there."""

    code: int


class Texts(msgspec.Struct, frozen=True, tag=True):
    """The objects of Read Device Identification, by number."""

    texts: dict[int, str]


class Silence(msgspec.Struct, frozen=True, tag=True):
    """No answer came until the deadline."""

    # units that answered earlier questions meanwhile, too late
    late_units: tuple[int, ...] = ()


class Garbled(msgspec.Struct, frozen=True, tag=True):
    """Bytes came that answer nothing; why they were refused."""

    reason: str


class Dropped(msgspec.Struct, frozen=True, tag=True):
    """The connection was refused or closed."""

    reason: str


class Unfit(msgspec.Struct, frozen=True, tag=True):
    """The adapter cannot do this speed or parity."""


class Spoken(msgspec.Struct, frozen=True, tag=True):
    """What a hail brought: the wire that was understood, or None, and the bytes that showed it."""

    kind: Literal["tcp", "rtu+tcp"] | None
    shown: str


class Sender(msgspec.Struct, frozen=True):
    """A device that sends by itself: what it calls itself, and the codes of what it sends."""

    protocol: Protocol
    name: str
    codes: tuple[str, ...]


class Overheard(msgspec.Struct, frozen=True, tag=True):
    """What was heard while being quiet."""

    senders: tuple[Sender, ...]
    # bytes that made no frame of any of them
    bytes_unknown: int = 0


Heard = Words | Refused | Texts | Silence | Garbled | Dropped | Unfit | Spoken | Overheard

# Modbus Application Protocol V1.1b3, 7: these say that the device lacks what was asked for. All others
# (busy, failed, a gateway's) say nothing of what it is.
LACKING_CODES = frozenset({1, 2, 3})
