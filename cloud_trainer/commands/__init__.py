"""The commands, one module each: `add(subparsers)` declares it, its `run` does it.

Heavy imports (psycopg, TensorFlow) stand inside `run`, so that `--help` answers at once and a
machine without TensorFlow can do everything but train.
"""

import argparse
from typing import TypeAlias

# argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_all(commands: Commands) -> None:
    """Declare every command."""
    # Here, not above: each of them needs `Commands`.
    from cloud_trainer.commands import (
        audit,
        claim,
        database,
        gateway,
        ingest,
        keys,
        organisation,
        publish,
        report,
        score,
        serve,
        server_key,
        site,
        train,
    )

    modules = (
        audit,
        claim,
        database,
        gateway,
        ingest,
        keys,
        organisation,
        publish,
        report,
        score,
        serve,
        server_key,
        site,
        train,
    )
    for command in modules:
        command.add(commands)
