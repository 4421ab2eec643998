"""Which meters are tried: every one that is asked for registers, and two that are not sold."""

from pathlib import Path

from tests.interop.program import ROOT
from tests.interop.register_words import MeterMap, modbus_maps

HERE = Path(__file__).parent
MAPS = ROOT / "firmware_bridge" / "maps"
# Every type of register, in both word orders.
MADE_UP = ("every_type_high_first", "every_type_low_first")
NAMES = [*(one.name for one in modbus_maps(MAPS)), *MADE_UP]


def unit_of(name: str) -> int:
    """The unit that a meter has here: of each another."""
    return NAMES.index(name) + 1


def write_made_up(folder: Path) -> None:
    """The maps of those that are not sold, from every_type.toml."""
    text = (HERE / "every_type.toml").read_text(encoding="utf-8")
    for name in MADE_UP:
        order = name.removeprefix("every_type_")
        made = text.replace('key = "every_type"', f'key = "{name}"').replace('"high_first"', f'"{order}"')
        (folder / f"{name}.toml").write_text(made, encoding="utf-8")


def read_all(folder: Path) -> dict[str, MeterMap]:
    """All of them by name; `folder` is where the made-up ones are."""
    return {one.name: one for one in modbus_maps(MAPS, folder)}
