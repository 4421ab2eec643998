"""`smartwatts-provision`: the installer's command line.

Data goes to stdout, everything else to stderr. A user's mistake ends in one sentence that names the
field, the value and the next step, with a documented exit code.
"""

import sys

import click

from firmware_bridge.errors import Exit, SettingError
from provisioning.config_command import config_group
from provisioning.demo.command import demo_command
from provisioning.probe_command import probe_command
from provisioning.profile_command import profile_group


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Set a site up, check it, and explain what it will do."""


cli.add_command(config_group)
cli.add_command(demo_command)
cli.add_command(probe_command)
cli.add_command(profile_group)


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    try:
        code = cli.main(argv, prog_name="smartwatts-provision", standalone_mode=False)
    except SettingError as error:
        click.echo(f"smartwatts-provision: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.BAD_SETTING
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    return int(code or Exit.OK)


if __name__ == "__main__":
    sys.exit(main())
