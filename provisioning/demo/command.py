"""`smartwatts-provision demo`: the main job on this machine, with nothing faked in between."""

import asyncio
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from firmware_bridge.errors import Exit, SettingError
from provisioning.demo.processes import ProgramError
from provisioning.demo.run import Outcome, Wanted, run
from provisioning.demo.site import SECONDS_MIN
from provisioning.demo.verdict import Facts, failed


@click.command("demo")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".demo"), show_default=True, help="Its data.")
@click.option(
    "--seconds", type=click.FloatRange(SECONDS_MIN, 86_400), help="Stop by itself and check; else until Ctrl-C."
)
@click.option("--replay", type=click.Path(path_type=Path), help="A recorded CSV instead of the generated home.")
@click.option("--map", "replay_map", type=click.Path(path_type=Path), help="Which columns to take, TOML.")
@click.option("--train", is_flag=True, help="Train on weeks of the generated home first; needs TensorFlow.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def demo_command(
    folder: Path, seconds: float | None, replay: Path | None, replay_map: Path | None, *, train: bool, as_json: bool
) -> int:
    """Meters, gateway, cloud and a signed model, on this machine: a simulated day every ten seconds."""
    if replay_map is not None and replay is None:
        raise SettingError("--map", str(replay_map), "maps nothing without --replay", "give the recording too")
    if train:
        _check_train(replay)
    try:
        outcome = asyncio.run(run(Wanted(folder.resolve(), seconds, replay, replay_map, train)))
    except* ProgramError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        click.echo(f"smartwatts-provision: {error}", err=True)
        outcome = Outcome([], None)
    if outcome is None:
        return Exit.OK
    _tell(outcome, as_json=as_json)
    return Exit.OK if outcome.checks and not failed(outcome.checks) else Exit.FAILED


def _check_train(replay: Path | None) -> None:
    if replay is not None:
        problem = "would be known to the model before it is replayed"
        raise SettingError("--replay", str(replay), problem, "leave --replay or --train out")
    if importlib.util.find_spec("tensorflow") is None:
        raise SettingError("--train", "tensorflow", "is not installed", "use `make demo TRAIN=1`")


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"checks": [asdict(check) for check in outcome.checks], "score": outcome.score}))
        return
    for check in outcome.checks:
        click.echo(f"{'ok  ' if check.is_ok else 'FAIL'}  {check.station:<13} {check.shown}")
    if outcome.score is not None:
        click.echo(_score_in_words(outcome.score, outcome.from_day))


def _score_in_words(score: Sequence[Facts], from_day: int) -> str:
    """One line for each kind and baseline; a recording is judged from its eighth day on."""
    if not score:
        return f'Forecasts are compared with "like last week" from day {from_day} on: give SECONDS=90 or more.'
    return "\n".join(
        f"From day {from_day} on, {one['pairs']} forecast steps of {one['kind'].replace('_', ' ')} "
        f"stored before their time: mean error of the model {one['model_mae_w']:.0f} W, "
        f"of {one['baseline'].replace('_', '-')} {one['baseline_mae_w']:.0f} W."
        for one in score
    )
