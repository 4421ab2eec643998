"""How to read a recording: which columns, what they mean, how often. One TOML file per form of CSV.

A shell only in that it opens the map's file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.config import Positive
from firmware_bridge.errors import SettingError
from firmware_bridge.settings import convert, read_toml

# The longest interval that still has the shape of a day.
CADENCE_S_MAX = 6 * 3600
# A map is a page of text.
_MAP_BYTES_MAX = 64 * 1024
# Ready maps of well-known recordings, when running from a checkout.
CHECKOUT_MAPS = Path(__file__).parents[2] / "tests" / "maps"

Column = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="name of a column", examples=["power_w"]),
]


class TimeColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says when."""

    column: Column
    # whether a stamp names the start or the end of its interval
    stamps: Literal["start", "end"]
    # "iso", "hour" (a number 0..24 alone), or a strptime form: "%d/%m/%Y %H:%M"
    format: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="form of a time", examples=["iso", "hour", "%d/%m/%Y %H:%M"]),
    ] = "iso"
    # IANA name of the wall time in the file; it may not change its offset within the recording
    time_zone: str = "UTC"
    # wall time of the first row, for files whose dates cannot be trusted: stamps are then counted
    # from here by the cadence, and only their time of day is compared with the file
    rebuild_from: str | None = None


class ValueColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The column that says how much."""

    column: Column
    # "kWh" is energy of the interval; "relative" has no unit and is scaled by `watts_per_unit`
    unit: Literal["kWh", "W", "kW", "relative"]
    watts_per_unit: Positive | None = None


class ReplayMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole map."""

    # where the recording is from, for whoever reads the map
    source: str
    # seconds from one row to the next
    cadence_s: Annotated[int, Meta(ge=1, le=CADENCE_S_MAX)]
    # what the site's main breaker lets through, W
    rated_power_w: Positive
    time: TimeColumn
    value: ValueColumn
    # what the site's panels gave, positive; training reads it, a replay does not
    production: ValueColumn | None = None
    # how many rows the file must have, when that is known
    rows: Annotated[int, Meta(ge=1)] | None = None


def load_map(path: Path) -> ReplayMap:
    """The map in the file at `path`.

    Raises:
        SettingError: unreadable, not TOML, or not a map.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAP_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("replay.map", str(path), f"cannot be read ({reason})", "check its path") from error
    if len(data) > _MAP_BYTES_MAX:
        raise SettingError("replay.map", str(path), f"is larger than {_MAP_BYTES_MAX} bytes", "check its path")
    found = convert(read_toml(text, "replay.map", str(path)), ReplayMap, f"{path}: ")
    for name, column in (("value", found.value), ("production", found.production)):
        if column is not None:
            _check_scale(name, column, path)
    return found


def find_map(recording: Path, folders: Sequence[Path] = (CHECKOUT_MAPS,)) -> Path:
    """The map for a recording by its name: `<stem>.map.toml` beside it, else in `folders`.

    Raises:
        SettingError: there is none.
    """
    name = f"{recording.name.removesuffix('.gz').removesuffix('.csv')}.map.toml"
    for folder in (recording.parent, *folders):
        if (folder / name).is_file():
            return folder / name
    raise SettingError(
        "replay.map",
        "(missing)",
        f"there is no {name} for {recording.name}",
        f"write one beside it or give MAP={name}",
    )


def _check_scale(name: str, value: ValueColumn, path: Path) -> None:
    if (value.unit == "relative") != (value.watts_per_unit is not None):
        raise SettingError(
            f"{path}: {name}.watts_per_unit",
            "(missing)" if value.watts_per_unit is None else f"{value.watts_per_unit:g}",
            f'does not go with unit = "{value.unit}"',
            'give it with unit = "relative" and only then',
        )
