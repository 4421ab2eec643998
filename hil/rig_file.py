"""The file that describes a rig, and the class that stands it up.

    kind = "virtual"            # virtual_rig.py, which needs no hardware
    [[bus]]
    name = "rs485"
    ...

`kind` names the module `<kind>_rig.py` beside this one, whose `open_rig(file, tree)` gives the rig;
what else the file says is that module's own.
"""

import importlib
import tomllib
from pathlib import Path
from typing import Any

from protocols import Rig

from firmware_bridge.errors import SettingError


def read_rig_file(path: Path) -> dict[str, Any]:
    """What the file says.

    Raises:
        SettingError: it cannot be read, or names no kind of rig that is here.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError("RIG", str(path), f"cannot be read ({error})", "name the TOML file of a rig") from error
    kind = tree.get("kind")
    known = sorted(one.stem.removesuffix("_rig") for one in Path(__file__).parent.glob("*_rig.py"))
    if kind not in known:
        raise SettingError(
            "kind", repr(kind), "is no rig of ours", f"use one of: {', '.join(known)}, or write hil/KIND_rig.py"
        )
    return tree


def bus_names(path: Path) -> list[str]:
    """The buses of the rig, for tests that are to run on each."""
    return [one["name"] for one in read_rig_file(path).get("bus", [])]


def open_rig(path: Path) -> Rig:
    """Stand the rig up.

    Raises:
        SettingError: the file is wrong.
    """
    tree = read_rig_file(path)
    rig: Rig = importlib.import_module(f"{tree['kind']}_rig").open_rig(tree)
    return rig
