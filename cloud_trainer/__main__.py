"""`smartwatts-trainer`: the command line of the cloud companion."""

import argparse
import sys

from cloud_trainer import commands
from firmware_bridge.errors import Exit, SettingError


def main(argv: list[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one sentence and a documented exit code."""
    parser = argparse.ArgumentParser(prog="smartwatts-trainer", description=__doc__)
    commands.add_all(parser.add_subparsers(required=True, metavar="COMMAND"))
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except SettingError as error:
        print(f"smartwatts-trainer: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
