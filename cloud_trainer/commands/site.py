"""`smartwatts-trainer site`: what there is of a site, to take away or to erase."""

import argparse
import json
import sys
from pathlib import Path

from cloud_trainer.commands import Commands, options
from cloud_trainer.commands.table import instant, table
from firmware_bridge.errors import Exit, SettingError

# A site's name, and what a hand adds to it.
_TYPED_CHARACTERS_MAX = 100


def add(commands: Commands) -> None:
    """Declare the commands."""
    actions = commands.add_parser("site", help="the data of a site: list, export, erase")
    subcommands = actions.add_subparsers(required=True, metavar="ACTION")
    listing = subcommands.add_parser("list", help="show all sites")
    listing.set_defaults(run=options.explains_database(run_list))
    export = subcommands.add_parser("export", help="write everything of a site into a folder")
    export.add_argument("site", metavar="NAME")
    export.add_argument("--folder", type=Path, required=True, help="where to; new or empty")
    export.set_defaults(run=options.explains_database(run_export))
    erase = subcommands.add_parser("erase", help="delete a site, its gateways, and everything they sent")
    erase.add_argument("site", metavar="NAME")
    erase.add_argument("--yes", action="store_true", help="do not ask for the name of the site first")
    erase.add_argument("--revoke", action="store_true", help="even if gateways still send from there")
    erase.set_defaults(run=options.explains_database(run_erase))
    for parser in (listing, export, erase):
        options.add_dsn(parser)
        options.add_organisation(parser)
        options.add_json(parser)


def run_list(arguments: argparse.Namespace) -> int:
    """Show all sites."""
    import msgspec

    from cloud_trainer.database import connect
    from cloud_trainer.fleet.organisations import only_organisation
    from cloud_trainer.fleet.sites import sites

    with connect(arguments.dsn) as connection:
        found = sites(connection, only_organisation(connection, arguments.organisation))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return Exit.OK
    rows = [
        (one.site, str(one.gateways_active), instant(one.seen_us), ", ".join(one.gateways) or "-") for one in found
    ]
    sys.stdout.write(table(("site", "active", "last seen", "gateways"), rows))
    return Exit.OK


def run_export(arguments: argparse.Namespace) -> int:
    """Write the folder; progress goes to stderr."""
    import msgspec

    from cloud_trainer.database import connect
    from cloud_trainer.fleet.export import MANIFEST, export_site, take_snapshot
    from cloud_trainer.fleet.organisations import only_organisation
    from firmware_bridge.clock import SystemClock

    with connect(arguments.dsn) as connection:
        take_snapshot(connection)
        manifest = export_site(
            connection,
            only_organisation(connection, arguments.organisation),
            arguments.site,
            arguments.folder,
            now_us=SystemClock().utc_us(),
            tell=lambda line: print(line, file=sys.stderr),  # noqa: T201 - for who waits
        )
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(manifest).decode() + "\n")
    else:
        rows = sum(file.rows for file in manifest.files)
        sys.stdout.write(f"{rows} rows in {len(manifest.files)} files; {arguments.folder / MANIFEST} lists them\n")
    return Exit.OK


def run_erase(arguments: argparse.Namespace) -> int:
    """Ask, and delete."""
    from cloud_trainer.database import connect
    from cloud_trainer.fleet.erase import erase_site
    from cloud_trainer.fleet.organisations import only_organisation
    from cloud_trainer.fleet.sites import find_site

    with connect(arguments.dsn) as connection:
        organisation = only_organisation(connection, arguments.organisation)
        find_site(connection, organisation, arguments.site)
        connection.commit()  # whoever is asked may take his time
        if not arguments.yes:
            _ask(organisation, arguments.site)
        gone = erase_site(connection, organisation, arguments.site, revoke=arguments.revoke)
    if arguments.json:
        sys.stdout.write(json.dumps({"organisation": organisation, "site": arguments.site, "erased": gone}) + "\n")
        return Exit.OK
    lines = [f"{rows:>12} {name}" for name, rows in gone.items() if rows]
    sys.stdout.write("\n".join([f"erased {arguments.site} of {organisation}:", *lines]) + "\n")
    return Exit.OK


def _ask(organisation: str, site: str) -> None:
    sys.stderr.write(
        f"All data of the site {site} of {organisation}, its gateways and their keys will be deleted for good.\n"
        f"Type the name of the site to go on: "
    )
    sys.stderr.flush()
    if sys.stdin.readline(_TYPED_CHARACTERS_MAX).strip() != site:
        raise SettingError("site", site, "was not confirmed; nothing was deleted", "type its name, or give --yes")
