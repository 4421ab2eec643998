"""`smartwatts-trainer train`: from generated sites to a proven bundle. Needs TensorFlow."""

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from cloud_trainer.bundle import (
    GOLDEN_CASES,
    PROOF_CASES,
    ProofError,
    check_folder,
    golden_cases,
    golden_inputs,
    prove,
    write_bundle,
)
from cloud_trainer.commands import Commands
from cloud_trainer.convert import ConversionError, convert
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, SettingError
from gateway.contract.manifest import Training

# Below this a split by site and by time leaves nothing to judge by.
HOMES_MIN, DAYS_MIN = 8, 21
HOMES_MAX, DAYS_MAX = 2_000, 730


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("train", help="train a forecaster on generated sites and write its bundle")
    parser.add_argument("--homes", type=int, default=96, help="generated homes; half as many workshops are added")
    parser.add_argument("--days", type=int, default=140, help="days of each site")
    parser.add_argument("--seed", type=int, default=1, help="decides sites, weights and order")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the bundle goes")
    parser.add_argument(
        "--quick", action="store_true", help="rehearse: two epochs, need not beat the naive forecasts"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, convert, prove, write."""
    folder = Path(arguments.out)
    _check(arguments, folder)
    _settle_tensorflow()
    from cloud_trainer.train import QUICK_EPOCHS, TrainConfig, train

    config = TrainConfig(homes=arguments.homes, days=arguments.days, seed=arguments.seed)
    if arguments.quick:
        config = TrainConfig(homes=config.homes, days=config.days, seed=config.seed, epochs=QUICK_EPOCHS)
    clock = SystemClock()
    started_s = clock.monotonic_s()
    with tempfile.TemporaryDirectory(prefix="smartwatts-train-") as scratch:
        weights = Path(scratch) / "best.weights.h5"
        trained = train(config, weights, _say)
        if not arguments.quick and min(trained.metrics["skill_daily"], trained.metrics["skill_weekly"]) <= 0:
            _say("failed: the forecaster does not beat the naive forecasts; nothing was written")
            return Exit.FAILED
        training = Training(
            command=_command(arguments),
            data=f"{config.homes} generated homes and {config.workshops} workshops, {config.days} days each",
            first_us=trained.first_us,
            last_us=trained.last_us,
            metrics={name: round(value, 4) for name, value in trained.metrics.items()},
        )
        try:
            model = convert(weights, trained.model.count_params())
            for where, count in ((Path(scratch) / "proof", PROOF_CASES), (folder, GOLDEN_CASES)):
                inputs = golden_inputs(trained.examples, count)
                cases = golden_cases(inputs, trained.predict(inputs))
                digest = write_bundle(where, model, cases, training, created_us=clock.utc_us())
                verdict = prove(where)
                _say(f"accepted on {count} golden vectors, worst difference {verdict.worst_difference:.2g}")
        except (ConversionError, ProofError) as error:
            _say(f"failed: {error}")
            return Exit.NOT_VERIFIED
    _say(f"bundle {digest} in {folder}, {len(model)} bytes of model, {clock.monotonic_s() - started_s:.0f} s")
    return Exit.OK


def _check(arguments: argparse.Namespace, folder: Path) -> None:
    for name, low, high in (("homes", HOMES_MIN, HOMES_MAX), ("days", DAYS_MIN, DAYS_MAX), ("seed", 0, 10_000)):
        value = getattr(arguments, name)
        if not low <= value <= high:
            raise SettingError(f"--{name}", str(value), f"is not within {low} to {high}", "choose one that is")
    check_folder(folder)
    if importlib.util.find_spec("tensorflow") is None:
        raise SettingError(
            "train", "tensorflow", "is not installed", "run `make setup-trainer` and use .venv-trainer/bin"
        )


def _command(arguments: argparse.Namespace) -> str:
    quick = " --quick" if arguments.quick else ""
    return (
        f"smartwatts-trainer train --homes {arguments.homes} --days {arguments.days} "
        f"--seed {arguments.seed} --out {arguments.out}{quick}"
    )


def _settle_tensorflow() -> None:
    """Quiet, and the same sums in the same order everywhere; it reads this when it is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
