"""The residual rule: consumption that stays outside the forecast's band. Pure."""

from dataclasses import dataclass

from firmware_bridge.reading import UtcUs
from gateway.contract.records import AnomalyRecord, ForecastRecord

# Steps in a row outside, and how far in band widths: a band of 80 % is left every fifth step anyway.
STEPS_MIN = 2
BAND_WIDTHS = 4.0
# A band narrower than this share of the site's rating is confidence, not knowledge.
BAND_RATED_FRACTION = 0.05


@dataclass(frozen=True, slots=True)
class _Expected:
    """The band of one step: issued before it began."""

    low_w: float
    high_w: float


class ResidualRule:
    """Compares each finished step with what the last forecast before it said."""

    def __init__(self, rated_power_w: float) -> None:
        self._width_min_w = rated_power_w * BAND_RATED_FRACTION
        self._expected: dict[UtcUs, _Expected] = {}
        self._outside_since_us: UtcUs | None = None
        self._outside_steps = 0

    def expect(self, forecast: ForecastRecord) -> None:
        """Remember the first step of a forecast: the freshest word on it."""
        self._expected = {forecast.start_us: _Expected(forecast.p10[0], forecast.p90[0])}

    def look(self, start_us: UtcUs, mean_w: float | None, *, grid_was_up: bool) -> AnomalyRecord | None:
        """The trouble after the step that began at `start_us`, or None."""
        expected = self._expected.pop(start_us, None)
        if expected is None or mean_w is None or not grid_was_up:
            self._outside_steps = 0
            return None
        width = max(expected.high_w - expected.low_w, self._width_min_w)
        outside_w = max(expected.low_w - mean_w, mean_w - expected.high_w)
        if outside_w <= BAND_WIDTHS * width:
            self._outside_steps = 0
            return None
        if self._outside_steps == 0:
            self._outside_since_us = start_us
        self._outside_steps += 1
        if self._outside_steps < STEPS_MIN:
            return None
        assert self._outside_since_us is not None
        direction = "more" if mean_w > expected.high_w else "less"
        return AnomalyRecord(
            at_us=start_us,
            kind="residual",
            series="consumption_w",
            since_us=self._outside_since_us,
            observed=round(mean_w, 1),
            expected_low=expected.low_w,
            expected_high=expected.high_w,
            sentence=f"The site draws {mean_w / 1000:.1f} kW, far {direction} than the "
            f"{expected.low_w / 1000:.1f} to {expected.high_w / 1000:.1f} kW expected.",
        )
