"""What a Modbus request asks, and what the bytes received since it left mean. Pure.

The words that rtu.py and mbap.py share: a frame may come late, broken, or from somebody else, and
each kind is counted, because the cure differs: wiring, a deadline, a second master.
"""

from enum import StrEnum

import msgspec

# Modbus Application Protocol V1.1b3, 6.3, 6.4, 6.21 and 7.
READS = frozenset({3, 4})
IDENTIFY = 0x2B
_IDENTIFY_KIND = 0x0E
# Application Protocol 4.1: function and data, on every wire.
PDU_BYTES_MAX = 253
EXCEPTION_BIT = 0x80

_EXCEPTIONS = {
    0x01: "illegal function",
    0x02: "illegal address",
    0x03: "illegal value",
    0x04: "device failure",
    0x06: "device busy",
    0x08: "memory parity error",
    0x0A: "gateway path unavailable",
    0x0B: "gateway target silent",
}
# With these a TCP gateway says that it cannot reach the meter behind it: to us the meter is silent.
GATEWAY_CODES = frozenset({0x0A, 0x0B})


class Fault(StrEnum):
    """What kept a frame from being the answer."""

    CRC = "crc"
    LENGTH = "length"
    UNIT = "unit"
    FUNCTION = "function"
    # not Modbus TCP at all
    PROTOCOL = "protocol"
    # it answers an earlier request
    OTHER_ANSWER = "other_answer"


class Request(msgspec.Struct, frozen=True):
    """A request as it left: `count` registers, 0 for identification.

    `frame` are its bytes, by which an echo is known; empty when there is none to expect.
    """

    unit: int
    function: int
    count: int
    frame: bytes = b""
    # of Modbus TCP; 0 in a reply counts as this one unless the peer is known to echo the number
    transaction: int = 0
    is_transaction_echoed: bool = False

    @property
    def data_bytes(self) -> int:
        """How many bytes of registers the answer carries."""
        return 2 * self.count


class Frame(msgspec.Struct, frozen=True):
    """A whole frame that came and is not the answer: `count` registers, 0 when it carries none."""

    unit: int
    function: int
    count: int
    fault: Fault = Fault.OTHER_ANSWER


class State(StrEnum):
    """How a request stands."""

    WAITING = "waiting"
    ANSWER = "answer"
    EXCEPTION = "exception"
    REFUSED = "refused"


class Verdict(msgspec.Struct, frozen=True):
    """What the bytes received since a request left mean.

    An ANSWER has its `frame` and, for a read, the registers; an EXCEPTION its `frame` and `code`; a
    refusal its `fault`, said for people in `detail`. `rest` came behind the frame. `passed_over` are
    whole frames that are not the answer, in the order they came.
    """

    state: State
    frame: bytes = b""
    words: tuple[int, ...] = ()
    code: int = 0
    fault: Fault | None = None
    detail: str = ""
    rest: bytes = b""
    passed_over: tuple[Frame, ...] = ()


WAITING = Verdict(State.WAITING)


def exception_name(code: int) -> str:
    """What an exception code means."""
    return _EXCEPTIONS.get(code, "unknown")


def objects_end(received: bytes, at: int) -> int | None:
    """Where an identification reply ends whose function code stands at `at`; None while it is not known to be one.

    Application Protocol 6.21: function, 0x0E, code, conformity, more, next, number of objects; then
    id, length and bytes of each.
    """
    end = at + 7
    if len(received) < end or received[at + 1] != _IDENTIFY_KIND:
        return None
    for _ in range(received[end - 1]):
        if len(received) < end + 2:
            return None
        end += 2 + received[end + 1]
        if end - at > PDU_BYTES_MAX:
            return None
    return end
