import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ENERGY
from gateway.contract.records import AnomalyRecord, ForecastRecord
from gateway.core.residual import BAND_RATED_FRACTION, BAND_WIDTHS, ResidualRule

START_US = UtcUs(1_700_000_100 * 1_000_000)
RATED_W = 20_000.0
LOW_W, HIGH_W = 1_000, 3_000
# Where trouble begins: so many band widths beyond the band.
ABOVE_W = HIGH_W + BAND_WIDTHS * (HIGH_W - LOW_W)
BELOW_W = LOW_W - BAND_WIDTHS * (HIGH_W - LOW_W)


def step(index: int) -> UtcUs:
    return UtcUs(START_US + index * ENERGY.step_us)


def forecast(index: int, low_w: int = LOW_W, high_w: int = HIGH_W) -> ForecastRecord:
    middle_w = (low_w + high_w) // 2
    return ForecastRecord(
        UtcUs(step(index) - 1),
        "consumption_w",
        "seasonal_naive",
        None,
        step(index),
        ENERGY.step_us,
        p10=[low_w, -9],
        p50=[middle_w, -9],
        p90=[high_w, -9],
    )


def verdicts(means_w: list[float | None], *, out: tuple[int, ...] = ()) -> list[AnomalyRecord | None]:
    """One look per step, each with a fresh forecast of it; the grid failed in the steps of `out`."""
    rule, given = ResidualRule(RATED_W), []
    for index, mean_w in enumerate(means_w):
        rule.expect(forecast(index))
        given.append(rule.look(step(index), mean_w, grid_was_up=index not in out))
    return given


OK, HIGH, LOW = 2_000.0, ABOVE_W + 1, BELOW_W - 1


@pytest.mark.parametrize(
    ("means_w", "out", "trouble"),
    [
        ([OK, OK, OK], (), []),
        ([ABOVE_W, ABOVE_W, ABOVE_W], (), []),
        ([BELOW_W, BELOW_W, BELOW_W], (), []),
        ([HIGH], (), []),
        ([HIGH, HIGH], (), [1]),
        ([LOW, LOW], (), [1]),
        ([HIGH, LOW], (), [1]),
        ([HIGH, HIGH, HIGH], (), [1, 2]),
        ([HIGH, OK, HIGH], (), []),
        ([HIGH, OK, HIGH, HIGH], (), [3]),
        ([HIGH, None, HIGH], (), []),
        ([HIGH, HIGH, None, HIGH, HIGH], (), [1, 4]),
        ([HIGH, HIGH], (0,), []),
        ([HIGH, HIGH], (1,), []),
        ([LOW, LOW, LOW, LOW], (1,), [3]),
    ],
)
def test_trouble_begins_with_the_second_step_in_a_row_far_outside(
    means_w: list[float | None], out: tuple[int, ...], trouble: list[int]
):
    assert [index for index, record in enumerate(verdicts(means_w, out=out)) if record is not None] == trouble


def test_the_record_says_what_was_seen_what_was_expected_and_since_when():
    record = verdicts([OK, HIGH, HIGH])[2]
    assert record is not None
    assert (record.kind, record.series) == ("residual", "consumption_w")
    assert (record.since_us, record.at_us) == (step(1), step(2))
    assert (record.observed, record.expected_low, record.expected_high) == (HIGH, LOW_W, HIGH_W)
    assert "far more than the 1.0 to 3.0 kW expected" in record.sentence
    low = verdicts([LOW, LOW])[1]
    assert low is not None
    assert "far less than" in low.sentence


def test_a_narrow_band_is_widened_to_a_share_of_the_rating():
    width_w = RATED_W * BAND_RATED_FRACTION
    for excess_w, is_trouble in ((BAND_WIDTHS * width_w, False), (BAND_WIDTHS * width_w + 1, True)):
        rule = ResidualRule(RATED_W)
        for index in range(2):
            rule.expect(forecast(index, 500, 500))
            record = rule.look(step(index), 500 + excess_w, grid_was_up=True)
        assert (record is not None) is is_trouble


def test_a_step_is_judged_only_by_a_forecast_that_began_with_it():
    rule = ResidualRule(RATED_W)
    assert rule.look(step(0), HIGH, grid_was_up=True) is None
    rule.expect(forecast(2))
    assert rule.look(step(1), HIGH, grid_was_up=True) is None
    assert rule.look(step(2), HIGH, grid_was_up=True) is None, "its first step outside"
    assert rule.look(step(2), HIGH, grid_was_up=True) is None, "each forecast judges one step once"
