"""What a line does to the replies on it: functions on messages and frames, and a seeded source of chance.

They hold for Modbus RTU and TCP alike: a message is what a unit wants to say, a frame the bytes
that carry it. Which faults are on is a table that may change at any time.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from firmware_bridge.simulator.line_settings import OF_THE_LINE, FaultKind, WireFaultSettings

_EXCEPTION_BIT = 0x80


class Message(NamedTuple):
    """What a unit wants to say, before it is framed."""

    unit: int
    pdu: bytes


class Struck(NamedTuple):
    """A reply as it is after the faults of its message: None is silence."""

    message: Message | None
    delay_s: float
    # the faults that strike its frame, once there is one
    of_frame: tuple[WireFaultSettings, ...]


class WireFaults:
    """The faults of one line, and whose turn it is to be struck."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - to be the same in every run, not to be secret
        self._faults: list[_Running] = []
        self._frame_before = b""

    def add(self, fault: WireFaultSettings, now_s: float) -> None:
        """Let `fault` come, its times counted from `now_s`."""
        from_s = now_s + fault.at_s
        until_s = float("inf") if fault.for_s is None else from_s + fault.for_s
        self._faults.append(_Running(fault, from_s, until_s))

    def clear(self) -> None:
        """Take back all of them."""
        self._faults.clear()

    def is_babbling(self, now_s: float) -> bool:
        """Whether noise is on the line all the time, so that no unit can make out a request."""
        return any(one.fault.kind == "babble" and one.from_s <= now_s < one.until_s for one in self._faults)

    def on_message(self, message: Message, now_s: float) -> Struck:
        """What becomes of a reply that a unit is about to give."""
        faults = [one.fault for one in self._faults if one.strikes(message.unit, now_s)]
        struck: Message | None = message
        for fault in faults:
            if struck is not None and fault.kind in _ON_MESSAGE:
                struck = _ON_MESSAGE[fault.kind](struck, fault)
        delay_s = sum(fault.delay_s for fault in faults if fault.kind == "delay")
        return Struck(struck, delay_s, tuple(fault for fault in faults if fault.kind in _ON_FRAME))

    def on_frame(self, frame: bytes, faults: tuple[WireFaultSettings, ...]) -> bytes:
        """The bytes that arrive of `frame`."""
        arriving = frame
        for fault in faults:
            arriving = _ON_FRAME[fault.kind](arriving, _Blow(fault, self._random, self._frame_before))
        self._frame_before = frame
        return arriving

    def noise(self, count: int) -> bytes:
        """`count` bytes of babble."""
        return self._random.randbytes(count)


class _Running:
    """A fault with its times, and how often it could have struck."""

    def __init__(self, fault: WireFaultSettings, from_s: float, until_s: float) -> None:
        self.fault, self.from_s, self.until_s = fault, from_s, until_s
        self._chances = 0

    def strikes(self, unit: int, now_s: float) -> bool:
        """Whether it strikes this reply; each reply is asked about once."""
        if self.fault.kind in OF_THE_LINE or self.fault.unit not in (None, unit):
            return False
        if not self.from_s <= now_s < self.until_s:
            return False
        self._chances += 1
        return self._chances % self.fault.every == 0


class _Blow(NamedTuple):
    """What a fault needs to strike a frame."""

    fault: WireFaultSettings
    random: Random
    frame_before: bytes

    def falls(self) -> bool:
        """Whether chance strikes here."""
        return self.random.random() < self.fault.rate


def _silence(_message: Message, _: WireFaultSettings) -> None:
    """Nobody answers."""


def _exception(message: Message, fault: WireFaultSettings) -> Message:
    return Message(message.unit, bytes((message.pdu[0] | _EXCEPTION_BIT, fault.code)))


def _wrong_unit(message: Message, _: WireFaultSettings) -> Message:
    """As from its neighbour, 1 after 247."""
    return Message(message.unit % 247 + 1, message.pdu)


def _wrong_function(message: Message, _: WireFaultSettings) -> Message:
    """Reading 3 becomes 4 and 4 becomes 3, any other function its neighbour."""
    function = message.pdu[0]
    other = 7 - function if function in (3, 4) else function ^ 1
    return Message(message.unit, bytes((other,)) + message.pdu[1:])


def _truncated(frame: bytes, blow: _Blow) -> bytes:
    """The end is missing; one byte stays, else it would be silence."""
    return frame[: max(1, len(frame) - blow.fault.bytes_count)]


def _merged(frame: bytes, blow: _Blow) -> bytes:
    """Glued to the reply before it, which comes again; the first one to itself."""
    return (blow.frame_before or frame) + frame


def _garbage_before(frame: bytes, blow: _Blow) -> bytes:
    return blow.random.randbytes(blow.fault.bytes_count) + frame


def _garbage_after(frame: bytes, blow: _Blow) -> bytes:
    return frame + blow.random.randbytes(blow.fault.bytes_count)


def _flips(frame: bytes, blow: _Blow) -> bytes:
    return bytes(byte ^ sum(1 << bit for bit in range(8) if blow.falls()) for byte in frame)


def _drops(frame: bytes, blow: _Blow) -> bytes:
    return bytes(byte for byte in frame if not blow.falls())


def _duplicates(frame: bytes, blow: _Blow) -> bytes:
    return b"".join(bytes((byte,)) * (1 + blow.falls()) for byte in frame)


_ON_MESSAGE: dict[FaultKind, Callable[[Message, WireFaultSettings], Message | None]] = {
    "silence": _silence,
    "exception": _exception,
    "wrong_unit": _wrong_unit,
    "wrong_function": _wrong_function,
}
_ON_FRAME: dict[FaultKind, Callable[[bytes, _Blow], bytes]] = {
    "truncated": _truncated,
    "merged": _merged,
    "garbage_before": _garbage_before,
    "garbage_after": _garbage_after,
    "flips": _flips,
    "drops": _drops,
    "duplicates": _duplicates,
}
