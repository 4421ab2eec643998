"""One wire that many want: who may send from when until when, and what that adds up to. Pure, takes `now`.

Times are monotonic seconds. Every byte takes its character time and every frame the silence after
it, whatever a master does, so the wire can never have carried more than fits into the time.
"""

from typing import NamedTuple

import msgspec

from firmware_bridge.simulator.uart import Framing


class Slot(NamedTuple):
    """When a frame is on the wire; the silence comes after `end_s`."""

    start_s: float
    end_s: float


class WireCounts(msgspec.Struct):
    """What a line has carried since it was opened or the counts were reset."""

    # bytes on the wire in both directions
    bytes: int = 0
    requests: int = 0
    # frames with something in them that the line sent back
    replies: int = 0
    # the time those bytes took, and a silence after each frame
    wire_s: float = 0.0
    # from the first byte of the first request to the end of the silence after the last frame
    elapsed_s: float = 0.0
    # requests that began before the silence was over; they had to wait, and count here
    early: int = 0
    # requests no unit could understand: wrong CRC, length, speed or parity
    garbled: int = 0
    # bytes that found the buffer of the adapter full and are lost
    overrun: int = 0


class Wire:
    """A half-duplex wire: one frame at a time, a silence after each."""

    def __init__(self) -> None:
        self.counts = WireCounts()
        # when the silence after the last frame is over
        self.free_at_s = 0.0
        self._began_s: float | None = None

    def reset(self) -> None:
        """Count anew."""
        self.counts = WireCounts()
        self._began_s = None

    def begin_request(self, now_s: float, count: int, framing: Framing) -> Slot:
        """A master sends the first `count` bytes of a request at `now_s`."""
        self.counts.requests += 1
        if now_s < self.free_at_s:
            self.counts.early += 1
        return self._carry(max(now_s, self.free_at_s), count, framing, silence_s=framing.silence_s)

    def go_on(self, slot: Slot, now_s: float, count: int, framing: Framing) -> Slot:
        """The request of `slot` goes on with `count` more bytes, before its silence was over."""
        more = self._carry(max(now_s, slot.end_s), count, framing, silence_s=0.0)
        return Slot(slot.start_s, more.end_s)

    def send(self, due_s: float, count: int, framing: Framing) -> Slot:
        """A unit sends `count` bytes, at `due_s` or as soon after as the wire is silent."""
        self.counts.replies += 1
        return self._carry(max(due_s, self.free_at_s), count, framing, silence_s=framing.silence_s)

    def disturb(self, now_s: float, count: int, framing: Framing) -> Slot:
        """`count` bytes that keep no silence and that no transaction needs."""
        slot = Slot(start := max(now_s, self.free_at_s), start + count * framing.character_s)
        self.free_at_s = slot.end_s
        return slot

    def _carry(self, start_s: float, count: int, framing: Framing, *, silence_s: float) -> Slot:
        slot = Slot(start_s, start_s + count * framing.character_s)
        self.free_at_s = slot.end_s + framing.silence_s
        if self._began_s is None:
            self._began_s = start_s
        self.counts.bytes += count
        self.counts.wire_s += count * framing.character_s + silence_s
        self.counts.elapsed_s = self.free_at_s - self._began_s
        return slot
