"""What commands say alike of the data that they work on: files, a database, or generated sites."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cloud_trainer.commands import options
from cloud_trainer.dataset import Dataset, gathered
from cloud_trainer.finding import CHECKS
from cloud_trainer.selection import read_accepted, read_minimum_days
from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.loaded import LoadedSite
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import LOAD

Say = Callable[[str], None]

# Below this a split by time leaves nothing to judge by.
HOMES_MIN, HOMES_MAX, DAYS_MIN, DAYS_MAX = 1, 2_000, 28, 730
# Of more sites nobody reads what was found, one by one; the report has it.
_TOLD_SITES_MAX = 40


def add(parser: argparse.ArgumentParser, *, generated: bool = False) -> None:
    """Declare what says which data."""
    places = parser.add_argument_group("data", "one of")
    places.add_argument("--data", type=Path, metavar="PATH", help="a recording, or a folder of them: CSV, Parquet")
    options.add_dsn(parser, required=False)
    if generated:
        places.add_argument("--generated", action="store_true", help="homes and workshops of the simulator")
        places.add_argument("--homes", type=int, default=96, help="generated homes; half as many workshops are added")
        places.add_argument("--days", type=int, default=140, help="days of each generated site")
    parser.add_argument("--map", type=Path, metavar="FILE", help="how to read the recordings; else each one's own")
    parser.add_argument("--roles", type=Path, metavar="FILE", help="which meter stands where, of sites in a database")
    parser.add_argument("--time-zone", metavar="NAME", help="of sites in a database that --roles says nothing of")
    parser.add_argument("--organisation", metavar="NAME", help="sites of NAME alone; left out, of all")
    parser.add_argument(
        "--min-days",
        action="append",
        default=[],
        metavar="DAYS",
        help='measured days that a site must have: a number, "seed" for 180, or acme=180; default 28',
    )
    parser.add_argument(
        "--accept", action="append", default=[], metavar="CHECK", help=f"take what it finds: {', '.join(CHECKS)}"
    )


def check(arguments: argparse.Namespace) -> None:
    """See to it that the options make sense, before anything takes time.

    Raises:
        SettingError: they do not.
    """
    is_generated = getattr(arguments, "generated", False)
    given = [arguments.data is not None, arguments.dsn is not None, is_generated]
    if sum(given) != 1:
        named = "two of them" if any(given) else "(not given)"
        raise SettingError("--data", named, "which data is it about", "give one of --data PATH and --dsn DSN")
    if is_generated:
        between("--homes", arguments.homes, HOMES_MIN, HOMES_MAX)
        between("--days", arguments.days, DAYS_MIN, DAYS_MAX)
    read_minimum_days(arguments.min_days)
    read_accepted(arguments.accept)


def read(arguments: argparse.Namespace, now_us: int, say: Say) -> Dataset:
    """The data, every site looked at.

    Raises:
        SettingError: something that was named cannot be used.
        psycopg.Error: the database is away.
    """
    check(arguments)
    if arguments.dsn is not None:
        dataset = _from_database(arguments, now_us, say)
    elif getattr(arguments, "generated", False):
        dataset = _gathered(arguments, now_us, *_generated(arguments), say)
    else:
        dataset = _gathered(arguments, now_us, *_files(arguments), say)
    for verdict in dataset.verdicts if len(dataset.verdicts) <= _TOLD_SITES_MAX else []:
        for line in verdict.lines():
            say(line)
    say(f"{dataset.words}: {len(dataset.sites)} of {len(dataset.verdicts)} sites can be used")
    return dataset


def _gathered(
    arguments: argparse.Namespace,
    now_us: int,
    words: str,
    sites: Iterator[LoadedSite],
    say: Say,
    fine_sites: Iterator[LoadedSite] | None = None,
) -> Dataset:
    return gathered(
        words,
        _told(_of_organisation(sites, arguments.organisation), say),
        now_us=now_us,
        minimum_days=read_minimum_days(arguments.min_days),
        accepted=read_accepted(arguments.accept),
        fine_sites=fine_sites,
    )


def _files(arguments: argparse.Namespace) -> tuple[str, Iterator[LoadedSite]]:
    from cloud_trainer.sources.files import load_files
    from cloud_trainer.sources.mapping import form_of_map
    from firmware_bridge.simulator.replay_map import load_map

    form = None if arguments.map is None else form_of_map(load_map(arguments.map))
    return "recordings", load_files(arguments.data, form)


def _generated(arguments: argparse.Namespace) -> tuple[str, Iterator[LoadedSite]]:
    from cloud_trainer.sources.generated import generated_sites

    homes, workshops = arguments.homes, arguments.homes // 2
    sites: Sequence[SiteSeries] = generated_sites(
        homes, workshops, arguments.days, seed=arguments.seed, step_us=LOAD.step_us
    )
    words = f"{homes} generated homes and {workshops} workshops, {arguments.days} days each"
    return words, (LoadedSite(site) for site in sites)


def _from_database(arguments: argparse.Namespace, now_us: int, say: Say) -> Dataset:
    """The sites of one organisation or of all, in quarter hours, and the last months of them in finer steps."""
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.organisations import only_organisation, organisations
    from cloud_trainer.sources.database import load_fine_sites, load_sites
    from cloud_trainer.sources.roles import load_roles

    roles = None if arguments.roles is None else load_roles(arguments.roles)
    with connect(arguments.dsn) as connection:
        if arguments.organisation is None:
            names = [one.organisation for one in organisations(connection)]
        else:
            names = [only_organisation(connection, arguments.organisation)]

        ends_us: list[int] = []

        def quarters() -> Iterator[LoadedSite]:
            for name in names:
                for site in load_sites(connection, name, now_us=now_us, roles=roles, time_zone=arguments.time_zone):
                    ends_us.append(site.series.end_us)
                    yield site

        def fine() -> Iterator[LoadedSite]:
            # The last months that there are: nobody need send any more.
            end_us = min(now_us, max(ends_us, default=now_us))
            for name in names:
                yield from load_fine_sites(
                    connection, name, now_us=end_us, roles=roles, time_zone=arguments.time_zone
                )

        return _gathered(arguments, now_us, "what gateways sent", quarters(), say, fine())


def _of_organisation(sites: Iterator[LoadedSite], organisation: str | None) -> Iterator[LoadedSite]:
    return (site for site in sites if organisation in (None, site.series.organisation))


def _told(sites: Iterator[LoadedSite], say: Say) -> Iterator[LoadedSite]:
    """The same sites; long reading is seen to go on."""
    for number, site in enumerate(sites, 1):
        yield site
        if number % _TOLD_SITES_MAX == 0:
            say(f"  {number} sites read")


def between(field: str, value: int, low: int, high: int) -> int:
    """`value`, which lies within its bounds.

    Raises:
        SettingError: it does not.
    """
    if not low <= value <= high:
        raise SettingError(field, str(value), f"is not within {low} to {high}", "choose one that is")
    return value
