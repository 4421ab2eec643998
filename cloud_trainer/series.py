"""What the trainer knows of one site: its average power, step by step. Pure.

Steps are aligned to the UTC epoch, as on the gateway. A step nobody measured is NaN; nothing is ever
filled (`cloud_trainer.gaps` says why).
"""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np

from gateway.contract.forecast_spec import DAY_US
from gateway.contract.inputs import F64, I64, Mask
from gateway.contract.local_time import utc_offset_us
from gateway.contract.manifest import ForecastTarget

# A coarse step stands on at least half of its fine ones, as a step on the gateway on half of its polls.
_KNOWN_SHARE_MIN = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class SiteSeries:
    """One site: the average power of consecutive steps from `start_us`, watts, NaN where unknown."""

    name: str
    organisation: str
    zone: ZoneInfo
    start_us: int
    step_us: int
    consumption_w: F64  # [steps], positive while drawing
    production_w: F64 | None = None  # [steps], positive while producing; None: no solar

    def __post_init__(self) -> None:
        if self.step_us <= 0 or DAY_US % self.step_us or self.start_us % self.step_us:
            raise ValueError(f"{self.start_us} us is no beginning of a step of {self.step_us} us")
        if self.production_w is not None and len(self.production_w) != len(self.consumption_w):
            raise ValueError(f"{len(self.production_w)} steps of production, {len(self.consumption_w)} of the rest")

    def __len__(self) -> int:
        return len(self.consumption_w)

    @property
    def end_us(self) -> int:
        """Where the last step ends."""
        return self.start_us + len(self) * self.step_us

    @property
    def span_days(self) -> float:
        """Days of 24 hours from the first step to the end of the last, known or not."""
        return (self.end_us - self.start_us) / DAY_US

    @property
    def targets(self) -> tuple[ForecastTarget, ...]:
        """What of this site can be forecast."""
        return ("consumption_w",) if self.production_w is None else ("consumption_w", "production_w")

    def power_w(self, target: ForecastTarget) -> F64:
        """One of the two, `[steps]`.

        Raises:
            KeyError: production of a site without solar.
        """
        if target == "consumption_w":
            return self.consumption_w
        if self.production_w is None:
            raise KeyError(target)
        return self.production_w

    def known(self, target: ForecastTarget) -> Mask:
        """Which steps were measured, `[steps]`."""
        return np.isfinite(self.power_w(target))

    def at_us(self) -> I64:
        """Where each step begins, `[steps]`."""
        return self.start_us + np.arange(len(self), dtype=np.int64) * self.step_us

    def local_day(self) -> I64:
        """The day of the site's own calendar that each step begins in, counted from 1970, `[steps]`."""
        at_us = self.at_us()
        return np.asarray((at_us + utc_offset_us(at_us, self.zone)) // DAY_US)

    def part(self, first: int, end: int) -> "SiteSeries":
        """The steps from `first` to before `end`, cut at the ends of the series."""
        first, end = min(max(first, 0), len(self)), min(max(end, 0), len(self))
        production_w = None if self.production_w is None else self.production_w[first:end]
        return replace(
            self,
            start_us=self.start_us + first * self.step_us,
            consumption_w=self.consumption_w[first:end],
            production_w=production_w,
        )

    def between(self, start_us: int, end_us: int) -> "SiteSeries":
        """The steps that lie wholly within this time."""
        return self.part(
            -((self.start_us - start_us) // self.step_us), max((end_us - self.start_us) // self.step_us, 0)
        )

    def coarser(self, step_us: int) -> "SiteSeries":
        """The same in longer steps: the mean of what is known, where that is at least half.

        Raises:
            ValueError: `step_us` is no multiple of the series' own step.
        """
        if step_us % self.step_us:
            raise ValueError(f"{step_us} us is no multiple of {self.step_us} us")
        if step_us == self.step_us:
            return self
        start_us = self.start_us // step_us * step_us
        before = (self.start_us - start_us) // self.step_us
        production_w = None
        if self.production_w is not None:
            production_w = _block_mean(self.production_w, before, step_us // self.step_us)
        consumption_w = _block_mean(self.consumption_w, before, step_us // self.step_us)
        return replace(
            self, start_us=start_us, step_us=step_us, consumption_w=consumption_w, production_w=production_w
        )


def _block_mean(power_w: F64, before: int, steps: int) -> F64:
    """Means of blocks of `steps`, the first of which lacks its first `before`; NaN where less than half is known."""
    after = -(before + len(power_w)) % steps
    blocks = np.concatenate([np.full(before, np.nan), power_w, np.full(after, np.nan)]).reshape(-1, steps)
    known = np.isfinite(blocks)
    count = known.sum(axis=-1)
    mean = np.where(known, blocks, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count >= _KNOWN_SHARE_MIN * steps, mean, np.nan)
