"""The commands, one module each: `add(subparsers)` declares it, its `run` does it.

Heavy imports (psycopg, TensorFlow) stand inside `run`, so that `--help` answers at once and a
machine without TensorFlow can do everything but train.
"""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_all(commands: Commands) -> None:
    """Declare every command."""
