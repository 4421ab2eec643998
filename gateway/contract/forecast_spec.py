"""What a forecaster looks back on and ahead to: its steps, its horizon, its quantiles. Pure.

`ENERGY` and `LOAD` (or `LOAD_SLOW`, where meters are read too seldom for five minutes) are what a gateway
runs. Others exist for evaluation on recordings of another cadence: the definition is the same.
"""

from dataclasses import dataclass
from typing import Literal

ForecastKind = Literal["energy_forecast", "load_prediction"]

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
# Four weeks: the same weekday four times. A site that is younger has unknown values there.
HISTORY_DAYS = 28
# What the linear layer sees value by value: three days and a half. On a recording of a transformer a day alone
# costs five percent of error at an hour ahead.
RECENT_US = 84 * 60 * MINUTE_US
# Coarser, and a day has no shape; finer, and four weeks do not fit into the memory of a small board.
STEP_US_MIN, STEP_US_MAX = MINUTE_US, 60 * MINUTE_US
# A day ahead is as far as "the same time yesterday" is known for every step.
HORIZON_US_MAX = DAY_US


@dataclass(frozen=True, slots=True)
class ForecastSpec:
    """One kind of forecast: `horizon_steps` steps of `step_us`, at these quantiles of the average power.

    With `has_peak`, one more row after the steps tells the highest of them.
    """

    kind: ForecastKind
    step_us: int
    horizon_steps: int
    quantiles: tuple[float, ...]
    has_peak: bool
    # what lies behind and is shown to the linear layer value by value
    recent_steps: int

    def __post_init__(self) -> None:
        if not (STEP_US_MIN <= self.step_us <= STEP_US_MAX and DAY_US % self.step_us == 0):
            raise ValueError(f"a step of {self.step_us} us is not a part of a day from 1 to 60 min")
        if not 0 < self.horizon_steps * self.step_us <= HORIZON_US_MAX:
            raise ValueError(f"{self.horizon_steps} steps ahead are none, or more than a day")
        if not 0 < self.recent_steps <= self.history_steps - 7 * self.day_steps:
            raise ValueError(f"{self.recent_steps} recent steps leave no week before them")
        if 0.5 not in self.quantiles or list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError(f"quantiles {self.quantiles} do not rise, or lack the median")

    @property
    def day_steps(self) -> int:
        """Steps of a day of 24 hours."""
        return DAY_US // self.step_us

    @property
    def history_steps(self) -> int:
        """Steps of the past that inputs are made from."""
        return HISTORY_DAYS * self.day_steps

    @property
    def rows(self) -> int:
        """Rows of a model's tensors: one for each step, and one for the peak."""
        return self.horizon_steps + self.has_peak

    @property
    def median(self) -> int:
        """Which of the quantiles is the median."""
        return self.quantiles.index(0.5)


def energy_spec(step_us: int, horizon_steps: int) -> ForecastSpec:
    """How much energy over the next hours: 10, 50 and 90 % of each step's average power."""
    levels = (0.1, 0.5, 0.9)
    return ForecastSpec(
        "energy_forecast", step_us, horizon_steps, levels, has_peak=False, recent_steps=RECENT_US // step_us
    )


def load_spec(step_us: int, horizon_steps: int) -> ForecastSpec:
    """How much power in the next hour, and its peak: 10, 50, 90 and 95 %."""
    levels = (0.1, 0.5, 0.9, 0.95)
    return ForecastSpec(
        "load_prediction", step_us, horizon_steps, levels, has_peak=True, recent_steps=RECENT_US // step_us
    )


ENERGY = energy_spec(15 * MINUTE_US, 96)
LOAD = load_spec(5 * MINUTE_US, 12)
LOAD_SLOW = load_spec(15 * MINUTE_US, 4)
# What a gateway can be asked to run.
SPECS = (ENERGY, LOAD, LOAD_SLOW)
