"""`smartwatts-provision config`: check a configuration, say in plain sentences what it will do."""

from pathlib import Path

import click
import msgspec

from firmware_bridge.errors import Exit, SettingError
from gateway.config import Config, load
from provisioning.explain import explain

# 250 meters of ten lines each are below 100 kB: beyond this it is some other file.
CONFIG_BYTES_MAX = 1024 * 1024
EXAMPLE = Path(__file__).with_name("example.toml")


@click.group("config")
def config_group() -> None:
    """The gateway's configuration file."""


@config_group.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def validate(file: Path, *, as_json: bool) -> int:
    """Check FILE and say what a gateway started with it will do.

    Exit code 0 when it can be used, 2 when not; then one sentence names the field, the value and
    the next step.
    """
    try:
        config = read_config(file)
        check_profiles(config)
    except SettingError as error:
        if not as_json:
            raise
        click.echo(_json({"ok": False, "field": error.field, "value": error.value}, error))
        return error.exit_code
    sentences = explain(config)
    if as_json:
        click.echo(_json({"ok": True, "sentences": sentences, "config": config}))
    else:
        click.echo("\n".join(sentences))
    return Exit.OK


@config_group.command()
def example() -> None:
    """Print a commented configuration to start from."""
    click.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)


def read_config(file: Path) -> Config:
    """The configuration in `file`.

    Raises:
        SettingError: it cannot be read, is not text, or does not hold a configuration.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise SettingError(
            "FILE", str(file), f"cannot be read ({error.strerror})", "give the path of a configuration"
        ) from error
    if len(data) > CONFIG_BYTES_MAX:
        raise SettingError(
            "FILE", str(file), f"is larger than {CONFIG_BYTES_MAX} bytes", "give the path of a configuration"
        )
    try:
        return load(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise SettingError(
            "FILE", str(file), f"is not UTF-8 text (byte {error.start})", "save it as UTF-8"
        ) from error


def check_profiles(config: Config) -> None:
    """Whether every meter's profile exists and can be used.

    Raises:
        SettingError: one does not; names the meter.
    """
    from firmware_bridge.catalog import load_profile

    for meter in config.meters:
        try:
            load_profile(meter.profile)
        except SettingError as error:
            field = f"meter.{meter.name}.profile"
            raise SettingError(field, repr(meter.profile), error.problem, error.next_step) from error


def _json(answer: dict[str, object], error: SettingError | None = None) -> str:
    if error:
        answer |= {"problem": error.problem, "next_step": error.next_step}
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
