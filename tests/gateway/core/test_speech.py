from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD_SLOW
from gateway.core.speech import sentence
from gateway.core.track import Track

ZONE = ZoneInfo("UTC")


def judged(errors_w: float, baseline_w: float, days: int) -> Track:
    """A track on which a model was off by so much for so many days, beside baselines that were off by so much."""
    track = Track(LOAD_SLOW, "consumption_w", ZONE)
    track.silence = None
    rows = np.ones(LOAD_SLOW.rows)
    for start_us in range(0, days * DAY_US, DAY_US // 24):
        track.standing.issue(start_us, dict.fromkeys(track.baselines, rows * baseline_w), rows * errors_w)
        for step in range(4):
            track.standing.observe(start_us + step * LOAD_SLOW.step_us, 0.0)
    return track


@pytest.mark.parametrize(
    ("track", "said"),
    [
        (judged(80.0, 100.0, 1), "the model speaks; how good it is here is not known yet."),
        (judged(80.0, 100.0, 5), "the model speaks; it was better by 20% than the same time last week over"),
        (judged(200.0, 100.0, 10), "the model has been worse than the same time last week over the last 14 days, so"),
    ],
)
def test_it_is_said_who_speaks_and_why(track: Track, said: str):
    assert sentence(track).startswith(f"Power of the next hour: {said}")
    assert sentence(track).endswith(".")


def test_both_can_speak_together():
    mixes = (judged(100.0, -80.0, days) for days in range(3, 7))
    mixed = next(one for one in mixes if 0 < one.standing.speaker.share < 1)
    assert (
        f"the model speaks with {mixed.standing.speaker.share:.0%}, the same time last week with the rest"
        in sentence(mixed)
    )


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        ("unknown_site", "the sky as it is speaks; the model does once it knows the site well enough."),
        ("no_answer", "the sky as it is speaks; no model answered."),
    ],
)
def test_where_the_model_is_silent_the_baseline_speaks(silence, said: str):
    track = Track(ENERGY, "production_w", ZONE)
    track.silence = silence
    assert sentence(track) == f"Energy from the sun: {said}"
