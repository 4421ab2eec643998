"""What commands that train say alike: which models, how long, with what chance, and how they tell of it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from cloud_trainer import runtimes, tensorflow_setup
from cloud_trainer.commands.source import between
from cloud_trainer.form import Wanted
from firmware_bridge.errors import SettingError
from gateway.contract.forecast_spec import ForecastKind

if TYPE_CHECKING:
    from cloud_trainer.dataset import Dataset
    from cloud_trainer.run import Job, Run
    from cloud_trainer.training_report import TrainingReport

Say = Callable[[str], None]

EPOCHS_MAX, SEEDS_MAX, SEED_MAX, DRAWS_MAX = 10_000, 20, 10_000, 1_000
MINUTES_MAX = 7 * 24 * 60
KINDS = get_args(ForecastKind)
# Options whose values say nothing of whose data it was: a bundle that all may fetch tells them.
_OPEN = (
    "generated",
    "homes",
    "days",
    "seed",
    "seeds",
    "max_epochs",
    "form",
    "model",
    "search",
    "search_minutes",
    "lstm",
)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare what says which models, and how they are taught."""
    parser.add_argument("--model", action="append", choices=KINDS, help="train this kind alone; may be given twice")
    parser.add_argument(
        "--max-epochs", type=int, default=100, metavar="N", help="teach each window so often at most; default 100"
    )
    parser.add_argument("--form", choices=get_args(Wanted), default="auto", help="of the weights; default auto")
    parser.add_argument("--seed", type=int, default=1, help="decides weights and order; default 1")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many tell what is chance; default 3")
    parser.add_argument("--search", type=int, default=0, metavar="N", help="let N ways of teaching compete")
    parser.add_argument("--search-minutes", type=float, default=30.0, metavar="MIN", help="and no longer; default 30")
    parser.add_argument("--lstm", action="store_true", help="let the first designs' recurrent network compete, too")
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="PYTHON",
        help="another Python with the gateway: its runtime must run the models, too; default .venv-litert beside us",
    )
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write a report with pictures there")


def job_of(arguments: argparse.Namespace) -> "Job":
    """What the options ask for.

    Raises:
        SettingError: one of them is out of its bounds, or TensorFlow or a runtime is missing.
    """
    between("--max-epochs", arguments.max_epochs, 1, EPOCHS_MAX)
    between("--seed", arguments.seed, 0, SEED_MAX)
    between("--seeds", arguments.seeds, 1, SEEDS_MAX)
    between("--search", arguments.search, 0, DRAWS_MAX)
    if not 0 < arguments.search_minutes <= MINUTES_MAX:
        problem = f"is not above 0 and up to {MINUTES_MAX}"
        raise SettingError("--search-minutes", f"{arguments.search_minutes:g}", problem, "choose one that is")
    tensorflow_setup.require()
    from cloud_trainer.run import Job

    pythons = runtimes.pythons(arguments.runtime)
    runtimes.require_usable(pythons)
    return Job(
        kinds=tuple(arguments.model or KINDS),
        seeds=tuple(range(arguments.seed, arguments.seed + arguments.seeds)),
        max_epochs=arguments.max_epochs,
        form=arguments.form,
        draws=arguments.search,
        draws_s_max=60 * arguments.search_minutes,
        with_lstm=arguments.lstm,
        pythons=pythons,
    )


def command_line(command: str, arguments: argparse.Namespace) -> str:
    """How it could be done again. Of the data it says no name and no place, for it travels in the bundle."""
    words = ["smartwatts-trainer", command]
    is_generated, is_searched = getattr(arguments, "generated", False), arguments.search > 0
    idle = [*(() if is_generated else ("homes", "days")), *(() if is_searched else ("search", "search_minutes"))]
    for name in [one for one in _OPEN if one not in idle]:
        value = getattr(arguments, name, None)
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [word for one in value for word in (option, str(one))]
        elif value not in (None, False):
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    words += [f"--{name} ..." for name in ("data", "dsn") if getattr(arguments, name) is not None]
    return " ".join(words)


def say(line: str) -> None:
    """Tell how it goes on, beside the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def trained(
    arguments: argparse.Namespace, job: "Job", dataset: "Dataset", *, command: str, now_us: int
) -> "tuple[Run, TrainingReport]":
    """Train what the dataset allows, and report.

    Raises:
        run.UNSHIPPABLE: something was trained that cannot be made to ship.
    """
    from cloud_trainer.machine import peak_bytes
    from cloud_trainer.report_folder import write_report
    from cloud_trainer.run import run, training_report

    done = run(job, dataset, say)
    report = training_report(done, job, dataset, command_line(command, arguments), now_us)
    if arguments.report is not None:
        write_report(arguments.report, report)
        say(f"report in {arguments.report}")
    for line in done.left_out:
        say(line)
    say(f"{done.train_s:.0f} s, peak memory {peak_bytes() / 1e6:.0f} MB")
    return done, report
