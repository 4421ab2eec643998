"""`make fuzz SECONDS=30 ONLY=name`: every parser under inputs made from real ones, for so many seconds each.

One line for each parser. The same seed makes the same inputs. An input that breaks what must hold is made as
short as it can be and kept in a file; `--again FILE` gives it to the parser once more.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.campaign import Report, checked
from tests.fuzz.targets import TARGETS, campaign

FOLDER = Path("build/fuzz")
SHOWN_BYTES_MAX = 200
# Of an account of what went wrong: the last calls, and the exception.
SHOWN_LINES_MAX = 8


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each parser")
    parser.add_argument("--even", action="store_true", help="as long for those that other tests fuzz as well")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where failing inputs are kept")
    parser.add_argument("--again", type=Path, help="a file that was kept")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.names) - TARGETS.keys()):
        print(f"NAME = {' '.join(unknown)}: is no parser; choose from {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    if given.again is not None:
        return _again(given.again, given.names)
    names = given.names or list(TARGETS)
    print(
        f"seed {given.seed}, {given.seconds:g} s at most for each of {len(names)} parsers, {given.jobs} at a time",
        flush=True,
    )
    seconds = {name: given.seconds * (1 if given.even else TARGETS[name].share) for name in names}
    findings = 0
    for report in _reports(seconds, given.seed, given.jobs):
        print(_line(report), flush=True)
        if report.finding is not None:
            findings += 1
            print(_told(report, given.folder), flush=True)
    return 1 if findings else 0


def _reports(seconds: dict[str, float], seed: int, jobs: int) -> Iterator[Report]:
    """As they come; the longest begin first."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        names = sorted(seconds, key=lambda name: -seconds[name])
        for done in as_completed([pool.submit(partial(campaign, name, seed, seconds[name])) for name in names]):
            yield done.result()


def _line(report: Report) -> str:
    verdict = "ok" if report.finding is None else "BROKEN"
    return (
        f"{report.name:<17} {verdict:<7} {report.inputs:>8} inputs {report.ends:>5} ends"
        f" {report.calls_per_byte_max:>6.1f} calls a byte"
    )


def _told(report: Report, folder: Path) -> str:
    """What broke, and where its input is kept."""
    assert report.finding is not None
    data = report.finding.data
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    lines = report.finding.trouble.strip().splitlines()[-SHOWN_LINES_MAX:]
    return "\n".join(
        [
            f"  {data[:SHOWN_BYTES_MAX]!r}{' ...' if len(data) > SHOWN_BYTES_MAX else ''} ({len(data)} bytes)",
            *(f"  {line}" for line in lines),
            f"  again: python -m tests.fuzz {report.name} --again {path}",
        ]
    )


def _again(path: Path, names: Sequence[str]) -> int:
    """One input once more, with all that it raises."""
    for name in names or [path.name.partition("-")[0]]:
        print(f"{name}: {checked(TARGETS[name], path.read_bytes())!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
