"""Each check holds for a run as it should be, and fails alone when its own fact is wrong."""

import copy
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.reading import UtcUs
from provisioning.demo.site import DAY_S, POLL_S, DemoSite
from provisioning.demo.verdict import FOUND_WITHIN_US, OTHER_ALARMS_MAX, RECORDS_MIN, Check, checks, failed

FIRST, SECOND, THIRD = "aa" * 32, "bb" * 32, "cc" * 32
DIGESTS = {1: FIRST, 2: SECOND, 3: THIRD}
STUCK_US, SPIKE_US = UtcUs(1_000_000_000_000), UtcUs(2_000_000_000_000)
HOUSE = DemoSite(Path("demo"), Path("demo/scenario.toml"), UtcUs(0), "main", "solar", STUCK_US, SPIKE_US)
REPLAY = DemoSite(Path("demo"), Path("demo/scenario.toml"), UtcUs(0), "main", None, STUCK_US, SPIKE_US)
DAYS = 6
# What the factory's bundle forecasts.
ALL = [
    ("energy_forecast", "consumption_w"),
    ("energy_forecast", "production_w"),
    ("load_prediction", "consumption_w"),
]

Facts = dict[str, Any]


def alarm(kind: str, series: str, since_us: int) -> Facts:
    return {
        "at_us": since_us,
        "since_us": since_us,
        "kind": kind,
        "series": series,
        "sentence": f"{kind} of {series}.",
    }


def model_event(event: str, bundle: str | None, reason: str = "") -> Facts:
    return {"at_us": 0, "event": event, "release": None, "bundle": bundle, "reason": reason}


def scored(kind: str, target: str, baseline: str) -> Facts:
    return {"kind": kind, "target": target, "baseline": baseline, "pairs": 700, "model_mae_w": 1, "baseline_mae_w": 2}


def good_run() -> Facts:
    """What the report and the audit say after a run in which all went well."""
    return {
        "report": {
            "first_us": 1_767_225_600_000_000,
            "last_us": 1_767_225_600_000_000 + (DAYS * DAY_S - POLL_S) * 1_000_000,
            "polls": DAYS * DAY_S // POLL_S,
            "records": {"readings": RECORDS_MIN, "forecast": 900, "status": 1},
            "rows": 50_000,
            "anomalies": [
                alarm("stuck", "main", STUCK_US + 60_000_000),
                alarm("spike", "main.active_power_w", SPIKE_US),
                alarm("residual", "consumption_w", SPIKE_US + 9),
            ],
            "model_events": [
                model_event("activated", FIRST),
                model_event("activated", SECOND),
                model_event("refused", None, "manifest.json is not what was signed"),
            ],
            "decisions": [
                {"bundle": None, "first_us": 0, "decisions": 30},
                {"bundle": FIRST, "first_us": 1, "decisions": 40},
                {"bundle": SECOND, "first_us": 2, "decisions": 50},
            ],
        },
        "audit": {
            "is_gapless": True,
            "unexpanded": 0,
            "values": 1_000,
            "rows": 50_000,
            "left_out": 3,
            "mismatches": 0,
            "passed": True,
        },
        "scores": [
            scored("energy_forecast", "consumption_w", "daily_naive"),
            scored("energy_forecast", "consumption_w", "seasonal_naive"),
            scored("energy_forecast", "production_w", "smart_persistence"),
            scored("load_prediction", "consumption_w", "last_value"),
        ],
        "gateways": [
            {"gateway": "demo-gateway", "site": "demo", "status": "active", "seen_us": 5, "suspect_since_us": None}
        ],
    }


def checked(
    site: DemoSite, facts: Facts, *, digests: dict[int, str] = DIGESTS, forecasts: Collection[tuple[str, str]] = ALL
) -> list[Check]:
    report, audit, scores, gateways = (facts[name] for name in ("report", "audit", "scores", "gateways"))
    return checks(site, report, audit, scores, digests, gateways, forecasts=forecasts)


def verdict(facts: Facts, site: DemoSite = HOUSE) -> list[str]:
    return failed(checked(site, facts))


def test_a_run_as_it_should_be_passes():
    assert verdict(good_run()) == []


def test_a_replayed_run_has_no_faults_to_find():
    facts = good_run()
    facts["report"]["anomalies"] = []
    assert verdict(facts, REPLAY) == []
    assert verdict(facts) == ["stuck meter", "spike meter"]


def test_the_table_has_a_line_for_each_station_with_facts_in_it():
    facts = good_run()
    found = checked(HOUSE, facts)
    assert [check.station for check in found] == [
        "identity", "cloud", "values", "sweeps", "stuck meter", "spike meter", "other alarms",
        "model", "flipped byte", "forecasts", "decisions",
    ]  # fmt: skip
    shown = {check.station: check.shown for check in found}
    assert shown["identity"] == "demo-gateway of demo is active, every upload signed"
    assert shown["cloud"] == "1901 records, 50000 rows of readings, sequences gapless"
    assert shown["values"] == "1000 values in 50000 rows, 3 not believed: 0 mismatches"
    assert shown["sweeps"] == f"{DAYS * 1440} in {DAYS}.0 simulated days, 0 instants skipped"
    assert FIRST[:12] in shown["model"]
    assert SECOND[:12] in shown["model"]
    assert shown["forecasts"] == (
        "stored before their time and scored: energy_forecast of consumption in 1400 steps, "
        "energy_forecast of production in 700 steps, load_prediction of consumption in 700 steps"
    )
    assert shown["decisions"] == "40 on release 1, 50 on release 2, 0 on release 3"


@pytest.mark.parametrize(
    ("missing", "is_ok", "is_ok_without_solar"),
    [
        (("energy_forecast", "consumption_w"), False, False),
        (("load_prediction", "consumption_w"), False, False),
        (("energy_forecast", "production_w"), False, True),
    ],
)
def test_each_forecast_that_a_site_can_have_must_be_scored(
    missing: tuple[str, str], is_ok: bool, is_ok_without_solar: bool
):
    facts = good_run()
    facts["scores"] = [one for one in facts["scores"] if (one["kind"], one["target"]) != missing]
    assert ("forecasts" not in verdict(facts)) is is_ok
    assert ("forecasts" not in verdict(facts, REPLAY)) is is_ok_without_solar


def test_only_what_the_bundle_forecasts_must_be_scored():
    facts = good_run()
    facts["scores"] = facts["scores"][-1:]
    of_load = checked(HOUSE, facts, forecasts=[("load_prediction", "consumption_w")])
    assert "forecasts" not in failed(of_load)
    assert "forecasts" in failed(checked(HOUSE, facts, forecasts=[])), "a bundle that forecasts nothing"


Change = Callable[[Facts, Facts], object]


def test_a_run_that_was_too_short_says_how_many_records_it_lacks():
    facts = good_run()
    facts["report"]["records"] = {"readings": 604}
    found = checked(HOUSE, facts)
    assert found[1].shown.startswith("604 records of more than 1000 that a run of 60 s brings, ")


def moved(by_us: int, kind: str) -> Change:
    def move(report: Facts, _: Facts) -> None:
        for one in report["anomalies"]:
            if one["kind"] == kind:
                one["since_us"] += by_us

    return move


WRONG: dict[str, tuple[str, Change]] = {
    "too few records": ("cloud", lambda report, audit: report["records"].update(readings=99)),
    "a gap": ("cloud", lambda report, audit: audit.update(is_gapless=False)),
    "a record that was not expanded": ("cloud", lambda report, audit: audit.update(unexpanded=1)),
    "a record nobody can read": ("cloud", lambda report, audit: report["records"].update(undecodable=1)),
    "a value that differs": ("values", lambda report, audit: audit.update(passed=False, mismatches=1)),
    "nothing to compare": ("values", lambda report, audit: audit.update(rows=0)),
    "no sweep": ("sweeps", lambda report, audit: report.update(polls=0)),
    "a sweep skipped": ("sweeps", lambda report, audit: report.update(polls=report["polls"] - 1)),
    "the frozen meter not found": ("stuck meter", lambda report, audit: report["anomalies"].pop(0)),
    "the spike not found": ("spike meter", lambda report, audit: report["anomalies"].pop(1)),
    "the spike on another meter": (
        "spike meter",
        lambda report, audit: report["anomalies"][1].update(series="solar.active_power_w"),
    ),
    "the frozen meter far from the truth": ("stuck meter", moved(FOUND_WITHIN_US + 1, "stuck")),
    "the spike before it was": ("spike meter", moved(-FOUND_WITHIN_US - 1, "spike")),
    "more alarms than may be": (
        "other alarms",
        lambda report, audit: report["anomalies"].extend([alarm("range", "solar", 5)] * OTHER_ALARMS_MAX),
    ),
    "no first release": ("model", lambda report, audit: report["model_events"].pop(0)),
    "no second release": ("model", lambda report, audit: report["model_events"].pop(1)),
    "the releases the wrong way round": ("model", lambda report, audit: report["model_events"].reverse()),
    "the damaged release taken up": (
        "model",
        lambda report, audit: report["model_events"].append(model_event("activated", THIRD)),
    ),
    "no refusal": ("flipped byte", lambda report, audit: report["model_events"].pop()),
    "a refusal that names no file": (
        "flipped byte",
        lambda report, audit: report["model_events"][-1].update(reason="no"),
    ),
    "a refusal again and again": (
        "flipped byte",
        lambda report, audit: report["model_events"].append(report["model_events"][-1]),
    ),
    "no decision on the first release": ("decisions", lambda report, audit: report["decisions"].pop(1)),
    "no decision on the second release": ("decisions", lambda report, audit: report["decisions"].pop(2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_check_fails_alone_when_its_fact_is_wrong(name: str):
    station, change = WRONG[name]
    facts = copy.deepcopy(good_run())
    change(facts["report"], facts["audit"])
    assert verdict(facts) == [station]


def test_one_gateway_must_have_sent_and_nobody_in_its_name():
    for wrong in ({"status": "revoked"}, {"seen_us": None}, {"suspect_since_us": 7}):
        facts = good_run()
        facts["gateways"][0] |= wrong
        assert verdict(facts) == ["identity"]
    assert verdict(good_run() | {"gateways": []}) == ["identity"]
    assert verdict(good_run() | {"gateways": good_run()["gateways"] * 2}) == ["identity"]


def test_a_release_that_was_never_published_is_not_taken_up():
    facts = good_run()
    found = checked(HOUSE, facts, digests={1: FIRST})
    assert failed(found) == ["model", "decisions"]
