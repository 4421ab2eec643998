"""Sites from files: CSV, also gzipped, and Parquet, read by the same maps as a replay. A shell.

One file is one site. Files in a folder of the folder belong to the organisation it is named after.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cloud_trainer.finding import Finding
from cloud_trainer.series import SiteSeries
from cloud_trainer.sources.csv_rows import open_csv
from cloud_trainer.sources.grid import grid
from cloud_trainer.sources.loaded import LoadedSite
from cloud_trainer.sources.mapping import FileForm, Power, form_of_map
from cloud_trainer.sources.numbers import NumberColumn
from cloud_trainer.sources.parquet_rows import read_parquet
from cloud_trainer.sources.stamps import StampColumn, Stamps
from cloud_trainer.sources.timeline import timeline
from firmware_bridge.errors import NotFoundError, SettingError
from firmware_bridge.simulator.replay_map import find_map, load_map
from gateway.contract.inputs import F64

# The name of the organisation that the database, too, begins with.
ORGANISATION = "default"
ENDINGS = (".csv", ".csv.gz", ".parquet")
# More sites than anybody trains at once; beyond, a folder was named by mistake.
FILES_MAX = 10_000
# A few cells that are no numbers are a line of totals; more are a column of words.
_WORDS_SHARE_MAX = 0.01
# Where nobody names a unit, what a site seldom exceeds is made at least a kilowatt, by a power of ten.
_USUAL_W, _DECADES_MAX = 1_000.0, 9


def find_files(path: Path) -> list[Path]:
    """The files at `path`, which is one of them or a folder, by name.

    Raises:
        NotFoundError: there are none.
        SettingError: there are too many.
    """
    if path.is_file():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.name.endswith(ENDINGS) and one.is_file())
    if not found:
        next_step = f"name a file or a folder with files that end in {', '.join(ENDINGS)}"
        raise NotFoundError("--data", str(path), "holds no recordings", next_step)
    if len(found) > FILES_MAX:
        raise SettingError("--data", str(path), f"holds more than {FILES_MAX} files", "name a smaller folder")
    return found


def load_files(path: Path, form: FileForm | None = None) -> Iterator[LoadedSite]:
    """The sites at `path`, one after the other.

    Args:
        path: a file or a folder.
        form: how to read all of them; None: by the map of each, `<stem>.map.toml` beside it.

    Raises:
        SettingError: a file cannot be read as it is said.
    """
    for one in find_files(path):
        organisation = one.parent.name if path.is_dir() and one.parent != path else ORGANISATION
        yield load_file(one, form or form_of_map(load_map(find_map(one))), organisation)


def load_file(path: Path, form: FileForm, organisation: str = ORGANISATION) -> LoadedSite:
    """The site in the file at `path`.

    Raises:
        SettingError: it cannot be read, lacks a column, or has no stamps.
    """
    stamps, numbers = _read(path, form)
    if form.rows is not None and len(stamps) != form.rows:
        problem = f"{path.name} has {len(stamps)} rows"
        raise SettingError("rows", str(form.rows), problem, "fetch the file again or correct the map")
    found = stamps.stamps()
    lines = timeline(found, form)
    gridded = grid(
        lines.us,
        [one.values()[lines.row] for one in numbers],
        form,
        by_wall_clock=not found.is_utc[lines.row].all(),
    )
    powers = [_in_watts(values, power) for values, power in zip(gridded.columns, form.powers, strict=True)]
    series = SiteSeries(
        name=_site_name(path),
        organisation=organisation,
        zone=form.zone,
        start_us=gridded.start_us,
        step_us=form.cadence_us,
        consumption_w=powers[0][0],
        production_w=powers[1][0] if len(powers) > 1 else None,
    )
    findings = (*_words(found, numbers, form), *lines.findings, *gridded.findings)
    return LoadedSite(series, findings, powers[0][1], form.rated_power_w)


def _read(path: Path, form: FileForm) -> tuple[StampColumn, list[NumberColumn]]:
    """The columns of the file, as far as they can be read."""
    stamps = StampColumn(form.time_format)
    if path.name.endswith(".parquet"):
        numbers = [NumberColumn(power.column, comma_is_decimal=True) for power in form.powers]
        read_parquet(path, form.time_column, stamps, numbers)
        return stamps, numbers
    with open_csv(path, form.columns) as rows:
        numbers = [NumberColumn(one.column, comma_is_decimal=rows.delimiter != ",") for one in form.powers]
        for stamp, *cells in rows:
            stamps.add(stamp)
            for one, cell in zip(numbers, cells, strict=True):
                one.add(cell)
    return stamps, numbers


def _words(stamps: Stamps, numbers: list[NumberColumn], form: FileForm) -> Iterator[Finding]:
    """Cells that say neither a number, nor a time, nor nothing."""
    rows = len(stamps.us)
    unread = rows - int(stamps.known.sum())
    if unread:
        row = int(np.flatnonzero(~stamps.known)[0]) + 1
        found = f"{unread} of {rows} cells of {form.time_column} are no time, the first in row {row}"
        yield _text_cells(found, unread, rows)
    for one in numbers:
        if one.first_word is not None:
            row, word = one.first_word
            found = f"{one.words} of {rows} cells of {one.name} are no number, the first, {word!r}, in row {row}"
            yield _text_cells(found, one.words, rows)


def _text_cells(found: str, cells: int, rows: int) -> Finding:
    if cells > _WORDS_SHARE_MAX * rows:
        return Finding("text_cells", "error", found, "name another column, or correct them")
    return Finding("text_cells", "warning", found, "those rows were left out")


def _in_watts(values: F64, power: Power) -> tuple[F64, float]:
    """Watts, and what a unit of the column is in them."""
    watts_per_unit = power.watts_per_unit
    if watts_per_unit is None:
        sizes = np.abs(values[np.isfinite(values)])
        usual = float(np.quantile(sizes, 0.95)) if sizes.size else 0.0
        decades = math.ceil(math.log10(_USUAL_W / usual)) if usual > 0 else 0
        watts_per_unit = 10.0 ** min(max(decades, 0), _DECADES_MAX)
    return values * watts_per_unit, watts_per_unit


def _site_name(path: Path) -> str:
    ending = next((one for one in ENDINGS if path.name.endswith(one)), path.suffix)
    return path.name.removesuffix(ending)
