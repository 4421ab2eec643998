"""Lives of energy counters, made up without looking at how the gateway judges them.

A meter counts true energy. What it shows may roll over, be reset or replaced; what is read of it may be
a sentinel, a dip, a spike, or nothing for days. Everything is drawn from one seed.
"""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

S = 1_000_000
# No guess of the counter's: what these meters are behind, and how long their reads lie apart.
RATED_W = (1_000.0, 11_000.0, 22_000.0, 250_000.0)
PERIOD_S = (1, 10, 60, 900)


class Shown(StrEnum):
    """What a read shows."""

    TRUE = "true"
    SENTINEL = "sentinel"
    ZERO = "zero"
    DIP = "dip"
    SPIKE = "spike"


class Happening(StrEnum):
    """What happens to the meter itself."""

    ROLL_OVER = "roll_over"
    RESET = "reset"
    SWAP = "swap"
    SILENT_SWAP = "silent_swap"


@dataclass(frozen=True, slots=True)
class Read:
    """One read: what came, and what was so."""

    at_us: int
    value: float | None
    identity: str | None
    shown: Shown
    # energy that really flowed since the first read
    true_wh: float


@dataclass(slots=True)
class History:
    """A counter's life: its reads, and before which of them something happened to the meter."""

    rated_w: float
    raw_unit_wh: float
    is_float: bool
    wraps_at_wh: float | None
    reads: list[Read] = field(default_factory=list)
    happened: dict[int, Happening] = field(default_factory=dict)


class _Meter:
    """Counts what flows; shows whole raw units, modulo its end."""

    def __init__(self, draw: random.Random, history: History, ends_at_wh: float) -> None:
        self._draw, self._history, self._ends_at_wh = draw, history, ends_at_wh
        self.identity: str | None = None
        self._count_wh = draw.uniform(0, 1) ** 4 * ends_at_wh

    def flow(self, energy_wh: float) -> bool:
        """Count; whether it rolled over."""
        self._count_wh += energy_wh
        if self._count_wh < self._ends_at_wh:
            return False
        self._count_wh -= self._ends_at_wh
        return True

    def stand_before_its_end(self, energy_wh: float) -> None:
        self._count_wh = max(self._ends_at_wh - energy_wh, 0.0)

    def reset(self) -> None:
        self._count_wh = 0.0

    def replace(self, identity: str | None) -> None:
        self.identity = identity
        self._count_wh = self._draw.uniform(0, 1) ** 6 * self._ends_at_wh

    def shown_wh(self) -> float:
        raw = self._count_wh / self._history.raw_unit_wh
        if self._history.is_float:
            rounded: float = struct.unpack(">f", struct.pack(">f", raw))[0]
            return rounded * self._history.raw_unit_wh
        return int(raw) * self._history.raw_unit_wh


def live(
    seed: int, *, reads: int = 36, glitches: Sequence[Shown] = tuple(Shown), happenings: float = 0.06
) -> History:
    """One history; the first two and the last six reads are true, and power flows at the end.

    `glitches` are what a read in seven shows, `happenings` how often something befalls the meter itself.
    """
    draw = random.Random(seed)
    history, ends_at_wh = _make(draw)
    meter = _Meter(draw, history, ends_at_wh)
    knows_serial = draw.random() < 0.5
    meter.identity = "A0" if knows_serial else None
    period_s = draw.choice(PERIOD_S)
    if draw.random() < 0.3:
        meter.stand_before_its_end(history.rated_w * period_s / 3600 * draw.uniform(0, reads / 2))
    at_us, true_wh, power_w = 1_700_000_000 * S, 0.0, draw.uniform(0, 1) * history.rated_w
    for place in range(reads):
        is_calm = place < 2 or place >= reads - 6
        if place:
            elapsed_s = period_s * draw.uniform(0.9, 1.1)
            if not is_calm and draw.random() < 0.05:
                elapsed_s *= draw.choice([5, 50, 86_400 / period_s, 3 * 86_400 / period_s])
            if draw.random() < 0.2 or is_calm:
                power_w = history.rated_w * (draw.uniform(0.3, 1) if is_calm else draw.choice([0, 0, 0.01, 0.5, 1]))
            happening = _befall(draw, meter, knows_serial) if draw.random() < happenings and not is_calm else None
            energy_wh = power_w * elapsed_s / 3600
            true_wh += energy_wh
            at_us += round(elapsed_s * S)
            if meter.flow(energy_wh):
                happening = Happening.ROLL_OVER
            if happening is not None:
                history.happened[place] = happening
        shown = Shown.TRUE if is_calm or draw.random() > 0.15 else draw.choice(glitches)
        history.reads.append(Read(at_us, _show(draw, shown, meter, ends_at_wh), meter.identity, shown, true_wh))
    return history


def _make(draw: random.Random) -> tuple[History, float]:
    rated_w = draw.choice(RATED_W)
    if draw.random() < 0.25:
        return History(rated_w, 1000.0, True, None), 1e9
    raw_unit_wh = draw.choice([1.0, 10.0, 100.0])
    ends_at_wh = raw_unit_wh * draw.choice([2.0**32, 1e6, 1e8])
    return History(rated_w, raw_unit_wh, False, draw.choice([None, ends_at_wh])), ends_at_wh


def _befall(draw: random.Random, meter: _Meter, knows_serial: bool) -> Happening:
    happening = draw.choice([Happening.RESET, Happening.SWAP if knows_serial else Happening.SILENT_SWAP])
    if happening is Happening.RESET:
        meter.reset()
    else:
        meter.replace(f"B{draw.randrange(1000)}" if knows_serial else None)
    return happening


def _show(draw: random.Random, shown: Shown, meter: _Meter, ends_at_wh: float) -> float | None:
    true_wh = meter.shown_wh()
    match shown:
        case Shown.SENTINEL:
            return None
        case Shown.ZERO:
            return 0.0
        case Shown.DIP:
            return true_wh * draw.uniform(0, 1)
        case Shown.SPIKE:
            return true_wh + draw.uniform(0, 1) ** 3 * ends_at_wh
        case Shown.TRUE:
            return true_wh
