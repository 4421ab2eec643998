"""The live table: one line per station that a reading passes, from the gateway's own status."""

import sys
from datetime import UTC, datetime
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

# Without a terminal a line every few seconds is enough to see that it lives.
PLAIN_PERIOD_S = 5.0

Status = dict[str, Any]


class Stations:
    """Shows the stations while the site runs: a table on a terminal, plain lines elsewhere."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._console = Console(file=sys.stderr)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._told_s = -PLAIN_PERIOD_S

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, status: Status, elapsed_s: float) -> None:
        """Bring the table up to date."""
        rows = station_rows(status)
        if self._console.is_terminal:
            table = Table("station", "what it does", title=f"The page: {self._address}", title_justify="left")
            for name, text in rows:
                table.add_row(name, text)
            self._live.update(table)
        elif elapsed_s - self._told_s >= PLAIN_PERIOD_S:
            self._told_s = elapsed_s
            facts = dict(rows)
            self._console.print(
                f"{elapsed_s:5.0f} s  {facts['site']}  {facts['store']}  {facts['model']}", soft_wrap=True
            )


def station_rows(status: Status) -> list[tuple[str, str]]:
    """The stations in the order a reading passes them, each with one sentence of facts."""
    power, queue, model = status["power"], status["queue"], status["model"]
    bus = ", ".join(f"{meter['meter']}: {meter['reads']} reads, {meter['errors']} errors" for meter in status["bus"])
    wrong = "; ".join(f"{one['kind']} of {one['series']}" for one in status["anomalies"] if one["active"])
    return [
        ("site", f"{_instant(status['now_us'])}, {_kilowatts(power['consumption_w'])} used"),
        ("bus", bus),
        ("tick", f"{status['tick']['count']} ticks, the latest by {status['tick']['late_ms_max']:.0f} ms at most"),
        ("forecast", _ahead(status)),
        ("decision", status["sentence"]),
        ("anomalies", wrong or "none active"),
        ("store", f"{queue['acknowledged'] + queue['records']} records, {queue['records']} on their way"),
        ("cloud", _trouble(status["upload"]) or f"acknowledged up to {queue['acknowledged']}"),
        ("model", f"release {model['release']} of {model['origin']}, {(model['bundle'] or 'none')[:12]}"),
    ]


def _ahead(status: Status) -> str:
    """The next day's energy, used and made, and the next hour's peak, each with who says so."""
    production = status["production"]
    said = {"used": status["forecast"], "from the sun": production and production["forecast"]}
    parts = [
        f"{sum(one['p50']) * one['step_us'] / 3.6e12:.1f} kWh {which} in the next day ({one['rung']})"
        for which, one in said.items()
        if one is not None
    ]
    if (hour := status["next_hour"]) is not None:
        parts.append(f"at most {_kilowatts(hour['peak_w'][-1])} in the next hour ({hour['rung']})")
    return ", ".join(parts) or "nothing known yet"


def _trouble(upload: dict[str, Any] | None) -> str | None:
    return "no cloud" if upload is None else upload["last_error"]


def _instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%d %b %Y %H:%M")


def _kilowatts(power_w: float | None) -> str:
    return "unknown" if power_w is None else f"{power_w / 1000:.2f} kW"
