"""Whether every station of the demonstration did its work: checks over what the cloud holds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.demo.site import DAY_S, POLL_S, DemoSite

RECORDS_MIN = 1_000
OTHER_ALARMS_MAX = 2
# A fault counts as found when its alarm says it began within this of the truth.
FOUND_WITHIN_US = 30 * 60 * 1_000_000

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    station: str
    is_ok: bool
    shown: str


def checks(
    site: DemoSite,
    report: Facts,
    audit: Facts,
    scores: list[Facts],
    digests: dict[int, str],
    gateways: list[Facts],
    *,
    forecasts: Collection[tuple[str, str]],
) -> list[Check]:
    """Every check; the demonstration has succeeded when all are ok.

    Args:
        site: what was simulated.
        report: `smartwatts-trainer report`.
        audit: `smartwatts-trainer audit`.
        scores: `smartwatts-trainer score`, from the first day on.
        digests: release to bundle digest, as published.
        gateways: `smartwatts-trainer gateway list`.
        forecasts: which kinds of which targets the published bundle forecasts.
    """
    found = [
        _identity(gateways),
        _records(report, audit),
        _values(audit),
        _sweeps(report),
        _uptake(report, digests),
        _refusal(report),
        _forecasts(site, scores, forecasts),
        _decisions(report, digests),
    ]
    if site.solar_meter is not None:
        found[4:4] = _faults(site, report)
    return found


def _identity(gateways: list[Facts]) -> Check:
    """One gateway was let in, sent what it signed, and nobody else said he was that one."""
    shown = ", ".join(f"{one['gateway']} of {one['site']} is {one['status']}" for one in gateways) or "nobody"
    is_ok = len(gateways) == 1 and gateways[0]["status"] == "active" and gateways[0]["seen_us"] is not None
    is_suspect = any(one["suspect_since_us"] is not None for one in gateways)
    words = "a copy was seen" if is_suspect else "every upload signed"
    return Check("identity", is_ok and not is_suspect, f"{shown}, {words}")


def _records(report: Facts, audit: Facts) -> Check:
    total = sum(report["records"].values())
    is_gapless = audit["is_gapless"] and audit["unexpanded"] == 0
    words = "gapless" if is_gapless else "NOT gapless"
    wanted = "" if total > RECORDS_MIN else f" of more than {RECORDS_MIN} that a run of 60 s brings"
    shown = f"{total} records{wanted}, {report['rows']} rows of readings, sequences {words}"
    return Check("cloud", total > RECORDS_MIN and is_gapless and "undecodable" not in report["records"], shown)


def _values(audit: Facts) -> Check:
    shown = (
        f"{audit['values']} values in {audit['rows']} rows, {audit['left_out']} not believed: "
        f"{audit['mismatches']} mismatches"
    )
    return Check("values", audit["rows"] > 0 and audit["passed"], shown)


def _sweeps(report: Facts) -> Check:
    """Every instant between the first and the last sweep was swept: as many polls as instants."""
    instants = (report["last_us"] - report["first_us"]) // (POLL_S * 1_000_000) + 1
    missed = instants - report["polls"]
    shown = f"{report['polls']} in {instants * POLL_S / DAY_S:.1f} simulated days, {missed} instants skipped"
    return Check("sweeps", report["polls"] > 0 and missed == 0, shown)


def _faults(site: DemoSite, report: Facts) -> list[Check]:
    wanted = {"stuck": site.stuck_from_us, "spike": site.spike_from_us}
    others = list(report["anomalies"])
    found = []
    for kind, from_us in wanted.items():
        hits = [
            one
            for one in others
            if one["kind"] == kind
            and one["series"].startswith(site.grid_meter)
            and abs(one["since_us"] - from_us) <= FOUND_WITHIN_US
        ]
        others = [one for one in others if one not in hits]
        found.append(Check(f"{kind} meter", bool(hits), hits[0]["sentence"] if hits else "not found"))
    shown = "; ".join(f"{one['kind']} of {one['series']}" for one in others) or "none"
    return [*found, Check("other alarms", len(others) <= OTHER_ALARMS_MAX, shown)]


def _uptake(report: Facts, digests: dict[int, str]) -> Check:
    activated = [event["bundle"] for event in report["model_events"] if event["event"] == "activated"]
    wanted = [digests[release] for release in (1, 2) if release in digests]
    shown = ", then ".join(f"release {1 + place} ({digest[:12]})" for place, digest in enumerate(wanted))
    return Check("model", len(wanted) == 2 and activated == wanted, f"signed, proven, taken up: {shown}")


def _refusal(report: Facts) -> Check:
    refused = [event["reason"] for event in report["model_events"] if event["event"] == "refused"]
    return Check(
        "flipped byte", len(refused) == 1 and "manifest.json" in refused[0], "; ".join(refused) or "not seen"
    )


def _forecasts(site: DemoSite, scores: list[Facts], forecasts: Collection[tuple[str, str]]) -> Check:
    """What the bundle forecasts was forecast by its model, stored before its time beside a baseline, and measured."""
    wanted = sorted(one for one in forecasts if one[1] != "production_w" or site.solar_meter is not None)
    pairs = {which: sum(one["pairs"] for one in scores if (one["kind"], one["target"]) == which) for which in wanted}
    shown = ", ".join(
        f"{kind} of {target.removesuffix('_w')} in {count} steps" for (kind, target), count in pairs.items()
    )
    return Check("forecasts", bool(pairs) and all(pairs.values()), f"stored before their time and scored: {shown}")


def _decisions(report: Facts, digests: dict[int, str]) -> Check:
    counts = {use["bundle"]: use["decisions"] for use in report["decisions"]}
    shown = ", ".join(f"{counts.get(digest, 0)} on release {release}" for release, digest in sorted(digests.items()))
    are_used = all(release in digests and counts.get(digests[release]) for release in (1, 2))
    return Check("decisions", are_used, shown)


def failed(found: Sequence[Check]) -> list[str]:
    """The stations that did not do their work."""
    return [check.station for check in found if not check.is_ok]
