"""Which meter of a site stands where: the cloud is not told, so by its name, or by a file that says so.

A shell only in that it opens that file:

    [[site]]
    name = "mill"
    time_zone = "Africa/Lagos"
    grid = ["main-1", "main-2"]
    solar = ["inverter"]
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from cloud_trainer.finding import Finding
from firmware_bridge.config import Positive
from firmware_bridge.errors import SettingError
from firmware_bridge.settings import convert, read_toml
from firmware_bridge.simulator.wall_clock import zone_named

# A page for each of a thousand sites.
_FILE_BYTES_MAX = 4 * 1024 * 1024
# What people call their meters; the first list with a word in it wins.
_GRID_WORDS = frozenset({"grid", "main", "mains", "utility", "import"})
_SOLAR_WORDS = frozenset({"solar", "pv", "inverter", "sun"})
_LOAD_WORDS = frozenset({"load", "house", "consumption"})
_ALL_WORDS = (_GRID_WORDS, _SOLAR_WORDS, _LOAD_WORDS)
_WORD = re.compile(r"[a-z]+")
_SHOWN_MAX = 5
_NAME_THEM = 'name them in a file for --roles: [[site]] name = "..." grid = ["..."] solar = ["..."]'


class SiteRoles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one site beside what it sends; the powers of several meters in one place add up."""

    grid: list[str] = []
    solar: list[str] = []
    # what is consumed, where no meter is at the grid
    load: list[str] = []
    # IANA name of its wall time
    time_zone: str | None = None
    # what its main breaker lets through
    rated_power_w: Positive | None = None


class _NamedRoles(SiteRoles, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str


class _RolesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    site: list[_NamedRoles]


class Roles(NamedTuple):
    """The meters that make up a site, and what is to be known of how they were chosen."""

    grid: tuple[str, ...]
    solar: tuple[str, ...]
    # what is consumed, where no meter is at the grid; else empty
    load: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def meters(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.grid, *self.solar, *self.load)


def load_roles(path: Path) -> dict[str, SiteRoles]:
    """What the file at `path` says of each site.

    Raises:
        SettingError: it cannot be read, or says what it should not.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("--roles", str(path), f"cannot be read ({reason})", "check its path") from error
    if len(content) > _FILE_BYTES_MAX:
        raise SettingError("--roles", str(path), f"is larger than {_FILE_BYTES_MAX} bytes", "check its path")
    found = convert(read_toml(text, "--roles", str(path)), _RolesFile, f"{path}: ")
    sites = {one.name: one for one in found.site}
    if len(sites) < len(found.site):
        raise SettingError("--roles", str(path), "names a site twice", "put the two together")
    for one in found.site:
        zone_named(one.time_zone or "UTC")
    return dict(sites)


def choose_roles(meters: Iterable[str], given: SiteRoles | None) -> Roles:
    """Who is who among the meters that show power: as somebody said, else by their names."""
    meters = sorted(meters)
    if given is not None and (given.grid or given.load or given.solar):
        return _as_given(meters, given)
    grid, solar, load = ([one for one in meters if _first_words(one) is words] for words in _ALL_WORDS)
    findings = []
    if not (grid or load) and len(meters) == 1:
        grid, solar = meters, []
        found = f"{meters[0]} is its only meter"
        findings.append(Finding("roles", "warning", found, "it was read as that of the grid"))
    if not (grid or load):
        found = f"none of its meters is called grid or load: {_shown(meters)}"
        findings.append(Finding("roles", "error", found, _NAME_THEM))
    for place in (grid, solar, [] if grid else load):
        if len(place) > 1:
            found = f"several meters seem to be in one place: {_shown(place)}"
            findings.append(Finding("roles", "error", found, _NAME_THEM))
    return Roles(tuple(grid), tuple(solar), () if grid else tuple(load), tuple(findings))


def _as_given(meters: list[str], given: SiteRoles) -> Roles:
    load = () if given.grid else tuple(given.load)
    strange = sorted({*given.grid, *given.solar, *load} - set(meters))
    findings = []
    if strange:
        found = f"{_shown(strange)} never showed any power; its meters are {_shown(meters)}"
        findings.append(Finding("roles", "error", found, "correct the file of --roles"))
    if not (given.grid or given.load):
        findings.append(Finding("roles", "error", "nothing is said of its grid", _NAME_THEM))
    return Roles(tuple(given.grid), tuple(given.solar), load, tuple(findings))


def _first_words(meter: str) -> frozenset[str] | None:
    """The first list that a word of the meter's name is in."""
    words = set(_WORD.findall(meter.lower()))
    return next((one for one in _ALL_WORDS if one & words), None)


def _shown(names: list[str]) -> str:
    return (", ".join(names[:_SHOWN_MAX]) or "none") + (" and others" if len(names) > _SHOWN_MAX else "")
