"""`smartwatts-provision config`: check a configuration, say in plain sentences what it will do."""

from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from firmware_bridge.bridge import Bridge
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, SettingError
from gateway.config import Config, load_file
from provisioning.explain import explain, warnings

EXAMPLE = Path(__file__).with_name("example.toml")


@click.group("config")
def config_group() -> None:
    """The gateway's configuration file."""


@config_group.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(file: Path, *, as_json: bool) -> int:
    """Check FILE and say what a gateway started with it will do on this machine.

    Exit code 0 when it can be used; what works but looks like a slip is listed under "mind:". Exit
    code 2 when not; then one sentence names the field, the value and the next step.
    """
    try:
        written = load_file(file)
        config = _located(written, Path.cwd())
        check_machine(config)
    except SettingError as error:
        if not as_json:
            raise
        click.echo(_json({"ok": False, "field": error.field, "value": error.value}, error))
        return error.exit_code
    sentences, mind = explain(config), warnings(written)
    if as_json:
        click.echo(_json({"ok": True, "sentences": sentences, "mind": mind, "config": config}))
    else:
        click.echo("\n".join([*sentences, *(["mind:"] if mind else []), *(f"  {one}" for one in mind)]))
    return Exit.OK


@config_group.command()
def example() -> None:
    """Print a commented configuration to start from."""
    click.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)


def check_machine(config: Config) -> None:
    """Whether a gateway with `config`, whose paths are absolute, could start on this machine; changes nothing.

    Raises:
        SettingError: it could not; as the gateway itself would say it.
    """
    # looks at profiles and addresses; opens no line
    Bridge(config.buses, config.meters, SystemClock(), config.profile_folders)
    _check_store(Path(config.store.folder))
    if config.update is not None:
        _check_root(Path(config.update.root))


def _located(config: Config, folder: Path) -> Config:
    """`config` with its relative paths seen from `folder`."""
    store, update, clock = config.store, config.update, config.clock
    return replace(
        config,
        store=replace(store, folder=str(folder / store.folder)),
        update=update and replace(update, root=str(folder / update.root)),
        clock=clock and replace(clock, origin=str(folder / clock.origin)),
    )


def _check_store(folder: Path) -> None:
    """What is there of the way to the folder must be folders. Rights are not looked at: the service has its own."""
    for place in (folder, *folder.parents):
        try:
            if place.is_dir():
                return
            is_there = place.exists()
        except PermissionError:
            return
        except OSError as error:
            raise SettingError(
                "store.folder", str(folder), f"cannot be used ({error.strerror})", "name another folder"
            ) from error
        if is_there:
            raise SettingError(
                "store.folder", str(folder), f"cannot be made, {place} is a file", "name a folder, or a new one"
            )


def _check_root(root: Path) -> None:
    try:
        with root.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise SettingError(
            "update.root", str(root), f"cannot be read ({error.strerror})", "copy root.json of the repository there"
        ) from error


def _json(answer: dict[str, object], error: SettingError | None = None) -> str:
    if error:
        answer |= {"problem": error.problem, "next_step": error.next_step}
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
