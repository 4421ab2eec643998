"""Which protocol an address speaks, told by what it answers. Pure.

A converter between a network and a serial line either translates (Modbus TCP: a header of seven bytes,
no CRC) or hands bytes through (RTU over TCP: unit, function, data, CRC). Set the other way round, it
looks like a dead meter.
"""

from collections.abc import Sequence

from firmware_bridge import mbap, rtu
from firmware_bridge.probe.asks import Garbled, Silence, Spoken
from firmware_bridge.probe.plan import QUESTIONS
from firmware_bridge.verdict import State, Verdict

# A number that no RTU frame begins with: the unit would be 0, which is nobody.
_TRANSACTION = 0x0057
# Enough to see what it is: "HTTP/1.1 400 Bad", "SSH-2.0-OpenSSH".
_SHOWN_BYTES_MAX = 16


def hail_frames(unit: int) -> Sequence[bytes]:
    """The same question in each protocol, to be sent on a connection of its own each, in this order."""
    return (
        mbap.read_request(_TRANSACTION, unit, *QUESTIONS[0]).frame,
        rtu.read_request(unit, *QUESTIONS[0]).frame,
    )


def spoken(unit: int, received: bytes) -> Spoken | None:
    """What the bytes that came after a hail are; None while they are no whole answer of either protocol."""
    shown = received[:_SHOWN_BYTES_MAX].hex(" ")
    if _is_answer(mbap.judge(mbap.read_request(_TRANSACTION, unit, *QUESTIONS[0]), received)):
        return Spoken("tcp", shown)
    if _is_answer(rtu.judge(rtu.read_request(unit, *QUESTIONS[0]), received)):
        return Spoken("rtu+tcp", shown)
    return None


def unspoken(received: bytes) -> Garbled | Silence:
    """What to make of bytes that are no answer by the deadline."""
    if not received:
        return Silence()
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in received[:_SHOWN_BYTES_MAX])
    return Garbled(f"{received[:_SHOWN_BYTES_MAX].hex(' ')} ({text})")


def _is_answer(verdict: Verdict) -> bool:
    return verdict.state in (State.ANSWER, State.EXCEPTION)
