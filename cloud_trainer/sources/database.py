"""Sites from PostgreSQL: the rollups of a quarter hour, and readings in steps of five minutes. A shell.

Rows are streamed: a site of years takes the memory of its steps alone. Consumption is grid minus solar, which
is negative while producing; a step counts where at least half of it was measured, as on the gateway.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import LiteralString, NamedTuple

import numpy as np

from cloud_trainer.database import Connection
from cloud_trainer.finding import Finding
from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.loaded import LoadedSite
from cloud_trainer.sources.roles import Roles, SiteRoles, choose_roles
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.wall_clock import zone_named
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD
from gateway.contract.inputs import F64, I64

# How far back the next hour is learnt from: a season; older habits are another's.
FINE_DAYS = 90
# 1 January 2010: no gateway of ours is older.
_FIRST_US = 1_262_304_000_000_000
# As on the gateway: a step stands on at least half of what it could.
_KNOWN_SHARE_MIN = 0.5
# Two gateways may meet for a while when one takes the other's place.
_OVERLAP_MAX = 0.1
# What one round trip brings.
_FETCH_ROWS = 20_000

_SITES: LiteralString = """
SELECT site_id, array_agg(DISTINCT meter)
FROM gateway JOIN series USING (gateway_id)
WHERE organisation_id = %(organisation)s AND measurand = 'active_power_w'
GROUP BY site_id ORDER BY site_id
"""
# The gateways of a site as they came: what a later one says of a step holds.
_GATEWAYS: LiteralString = """
SELECT gateway_id FROM gateway WHERE organisation_id = %(organisation)s AND site_id = %(site)s
ORDER BY enrolled_at, gateway_id
"""
_SPAN: LiteralString = """
SELECT instant_us(min(step_start)), instant_us(max(step_start))
FROM rollup_15min JOIN series USING (gateway_id, series_id) JOIN gateway USING (gateway_id)
WHERE organisation_id = %(organisation)s AND site_id = %(site)s AND measurand = 'active_power_w'
      AND meter = ANY(%(meters)s) AND step_start >= instant(%(since)s) AND step_start < instant(%(until)s)
"""
_QUARTERS: LiteralString = """
SELECT instant_us(step_start), total / count, covered_s
FROM rollup_15min JOIN series USING (gateway_id, series_id)
WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s) AND meter = %(meter)s AND measurand = 'active_power_w'
      AND step_start >= instant(%(since)s) AND step_start < instant(%(until)s)
"""
# A suspect row with every poll counted holds nothing but suspect values: `rollup.py` says why.
_FINE: LiteralString = """
WITH row AS (
    SELECT period_start, period_s, mean, count, quality FROM reading
    WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s) AND meter = %(meter)s
          AND measurand = 'active_power_w' AND count > 0 AND period_s * 1e6 <= %(step)s
          AND period_start >= instant(%(since)s) AND period_start < instant(%(until)s)
), fullest AS (SELECT period_s, max(count) AS polls FROM row GROUP BY period_s)
SELECT instant_us(date_bin(%(step)s * interval '1 microsecond', period_start, 'epoch')) AS step_us,
       sum(mean * count) / sum(count), sum(count * period_s / polls)
FROM row JOIN fullest USING (period_s)
WHERE quality = 0 OR count < polls
GROUP BY step_us
"""


class _Site(NamedTuple):
    """A site that sent powers: whose, who from, its meters, and what a file says of it."""

    organisation: str
    name: str
    gateways: list[str]
    roles: Roles
    given: SiteRoles


class _Steps(NamedTuple):
    """The steps that are wanted: from where, how wide, how many, and the query that gives them."""

    start_us: int
    step_us: int
    steps: int
    query: LiteralString

    @property
    def until_us(self) -> int:
        return self.start_us + self.steps * self.step_us


def load_sites(
    connection: Connection,
    organisation: str,
    *,
    now_us: int,
    roles: Mapping[str, SiteRoles] | None = None,
    time_zone: str | None = None,
) -> Iterator[LoadedSite]:
    """All sites of the organisation that have sent any power, in steps of 15 minutes.

    Args:
        connection: to the database; a transaction is open while a site is read.
        organisation: whose sites.
        now_us: the present instant; what is stamped later is left out.
        roles: what is known of some of them.
        time_zone: of those of which nothing is known.

    Raises:
        SettingError: `roles` speaks of a site that there is not, or of a zone that there is not.
    """
    for site in _sites(connection, organisation, roles or {}):
        parameters = {"organisation": organisation, "site": site.name, "meters": list(site.roles.meters)}
        bounds = {"since": _FIRST_US, "until": now_us}
        first_us, last_us = connection.execute(_SPAN, {**parameters, **bounds}).fetchone() or (None, None)
        if first_us is None or last_us is None:  # nothing of it was ever good: the check on values says so
            first_us = last_us = now_us // ENERGY.step_us * ENERGY.step_us
        steps = _Steps(first_us, ENERGY.step_us, (last_us - first_us) // ENERGY.step_us + 1, _QUARTERS)
        yield _loaded(connection, site, steps, time_zone)


def load_fine_sites(
    connection: Connection,
    organisation: str,
    *,
    now_us: int,
    roles: Mapping[str, SiteRoles] | None = None,
    time_zone: str | None = None,
    days: int = FINE_DAYS,
) -> Iterator[LoadedSite]:
    """The same sites in steps of 5 minutes, over the last `days`; not those that are recorded more seldom."""
    end_us = now_us // LOAD.step_us * LOAD.step_us
    steps = _Steps(end_us - days * DAY_US, LOAD.step_us, days * LOAD.day_steps, _FINE)
    for site in _sites(connection, organisation, roles or {}):
        loaded = _loaded(connection, site, steps, time_zone)
        known = np.flatnonzero(loaded.series.known("consumption_w"))
        if known.size:
            yield replace(loaded, series=loaded.series.part(int(known[0]), int(known[-1]) + 1))


def _sites(connection: Connection, organisation: str, roles: Mapping[str, SiteRoles]) -> Iterator[_Site]:
    found = connection.execute(_SITES, {"organisation": organisation}).fetchall()
    names = [name for name, _ in found]
    strange = sorted(set(roles) - set(names))
    if strange:
        problem, next_step = (
            f"is no site of {organisation} that sends",
            f"its sites are: {', '.join(names) or 'none'}",
        )
        raise SettingError("--roles", strange[0], problem, next_step)
    for name, meters in found:
        gateways = connection.execute(_GATEWAYS, {"organisation": organisation, "site": name}).fetchall()
        given = roles.get(name, SiteRoles())
        yield _Site(organisation, name, [one for (one,) in gateways], choose_roles(meters, given), given)


def _loaded(connection: Connection, site: _Site, steps: _Steps, time_zone: str | None) -> LoadedSite:
    findings = list(site.roles.findings)
    powers = {}
    for meter in site.roles.meters:
        powers[meter], overlap = _power_w(connection, site, meter, steps)
        if overlap > _OVERLAP_MAX:
            found = f"several gateways have a meter {meter}, at the same time for {overlap:.0%} of it"
            findings.append(Finding("roles", "error", found, "give each meter of a site its own name"))
    grid_w, solar_w, load_w = (
        np.sum([powers[meter] for meter in place], axis=0) if place else None
        for place in (site.roles.grid, site.roles.solar, site.roles.load)
    )
    zone = site.given.time_zone or time_zone
    if zone is None:
        next_step = "give --time-zone, or time_zone in --roles; until then it is UTC"
        findings.append(Finding("time_zone", "warning", "nobody said where it is", next_step))
    series = SiteSeries(
        name=site.name,
        organisation=site.organisation,
        zone=zone_named(zone or "UTC"),
        start_us=steps.start_us,
        step_us=steps.step_us,
        consumption_w=_consumption_w(grid_w, solar_w, load_w, steps.steps),
        # What an inverter draws at night is no production.
        production_w=None if solar_w is None else np.maximum(-solar_w, 0.0),
    )
    return LoadedSite(series, tuple(findings), rated_power_w=site.given.rated_power_w)


def _consumption_w(grid_w: F64 | None, solar_w: F64 | None, load_w: F64 | None, steps: int) -> F64:
    """As the gateway's `Site` has it: grid and sun together, or what a meter of consumption shows."""
    if grid_w is None:
        return np.full(steps, np.nan) if load_w is None else load_w
    return grid_w if solar_w is None else grid_w - solar_w


def _power_w(connection: Connection, site: _Site, meter: str, steps: _Steps) -> tuple[F64, float]:
    """Average power of each step, NaN where less than half of it is known; and how much of it came twice."""
    power_w = np.full(steps.steps, np.nan)
    twice = 0
    bounds = {"since": steps.start_us, "until": steps.until_us, "step": steps.step_us}
    for gateway in site.gateways:
        names = {"organisation": site.organisation, "gateway": gateway, "meter": meter}
        for at_us, mean_w, covered_s in _streamed(connection, steps.query, {**names, **bounds}):
            is_known = covered_s * US_PER_S >= _KNOWN_SHARE_MIN * steps.step_us
            index = (at_us[is_known] - steps.start_us) // steps.step_us
            twice += int(np.isfinite(power_w[index]).sum())
            power_w[index] = mean_w[is_known]
    return power_w, twice / max(int(np.isfinite(power_w).sum()), 1)


def _streamed(
    connection: Connection, query: LiteralString, parameters: Mapping[str, object]
) -> Iterator[tuple[I64, F64, F64]]:
    """Step, mean and seconds covered, some thousand rows at a time."""
    with connection.cursor("training", binary=True) as cursor:
        cursor.execute(query, parameters)
        while rows := cursor.fetchmany(_FETCH_ROWS):
            at_us, mean_w, covered_s = zip(*rows, strict=True)
            yield (
                np.array(at_us, dtype=np.int64),
                np.array(mean_w, dtype=np.float64),
                np.array(covered_s, dtype=np.float64),
            )
