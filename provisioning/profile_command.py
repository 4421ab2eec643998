"""`smartwatts-provision profile`: which meters are known, what is read of them, and how to add one."""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import click
import msgspec

from firmware_bridge.catalog import ENDING, load_profile, map_text, profile_names, read_map
from firmware_bridge.errors import ConflictError, Exit, SettingError
from provisioning.profile_lint import Findings, lint
from provisioning.profile_sheet import columns, facts, sheet
from provisioning.profile_template import copied, empty

_MAPS = Path(str(resources.files("firmware_bridge") / "maps"))

_folder_option = click.option(
    "--folder",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="A folder with profiles of your own, looked into first; can be given again.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("profile")
def profile_group() -> None:
    """Profiles of meters: one TOML file says all that is known of a model."""


@profile_group.command("list")
@_folder_option
@_json_option
def list_command(folders: tuple[Path, ...], *, as_json: bool) -> int:
    """Show every known profile with its maker, its models and how well it is known."""
    files = [load_profile(name, folders).file for name in profile_names(folders)]
    if as_json:
        keys = ("key", "vendor", "models", "kind", "protocol", "confidence")
        click.echo(_json([{key: getattr(file, key) for key in keys} for file in files]))
        return Exit.OK
    rows = [(file.key, file.confidence, file.kind, file.vendor, ", ".join(file.models)) for file in files]
    click.echo("\n".join(columns([("profile", "confidence", "kind", "maker", "models"), *rows])))
    return Exit.OK


@profile_group.command()
@click.argument("name")
@_folder_option
@_json_option
def show(name: str, folders: tuple[Path, ...], *, as_json: bool) -> int:
    """Show what is read of the meters of profile NAME, in how many requests, and where that is known from."""
    profile = load_profile(name, folders)
    click.echo(_json(facts(profile)) if as_json else sheet(profile))
    return Exit.OK


@profile_group.command("lint")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Check every profile that comes with the program.")
@_json_option
def lint_command(files: tuple[Path, ...], *, is_all: bool, as_json: bool) -> int:
    """Check the profiles in FILES: one sentence for each mistake, exit code 2 when there is one.

    What works but should be known is listed behind "mind:".
    """
    paths = [*files, *(sorted(_MAPS.glob(f"*{ENDING}")) if is_all else [])]
    if not paths:
        raise SettingError("FILE", "(missing)", "nothing to check", "name a profile's file, or give --all")
    found = [_checked(path) for path in paths]
    click.echo(_json([_as_facts(one) for one in found]) if as_json else "\n".join(_told(found)))
    return Exit.BAD_SETTING if any(one.mistakes for one in found) else Exit.OK


@profile_group.command()
@click.argument("name")
@click.option(
    "--from", "source", metavar="PROFILE",
    help="Begin with a copy of this profile; without it, with every key explained.",
)  # fmt: skip
@click.option(
    "--into", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="The folder to write it to."
)
@_folder_option
def new(name: str, source: str | None, into: Path, folders: tuple[Path, ...]) -> int:
    """Write NAME.toml, a profile to start from; a file that is there is left alone.

    Set profiles = "DIR" in the gateway's configuration for it to be found.
    """
    text = empty(name) if source is None else copied(map_text(source, folders), name, source)
    if (found := lint(text, f"{name}{ENDING}")).mistakes:
        raise found.mistakes[0]
    path = into / f"{name}{ENDING}"
    _write_new(path, text)
    click.echo(f"{path} is written; change it, then: smartwatts-provision profile lint {path}")
    return Exit.OK


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConflictError(
            "NAME", str(path), "is there already", "choose another name or remove the file"
        ) from error
    except OSError as error:
        raise SettingError("--into", str(path), f"cannot be written ({error.strerror})", "name a folder") from error


def _checked(path: Path) -> Findings:
    try:
        return lint(read_map(path), path.name)
    except SettingError as mistake:
        return Findings(file=path.name, profile=None, mistakes=(mistake,), mind=())


def _told(found: Sequence[Findings]) -> Iterable[str]:
    for one in found:
        if not one.mistakes:
            count = len(one.profile.registers or one.profile.fields) if one.profile else 0
            yield f"{one.file}: in order, {count} values"
        yield from map(str, one.mistakes)
        yield from (f"  mind: {what}" for what in one.mind)


def _as_facts(one: Findings) -> dict[str, object]:
    keys = ("field", "value", "problem", "next_step")
    mistakes = [{key: getattr(mistake, key) for key in keys} for mistake in one.mistakes]
    return {"file": one.file, "ok": not mistakes, "mistakes": mistakes, "mind": one.mind}


def _json(answer: object) -> str:
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
