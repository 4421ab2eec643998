"""Who speaks in a forecast, and why, in words for people. Pure."""

from collections.abc import Mapping
from math import isnan
from typing import Final

from gateway.contract.forecast_spec import ForecastKind
from gateway.contract.manifest import ForecastTarget
from gateway.core.baseline import Baseline
from gateway.core.standing import SHARE_DAYS, Speaker
from gateway.core.track import Track

_SUBJECTS: Final[Mapping[tuple[ForecastKind, ForecastTarget], str]] = {
    ("energy_forecast", "consumption_w"): "Energy of the next day",
    ("energy_forecast", "production_w"): "Energy from the sun",
    ("load_prediction", "consumption_w"): "Power of the next hour",
}
_BASELINES: Final[Mapping[Baseline, str]] = {
    "smart_persistence": "the sky as it is",
    "seasonal_naive": "the same time last week",
    "daily_naive": "the same time yesterday",
    "last_value": "the last value",
}


def sentence(track: Track) -> str:
    """One sentence: who speaks and why."""
    speaker = track.standing.speaker
    subject, baseline = _SUBJECTS[track.spec.kind, track.target], _BASELINES[speaker.baseline]
    if track.silence == "unknown_site":
        return f"{subject}: {baseline} speaks; the model does once it knows the site well enough."
    if track.silence == "no_answer":
        return f"{subject}: {baseline} speaks; no model answered."
    return f"{subject}: {_judged(speaker, baseline, track.standing.skill(SHARE_DAYS))}."


def _judged(speaker: Speaker, baseline: str, skill: float) -> str:
    days = f"over the last {SHARE_DAYS} days"
    if speaker.share == 0:
        return f"the model has been worse than {baseline} {days}, so {baseline} speaks"
    if speaker.share < 1:
        return f"the model speaks with {speaker.share:.0%}, {baseline} with the rest; together they were best {days}"
    if isnan(skill):
        return "the model speaks; how good it is here is not known yet"
    better = f"better by {skill:.0%}" if skill >= 0 else f"worse by {-skill:.0%}"
    return f"the model speaks; it was {better} than {baseline} {days}"
