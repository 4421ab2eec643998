"""The commands, one module each: `add(subparsers)` declares it, its `run` does it.

Heavy imports (psycopg, TensorFlow) stand inside `run`, so that `--help` answers at once and a
machine without TensorFlow can do everything but train.
"""

import argparse
import importlib
from typing import TypeAlias

# argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

# In the order in which --help lists them.
_MODULES = (
    "audit",
    "backtest",
    "claim",
    "compare",
    "database",
    "doctor",
    "evaluate",
    "gateway",
    "ingest",
    "keys",
    "once",
    "organisation",
    "publish",
    "report",
    "score",
    "serve",
    "server_key",
    "site",
    "train",
)


def add_all(commands: Commands) -> None:
    """Declare every command."""
    for name in _MODULES:
        # Here, not above: each of them needs `Commands`.
        importlib.import_module(f"cloud_trainer.commands.{name}").add(commands)
