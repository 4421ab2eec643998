"""What a simulator says it gave out, by series and tick: the truth for an audit. A shell.

The log is JSONL: one line for each answered request, with the values it held, and lines for faults
and other events, which have no `values`. Ticks are the intervals of one poll period since 1970.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SettingError

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
SeriesName = tuple[str, str]  # meter, measurand


@dataclass(frozen=True, slots=True)
class LoggedSeries:
    """What one series showed at each tick, `[tick]`, ticks rising.

    A tick asked twice has two answers: the gateway was killed after the first, or asked again because
    the answer came too late. `first` and `last` are those; elsewhere they are equal.
    """

    ticks: I64
    first: F64
    last: F64


class _Line(msgspec.Struct):
    # what fits an array of 64 bits
    at_us: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    meter: str = ""
    values: dict[str, float | None] | None = None


def read_log(path: Path, poll_us: int) -> dict[SeriesName, LoggedSeries]:
    """The log at `path`, by series. The last line may be cut short: the simulator may have been killed.

    Raises:
        SettingError: it cannot be read, or a line is not of such a log.
    """
    ticks: dict[SeriesName, array[int]] = defaultdict(lambda: array("q"))
    values: dict[SeriesName, array[float]] = defaultdict(lambda: array("d"))
    try:
        with path.open("rb") as file:
            for line in _lines(file, path):
                for measurand, value in (line.values or {}).items():
                    if value is not None:
                        ticks[line.meter, measurand].append(line.at_us // poll_us)
                        values[line.meter, measurand].append(value)
    except OSError as error:
        raise SettingError("--log", str(path), f"cannot be read ({error.strerror})", "give a log of yours") from error
    return {name: _by_tick(np.array(ticks[name]), np.array(values[name])) for name in ticks}


def _lines(file: BinaryIO, path: Path) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    for number, text in enumerate(file, start=1):
        if not text.endswith(b"\n"):
            return
        try:
            yield decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            place, problem = f"{path} line {number}", f"is not of a simulator's log ({error})"
            raise SettingError("--log", place, problem, "give the file that --log of the simulator named") from error


def _by_tick(ticks: I64, values: F64) -> LoggedSeries:
    order = np.argsort(ticks, kind="stable")  # answers of one tick stay in the order they were given
    ticks, values = ticks[order], values[order]
    unique, first = np.unique(ticks, return_index=True)
    last = np.append(first[1:], len(ticks)) - 1
    return LoggedSeries(unique, values[first], values[last])
