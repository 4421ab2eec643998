import io
from typing import Any

import pytest
from rich.console import Console

from provisioning.demo.stations import PLAIN_PERIOD_S, Stations, station_rows

ADDRESS = "http://127.0.0.1:8480/"


def young() -> dict[str, Any]:
    """A gateway that has only just begun."""
    return {
        "now_us": 1_767_571_200_000_000,
        "sentence": "Starting.",
        "power": {"consumption_w": None, "grid_w": None, "solar_w": None, "at_us": None},
        "forecast": None,
        "production": {"forecast": None, "actual": None},
        "next_hour": None,
        "anomalies": [],
        "queue": {"records": 1, "acknowledged": 0},
        "upload": {"last_error": None},
        "model": {"bundle": None, "release": None, "origin": None, "rung": None},
        "bus": [{"meter": "main", "reads": 0, "errors": 0}],
        "tick": {"count": 0, "late_ms_max": 0.0},
    }


def busy() -> dict[str, Any]:
    return {
        "now_us": 1_767_571_200_000_000,
        "sentence": "All is well.",
        "power": {"consumption_w": 1234.0, "grid_w": 2000.0, "solar_w": -766.0, "at_us": 0},
        "forecast": {"p50": [1000] * 96, "step_us": 900_000_000, "rung": "model"},
        "production": {
            "forecast": {"p50": [250] * 96, "step_us": 900_000_000, "rung": "smart_persistence"},
            "actual": None,
        },
        "next_hour": {"peak_w": [1000, 1500, 2000, 2340], "rung": "mix"},
        "anomalies": [
            {"kind": "stuck", "series": "main", "active": True},
            {"kind": "spike", "series": "main.active_power_w", "active": False},
        ],
        "queue": {"records": 20, "acknowledged": 480},
        "upload": {"last_error": None},
        "model": {"bundle": "ab" * 32, "release": 2, "origin": "installed", "rung": "model"},
        "bus": [{"meter": "main", "reads": 900, "errors": 1}, {"meter": "solar", "reads": 901, "errors": 0}],
        "tick": {"count": 450, "late_ms_max": 12.6},
    }


def test_stations_stand_in_the_order_that_a_reading_passes_them_and_say_what_they_did():
    assert station_rows(busy()) == [
        ("site", "05 Jan 2026 00:00, 1.23 kW used"),
        ("bus", "main: 900 reads, 1 errors, solar: 901 reads, 0 errors"),
        ("tick", "450 ticks, the latest by 13 ms at most"),
        (
            "forecast",
            "24.0 kWh used in the next day (model), 6.0 kWh from the sun in the next day (smart_persistence), "
            "at most 2.34 kW in the next hour (mix)",
        ),
        ("decision", "All is well."),
        ("anomalies", "stuck of main"),
        ("store", "500 records, 20 on their way"),
        ("cloud", "acknowledged up to 480"),
        ("model", "release 2 of installed, abababababab"),
    ]


def test_what_is_not_known_yet_is_said_in_words():
    rows = dict(station_rows(young()))
    assert rows["site"].endswith("unknown used")
    assert rows["forecast"] == "nothing known yet"
    assert rows["anomalies"] == "none active"
    assert rows["model"].endswith("none")


def test_trouble_with_the_cloud_stands_where_the_cloud_is():
    status = busy()
    status["upload"]["last_error"] = "the cloud answered 503"
    assert dict(station_rows(status))["cloud"] == "the cloud answered 503"
    assert dict(station_rows(status | {"upload": None}))["cloud"] == "no cloud"


def test_without_a_terminal_a_line_now_and_then_is_enough(capsys: pytest.CaptureFixture[str]):
    with Stations(ADDRESS) as stations:
        for elapsed_s in range(round(2 * PLAIN_PERIOD_S)):
            stations.show(busy(), float(elapsed_s))
    said = capsys.readouterr()
    assert said.out == "", "data alone goes there"
    assert len(said.err.splitlines()) == 2
    assert "1.23 kW" in said.err


def test_on_a_terminal_there_is_a_table_and_nothing_of_it_stays(monkeypatch: pytest.MonkeyPatch):
    terminal = io.StringIO()
    monkeypatch.setattr(
        "provisioning.demo.stations.Console", lambda file: Console(file=terminal, force_terminal=True, width=100)
    )
    with Stations(ADDRESS) as stations:
        stations.show(busy(), 1.0)
    drawn = terminal.getvalue()
    assert ADDRESS in drawn
    assert "24.0 kWh used in the next day" in drawn
