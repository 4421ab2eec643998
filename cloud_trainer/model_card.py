"""The model card: what people must know of a forecaster before they trust it. Pure."""

from datetime import UTC, datetime

from gateway.contract.manifest import Training

_CARD = """\
# Energy forecast

Forecasts a site's consumption for the next 24 hours, 96 steps of 15 minutes, as the quantiles 0.1, 0.5
and 0.9 of the average power of each step.

- **Model**: step-MLP, one small dense network applied to each step ahead; float32, {model_bytes} bytes.
- **Input**: the last seven days, scaled by their own spread; calendar in the site's local time. Days that
  are not known yet may be missing. Defined in `gateway/contract/inputs.py`.
- **Data**: {data}
- **Instants**: {first} to {last} (of the generated calendar).
- **Made by**: `{command}`

## How good it is

On sites it never learnt from, at later instants than it learnt from. Errors are in units of each week's
own spread; skill is 1 - error / error of the naive forecast, so 0 is no better.

| metric | value |
| --- | --- |
{rows}

`cold_*`: two days after a cold start. `homes_*`, `workshops_*`: these sites alone. `skill_worst_site`: the
worst single site, against the better of both naive forecasts there.

## What it is not for

- It has seen generated loads only. On a site of its own kind it can be worse than a naive forecast: the
  gateway always computes one beside it.
- It does not know the weather, holidays or prices, and cannot foresee an outage of the grid.
- The band (0.1 to 0.9) is calibrated on average over sites, not for each of them.
"""


def model_card(training: Training, *, model_bytes: int) -> str:
    """The card of one model, Markdown."""
    return _CARD.format(
        model_bytes=model_bytes,
        data=training.data,
        first=_day(training.first_us),
        last=_day(training.last_us),
        command=training.command,
        rows="\n".join(f"| {name} | {value:g} |" for name, value in training.metrics.items()),
    )


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date().isoformat()
