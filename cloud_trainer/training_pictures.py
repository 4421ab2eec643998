"""The pictures of a training report: a typical week, errors, reliability, candidates. Needs matplotlib.

Colours are told apart with every kind of colour vision (Okabe and Ito, "Color Universal Design", 2008), and
what matters differs by line and shape too. Time is the site's own.
"""

import io
import math
import warnings
from collections.abc import Sequence
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import DateFormatter, DayLocator
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cloud_trainer.training_report import Candidate, Errors, ModelReport, Samples
from gateway.contract.forecast_spec import MINUTE_US
from gateway.contract.inputs import F64
from gateway.contract.local_time import utc_offset_us

_BLACK, _BLUE, _ORANGE, _GREEN, _GREY = "#1a1a1a", "#0072B2", "#E69F00", "#009E73", "#767676"
_DPI = 120
_WEEK_INCHES, _ERRORS_INCHES, _CANDIDATES_INCHES = (12.0, 4.4), (12.0, 3.9), 9.0
# Beyond this the steps of a week run into one another.
_STEPS_TOLD_APART = 1_000
# A house is read in watts, a business in kilowatts.
_KILOWATTS_FROM_W = 2_000.0
# What is far worse than naive would squeeze all others into a corner: it is drawn as an arrow.
_SKILL_MIN = -0.5


def week_picture(model: ModelReport, samples: Samples) -> bytes:
    """What came, what was said, and the band, over a typical week; where steps are fine, one day of it too. PNG."""
    at = _local(samples.week.start_us, samples.zone)
    has_day = len(at) > _STEPS_TOLD_APART
    figure = _figure((_WEEK_INCHES[0], _WEEK_INCHES[1] * (2 if has_day else 1)))
    panels = [figure.add_subplot(1 + has_day, 1, row + 1) for row in range(1 + has_day)]
    for panel in panels:
        _draw_week(panel, at, model, samples, is_first=panel is panels[0])
    _title(panels[0], f"{model.name}: a typical week at {_short(samples.site)}", f"local time of {samples.zone}")
    panels[0].xaxis.set_major_locator(DayLocator())  # type: ignore[no-untyped-call]  # theirs has no types
    panels[0].xaxis.set_major_formatter(DateFormatter("%a %d %b"))  # type: ignore[no-untyped-call]
    if has_day:
        middle = np.datetime64(at[len(at) // 2], "D")
        day = (middle, middle + np.timedelta64(1, "D"))
        panels[1].set_xlim(*cast("tuple[float, float]", day))
        panels[1].xaxis.set_major_formatter(DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
        _title(panels[1], f"one day of it, {middle}", "")
    _legend(figure)
    return _png(figure)


def errors_picture(model: ModelReport, samples: Samples) -> bytes:
    """Where the errors are: by lead, by hour of the day; and whether the quantiles mean what they say. PNG."""
    figure = _figure(_ERRORS_INCHES)
    by_lead, by_hour, reliability = figure.subplots(1, 3, width_ratios=(1.3, 1.3, 1))
    every = (*samples.by_lead.mae_w, *samples.by_lead.baseline_mae_w, *samples.by_hour.baseline_mae_w)
    per, unit = _power_unit(every)
    minutes = model.step_us / MINUTE_US
    in_hours = model.horizon_steps * minutes > 120
    lead = (np.arange(model.horizon_steps) + 1) * (minutes / 60 if in_hours else minutes)
    _error_lines(by_lead, lead, samples.by_lead, per, samples.baseline)
    by_lead.set_xlabel(f"end of the step ahead, {'h' if in_hours else 'min'}")
    by_lead.set_ylabel(f"error, {unit}")
    _title(by_lead, "Error by lead", "")
    _error_lines(by_hour, np.arange(24) + 0.5, samples.by_hour, per, None)
    by_hour.set_xlabel("hour of the day, local")
    by_hour.set_xticks(range(0, 25, 4))
    _title(by_hour, "Error by hour", samples.zone)
    _reliability(reliability, model.quantiles, samples)
    _legend(figure)
    return _png(figure)


def candidates_picture(model: ModelReport) -> bytes:
    """The skill of everybody who competed: a dot for each seed, a bar at their mean. PNG."""
    ranked = sorted((one for one in model.candidates if one.seeds), key=_mean_skill)
    figure = _figure((_CANDIDATES_INCHES, 1.4 + 0.36 * len(ranked)))
    axes = figure.subplots()
    for height, one in enumerate(ranked):
        colour = _BLUE if one.name == model.chosen else _BLACK if one.role == "candidate" else _GREY
        skills = [seed.scores.skill for seed in one.seeds]
        axes.plot(skills, [height] * len(skills), "o", color=colour, alpha=0.55, markersize=6)
        axes.plot([_mean_skill(one)], [height], "|", color=colour, markersize=18, markeredgewidth=2.4)
        if _mean_skill(one) < _SKILL_MIN:
            axes.text(_SKILL_MIN, height, f" \u25c4 {_mean_skill(one):.2f}", color=colour, va="center", fontsize=9)
    axes.axvline(0, color=_GREY, linewidth=1)
    names = [f"{_short(one.name)} (chosen)" if one.name == model.chosen else _short(one.name) for one in ranked]
    axes.set_yticks(range(len(ranked)), names)
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.set_xlim(left=max(axes.get_xlim()[0], _SKILL_MIN))
    axes.set_xlabel("skill against the better naive forecast (0: no better, 1: perfect)")
    _title(axes, f"{model.name}: who competed", "test part; dots are seeds")
    return _png(figure)


def _draw_week(
    axes: Axes, at: NDArray[np.datetime64], model: ModelReport, samples: Samples, *, is_first: bool
) -> None:
    """Labelled in one panel alone, for the figure has one legend."""
    week = samples.week
    per, unit = _power_unit([*week.actual_w, *week.baseline_w])
    quantiles = [np.array(line) / per for line in week.quantiles_w]
    median = quantiles[model.quantiles.index(0.5)]
    prefix = "" if is_first else "_"  # matplotlib leaves such names out of the legend
    # In the order of the legend; what matters most lies on top.
    axes.plot(at, np.array(week.actual_w) / per, color=_BLACK, linewidth=1.1, zorder=5, label=f"{prefix}measured")
    axes.plot(at, median, color=_BLUE, linewidth=1.6, zorder=4, label=f"{prefix}median")
    for low, high, alpha in _bands(model.quantiles):
        label = f"{prefix}{model.quantiles[low]:.0%} to {model.quantiles[high]:.0%}"
        axes.fill_between(at, quantiles[low], quantiles[high], color=_BLUE, alpha=alpha, linewidth=0, label=label)
    baseline_label = f"{prefix}{samples.baseline}"
    axes.plot(at, np.array(week.baseline_w) / per, color=_ORANGE, linewidth=1, linestyle="--", label=baseline_label)
    if not any(one < 0 for one in week.actual_w):
        axes.set_ylim(bottom=0)
    axes.set_ylabel(f"average power, {unit}")
    axes.margins(x=0)


def _error_lines(axes: Axes, at: F64, errors: Errors, per: float, baseline: str | None) -> None:
    """Labelled where `baseline` is given."""
    lines = (
        (errors.mae_w, _BLUE, 2.0, "-", "mean absolute error"),
        (errors.bias_w, _BLUE, 1.2, ":", "mean error (forecast - measured)"),
        (errors.baseline_mae_w, _ORANGE, 1.4, "--", baseline),
    )
    axes.axhline(0, color=_GREY, linewidth=0.8)
    for values, colour, width, style, name in lines:
        label = name if baseline is not None else None
        axes.plot(at, np.array(values) / per, color=colour, linewidth=width, linestyle=style, label=label)
    axes.margins(x=0.01)


def _reliability(axes: Axes, nominal: Sequence[float], samples: Samples) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    axes.plot(nominal, samples.observed, "o-", color=_BLUE, markersize=7, linewidth=1.2, label="as trained")
    if samples.observed_calibrated is not None:
        axes.plot(
            nominal, samples.observed_calibrated, "D--", color=_GREEN, markersize=6, linewidth=1.2, label="calibrated"
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    # Labels of levels that lie closer would overlap.
    told = [level for level in nominal if all(level <= one or level - one > 0.1 for one in nominal)]
    axes.set_xticks(told, [f"{level:.0%}" for level in told])
    axes.set_yticks(told, [f"{level:.0%}" for level in told])
    axes.set_xlabel("said: so many below")
    axes.set_ylabel("found")
    _title(axes, "Reliability", "on the line: as said")


def _bands(quantiles: Sequence[float]) -> list[tuple[int, int, float]]:
    """Pairs of quantiles that enclose the median, the widest first, and how strongly each is filled."""
    median = quantiles.index(0.5)
    lows = list(range(median))
    highs = list(range(len(quantiles) - 1, median, -1))
    if not lows:
        return []
    pairs = [(lows[min(number, len(lows) - 1)], high) for number, high in enumerate(highs)]
    return [(low, high, 0.14 if number + 1 < len(pairs) else 0.28) for number, (low, high) in enumerate(pairs)]


def _power_unit(values: Sequence[float]) -> tuple[float, str]:
    """What to divide watts by, and the name of that."""
    highest = max((abs(one) for one in values if math.isfinite(one)), default=0.0)
    return (1_000.0, "kW") if highest >= _KILOWATTS_FROM_W else (1.0, "W")


def _local(start_us: Sequence[int], zone: str) -> NDArray[np.datetime64]:
    """Wall time: an hour that comes twice is drawn twice."""
    at_us = np.array(start_us, dtype=np.int64)
    return (at_us + utc_offset_us(at_us, ZoneInfo(zone))).astype("datetime64[us]")


def _mean_skill(one: Candidate) -> float:
    skills = [seed.scores.skill for seed in one.seeds]
    mean = sum(skills) / len(skills)
    return mean if math.isfinite(mean) else -math.inf


def _short(text: str) -> str:
    """Foreign text in a picture: one line, no mathematics, and not for ever."""
    line = " ".join(text.split()).replace("$", r"\$")
    return line if len(line) <= 40 else f"{line[:39]}…"


def _figure(inches: tuple[float, float]) -> Figure:
    figure = Figure(figsize=inches, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _title(axes: Axes, title: str, remark: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_title(remark, loc="right", fontsize=9, color=_GREY)
    axes.grid(visible=True, color="#e3e3e3", linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure) -> None:
    figure.legend(loc="outside lower center", ncols=6, frameon=False, fontsize=9)


def _png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # A name in letters that the font lacks is drawn as boxes; report.md has it in full.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(drawn, format="png", facecolor="white")
    return drawn.getvalue()
