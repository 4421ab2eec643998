from zoneinfo import ZoneInfo

import msgspec
import pytest

from firmware_bridge.reading import UtcUs
from gateway.contract.forecast_spec import ENERGY, LOAD
from gateway.contract.records import (
    TEXT_CHARACTERS_MAX,
    AnomalyRecord,
    DecisionRecord,
    ForecastRecord,
    decode_record,
    encode_record,
)
from gateway.core.decision import Expected, decide, is_news

NOW_US = UtcUs(1_700_000_100 * 1_000_000)  # 2023-11-14 22:15 UTC
LAGOS = ZoneInfo("Africa/Lagos")  # an hour ahead of UTC, all year
PEAK_STEP = 8


def forecast(**changes: object) -> ForecastRecord:
    p50 = [1_000] * ENERGY.horizon_steps
    p50[PEAK_STEP] = 4_000
    made = ForecastRecord(NOW_US, "consumption_w", "model", "abc", NOW_US, ENERGY.step_us, p50, p50, p50)
    return msgspec.structs.replace(made, **changes)


def of_the_sun(power_w: int) -> ForecastRecord:
    return forecast(target="production_w", p50=[power_w] * ENERGY.horizon_steps)


def of_the_next_hour() -> ForecastRecord:
    p50 = [900] * LOAD.horizon_steps
    return forecast(kind="load_prediction", step_us=LOAD.step_us, p50=p50, p95=p50, peak=[1_500, 2_340, 3_000, 4_000])


def anomaly(sentence: str = "The solar meter consumes.") -> AnomalyRecord:
    return AnomalyRecord(NOW_US, "sign", "solar.active_power_w", NOW_US, 9.0, None, 0.0, sentence)


def decision(
    *,
    outage_since_us: UtcUs | None = None,
    said: ForecastRecord | None = None,
    production: ForecastRecord | None = None,
    load: ForecastRecord | None = None,
    anomalies: tuple[str, ...] = (),
) -> DecisionRecord:
    return decide(
        NOW_US,
        outage_since_us=outage_since_us,
        expected=Expected(said, production, load),
        anomalies=[anomaly(sentence) for sentence in anomalies],
        zone=LAGOS,
    )


@pytest.mark.parametrize(
    ("made", "verdict", "sentence"),
    [
        (decision(), "normal", "All is well; too little is known yet for a forecast."),
        (
            decision(said=forecast()),
            "normal",
            "All is well; about 24.8 kWh are expected over the next day, most at 01:15 with 4.0 kW.",
        ),
        (
            decision(said=forecast(), production=of_the_sun(350), load=of_the_next_hour()),
            "normal",
            "All is well; about 24.8 kWh are expected over the next day, most at 01:15 with 4.0 kW; "
            "the sun gives about 8.4 kWh; the next hour peaks near 2.3 kW.",
        ),
        (
            decision(said=forecast(), production=of_the_sun(0)),
            "normal",
            "All is well; about 24.8 kWh are expected over the next day, most at 01:15 with 4.0 kW.",
        ),
        (decision(anomalies=("A.",)), "attention", "A."),
        (decision(said=forecast(), anomalies=("A.", "B.", "C.")), "attention", "A. (2 more)"),
        (decision(outage_since_us=NOW_US), "outage", "The grid has been out since 23:15."),
        (
            decision(outage_since_us=NOW_US, said=forecast(), anomalies=("A.",)),
            "outage",
            "The grid has been out since 23:15.",
        ),
    ],
)
def test_an_outage_speaks_before_an_anomaly_and_an_anomaly_before_the_forecast(
    made: DecisionRecord, verdict: str, sentence: str
):
    assert (made.verdict, made.sentence) == (verdict, sentence)


def test_a_decision_names_the_forecast_it_stands_on():
    made = decision(said=forecast(), anomalies=("A.", "B."))
    assert (made.at_us, made.rung, made.bundle, made.anomalies_active) == (NOW_US, "model", "abc", 2)
    assert (made.energy_next_day_wh, made.peak_next_day_w) == (24_750, 4_000)
    without = decision()
    assert (without.rung, without.bundle, without.energy_next_day_wh, without.peak_next_day_w) == (
        "none",
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, decision(), True),
        (decision(), decision(), False),
        (decision(said=forecast()), decision(said=forecast()), False),
        (decision(said=forecast()), decision(said=forecast(bundle="def")), True),
        (decision(said=forecast()), decision(said=forecast(rung="seasonal_naive", bundle=None)), True),
        (decision(said=forecast(bundle=None)), decision(said=forecast(rung="daily_naive", bundle=None)), True),
        (decision(said=forecast()), decision(said=forecast(p50=[1_000] * ENERGY.horizon_steps)), True),
        (decision(), decision(anomalies=("A.",)), True),
        (decision(anomalies=("A.",)), decision(anomalies=("A.", "B.")), True),
        # one trouble went as another came
        (decision(anomalies=("A.",)), decision(anomalies=("B.",)), True),
        (decision(), decision(outage_since_us=NOW_US), True),
        # the grid came back and failed again between two decisions
        (decision(outage_since_us=NOW_US), decision(outage_since_us=UtcUs(NOW_US + 60_000_000)), True),
    ],
)
def test_a_decision_is_news_when_it_says_something_else(
    before: DecisionRecord | None, after: DecisionRecord, news: bool
):
    later = msgspec.structs.replace(after, at_us=UtcUs(NOW_US + 1_000_000))
    assert is_news(before, later) is news


def test_a_decision_about_a_long_sentence_can_be_read_at_home():
    made = decision(anomalies=("x" * TEXT_CHARACTERS_MAX, "B."))
    assert isinstance(decode_record(encode_record(made)), DecisionRecord)
