"""Which blocks to read of a meter, so that all its values cost the wire as little as possible. Pure.

A block costs one request and its registers, at its pace. A hole is read through when that is cheaper
than another request; a slow register (an energy counter) rides along in a fast block when that is
cheaper than a block of its own at its slower pace.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from firmware_bridge.map_file import MapFile
from firmware_bridge.profile import Profile, Register
from firmware_bridge.read_limits import aligned, evened, unreadable

# Seconds between sweeps where the caller does not say; the default of the gateway.
SWEEP_PERIOD_S = 1.0
# What a meter is taken to need before it answers, in seconds. A guess that decides only how long a hole may
# be that is read through, and whether a slow register rides.
TURN_AROUND_SERIAL_S = 0.02
TURN_AROUND_TCP_S = 0.005
# 2 bytes at 100 Mbit/s.
_REGISTER_TCP_S = 1.6e-7
# Modbus over Serial Line V1.02: unit, function, address, count, CRC; unit, function, length, CRC.
_REQUEST_CHARACTERS = 8
_REPLY_CHARACTERS = 5
_REGISTER_CHARACTERS = 2
# The same, 2.5.1.1: silence before and after each frame.
_SILENCE_CHARACTERS = 3.5
_SILENCE_MIN_S = 0.00175


class Block(msgspec.Struct, frozen=True):
    """One request: `count` registers from `address`, and the measured registers among them, in order.

    It is due every `period_s` seconds; 0 for each sweep. `even` devices want an even address and count.
    """

    function: int
    address: int
    count: int
    registers: tuple[Register, ...]
    period_s: float = 0.0
    even: bool = False


class WireCost(msgspec.Struct, frozen=True):
    """Seconds that the wire is taken by one more request, and by one more register in a request."""

    request_s: float
    register_s: float

    @classmethod
    def of_tcp(cls) -> "WireCost":
        """Modbus TCP: registers cost next to nothing."""
        return cls(TURN_AROUND_TCP_S, _REGISTER_TCP_S)

    @classmethod
    def of_serial(cls, character_s: float) -> "WireCost":
        """Modbus RTU on a line that takes `character_s` for a character with its start, parity and stop bits."""
        silences_s = 2 * max(_SILENCE_CHARACTERS * character_s, _SILENCE_MIN_S)
        frames_s = (_REQUEST_CHARACTERS + _REPLY_CHARACTERS) * character_s
        return cls(frames_s + silences_s + TURN_AROUND_SERIAL_S, _REGISTER_CHARACTERS * character_s)


TCP = WireCost.of_tcp()


def plan(profile: Profile, wire: WireCost = TCP, sweep_period_s: float = SWEEP_PERIOD_S) -> list[Block]:
    """Blocks that hold every register once and whole, within the limits of the device; fast blocks first.

    For registers of one pace there is no cheaper plan. With slower ones beside them, the plan costs at
    most `1 + fast period / slow period` times the cheapest (added up, where there are several paces), 1.1
    for counters of 10 s: blocks for each pace by itself, with a slow copy of each fast block of the cheapest
    plan for what rides there, cost no more.
    """
    cost = WireCost(wire.request_s + profile.file.pause_s, wire.register_s)
    registers = sorted(profile.registers, key=lambda one: (one.function, one.address, one.measurand))
    blocks: list[Block] = []
    for function, group in groupby(registers, key=lambda one: one.function):
        planner = _Planner(function, profile.file, cost, sweep_period_s)
        blocks += planner.plan(list(group))
    return sorted(blocks, key=lambda block: (block.period_s, block.function, block.address))


def split(block: Block) -> tuple[Block, Block] | None:
    """Two blocks for the registers of one, as long as each other as can be; None when it holds one register.

    For a device that refuses a read: it is too long for this firmware, or there is a register that this
    firmware does not have. Halving finds out which.
    """
    row = sorted(block.registers, key=lambda one: (one.start, one.end))
    cuts = [(_part(block, row[:place]), _part(block, row[place:])) for place in range(1, len(row))]
    return min(cuts, key=lambda halves: max(half.count for half in halves), default=None)


def without_holes(block: Block) -> list[Block]:
    """The registers of a block in blocks that read nothing between them, for a device that refuses that."""
    groups: list[list[Register]] = []
    end = 0
    for register in sorted(block.registers, key=lambda one: (one.start, one.end)):
        if groups and register.start <= end:
            groups[-1].append(register)
        else:
            groups.append([register])
        end = max(end, register.end)
    return [_part(block, group) for group in groups]


def _part(block: Block, registers: Sequence[Register]) -> Block:
    start, end = min(one.start for one in registers), max(one.end for one in registers)
    address, count = evened(start, end) if block.even else (start, end - start)
    row = tuple(sorted(registers, key=lambda one: (one.address, one.measurand)))
    return msgspec.structs.replace(block, address=address, count=count, registers=row)


class _Span(NamedTuple):
    """Registers `[start, end)` that one value needs, as the device wants to be asked for them, at a pace."""

    start: int
    end: int
    period_s: float
    register: Register

    def holds(self, other: "_Span") -> bool:
        return self.start <= other.start and other.end <= self.end


class _Planner:
    """Plans the registers of one function of one device."""

    def __init__(self, function: int, file: MapFile, cost: WireCost, sweep_period_s: float) -> None:
        self._function, self._file, self._cost, self._sweep_period_s = function, file, cost, sweep_period_s

    def plan(self, registers: Sequence[Register]) -> list[Block]:
        """The cheapest of three plans: slow registers may make fast blocks longer, some must, none may."""
        spans = [self._span(register) for register in registers]
        plans = [
            self._by_pace(spans, with_riders=True),
            self._by_pace([_hurried(span, spans) for span in spans], with_riders=True),
            self._by_pace(spans, with_riders=False),
        ]
        return min(plans, key=lambda blocks: sum(map(self._block_cost, blocks)))

    def _by_pace(self, spans: list[_Span], *, with_riders: bool) -> list[Block]:
        """Fix the fastest blocks; they take along what lies in them; then the next pace, from what is left.

        Slow registers are cut anew at their pace, because a slow block may reach across a fast one.
        """
        blocks = []
        while spans:
            fastest_s = min(span.period_s for span in spans)
            leaders = _leaders(spans) if with_riders else _outer([s for s in spans if s.period_s == fastest_s])
            for whole in self._cheapest_cut(leaders):
                if whole.period_s == fastest_s:
                    blocks.append(self._block(whole, [span for span in spans if whole.holds(span)]))
                    spans = [span for span in spans if not whole.holds(span)]
        return blocks

    def _cheapest_cut(self, row: Sequence[_Span]) -> list[_Span]:
        """The row, in which no span holds another, cut where it costs least per second: dynamic programming.

        `best[n]` is the least cost of the first `n` spans and where its last block begins. Blocks of
        neighbours are enough: of two blocks that mingle, the first can take all that lies in it, and
        neither grows.
        """
        best: list[tuple[float, int]] = [(0.0, 0)]
        for last, span in enumerate(row):
            options = []
            period_s = span.period_s
            for first in range(last, -1, -1):
                start = row[first].start
                if first < last and unreadable(self._file, start, span.end):
                    break
                period_s = min(period_s, row[first].period_s)
                options.append((best[first][0] + self._per_second(span.end - start, period_s), first))
            best.append(min(options))
        cut, end = [], len(row)
        while end:
            first = best[end][1]
            period_s = min(span.period_s for span in row[first:end])
            cut.append(_Span(row[first].start, row[end - 1].end, period_s, row[first].register))
            end = first
        return cut[::-1]

    def _per_second(self, count: int, period_s: float) -> float:
        return (self._cost.request_s + self._cost.register_s * count) / period_s

    def _block_cost(self, block: Block) -> float:
        return self._per_second(block.count, max(block.period_s, self._sweep_period_s))

    def _span(self, register: Register) -> _Span:
        address, count = aligned(self._file, register.start, register.end)
        return _Span(address, address + count, max(register.period_s, self._sweep_period_s), register)

    def _block(self, whole: _Span, spans: Sequence[_Span]) -> Block:
        is_slow = whole.period_s > self._sweep_period_s
        return Block(
            function=self._function,
            address=whole.start,
            count=whole.end - whole.start,
            registers=tuple(span.register for span in spans),
            period_s=whole.period_s if is_slow else 0.0,
            even=self._file.even,
        )


def _hurried(span: _Span, spans: Sequence[_Span]) -> _Span:
    """The span at the pace of the fastest that lies in it."""
    return span._replace(period_s=min(other.period_s for other in spans if span.holds(other)))


def _leaders(spans: Sequence[_Span]) -> list[_Span]:
    """Spans that blocks are made for: the others come along, or hold a faster one and wait for their turn."""
    return [
        span
        for span in _outer(spans)
        if not any(span.holds(other) and other.period_s < span.period_s for other in spans)
    ]


def _outer(spans: Sequence[_Span]) -> list[_Span]:
    """By rising start, without those that lie in another one that is at least as fast."""
    kept: list[_Span] = []
    for span in sorted(spans, key=lambda one: (one.period_s, one.start, -one.end)):
        if not any(other.holds(span) for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda one: one.start)
