"""What the model host costs: the bundle's models through it, beside a bare interpreter loop in a process of its own.

Both are asked in turns, a few hundred cycles each, with the golden inputs: what else runs on this machine then
disturbs both. A cycle is what is due at a full quarter of an hour: the day's consumption and production and the
next hour's load.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from time import perf_counter_ns

import numpy as np

from firmware_bridge.lookup_loop import LookupLoop
from gateway.contract.forecast_spec import ENERGY, LOAD
from gateway.contract.inputs import F32
from gateway.contract.manifest import decode_golden, forecast_name
from gateway.shell.bundle_files import FACTORY
from gateway.shell.host_process import ModelHost
from gateway.shell.interpreter import Interpreter
from gateway.shell.verified_bundle import VerifiedBundle, read_bundle

DUE = (
    forecast_name(ENERGY, "consumption_w"),
    forecast_name(ENERGY, "production_w"),
    forecast_name(LOAD, "consumption_w"),
)
TURNS = 10
CYCLES_PER_TURN = 300
# The first cycles of a turn find the caches filled with the other side's work.
WARM_UP = 20
DEADLINE_S = 5.0
# Five lists of as many numbers of some five digits as there are cycles in a turn.
TURN_BYTES_MAX = 1024 * 1024

Times = dict[str, list[int]]  # ns of each question, by model; "cycle" is all that are due, one after the other


def bench() -> Iterator[tuple[str, float, str, float | None]]:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        hosted, bare = runner.run(_measure())
    for name, times in hosted.items():
        for label, percent in (("us_p50", 50), ("us_p99", 99)):
            value, baseline = (float(np.percentile(one, percent)) / 1e3 for one in (times, bare[name]))
            yield f"inference.{name}.{label}", round(value, 1), "us", round(baseline, 1)


async def _measure() -> tuple[Times, Times]:
    hosted: Times = {}
    bare: Times = {}
    host = ModelHost(FACTORY, DEADLINE_S)
    await host.start()
    questions = _questions(read_bundle(FACTORY))
    loop = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.inference", stdin=PIPE, stdout=PIPE, limit=TURN_BYTES_MAX
    )
    assert loop.stdin is not None
    assert loop.stdout is not None
    try:
        for _ in range(TURNS):
            loop.stdin.write(b"go\n")
            _add(bare, json.loads(await loop.stdout.readline()))
            _add(hosted, await _hosted_turn(host, questions))
    finally:
        loop.stdin.close()
        await loop.wait()
        await host.close()
    return hosted, bare


async def _hosted_turn(host: ModelHost, questions: dict[str, list[F32]]) -> Times:
    times: Times = {name: [] for name in (*questions, "cycle")}
    for _ in range(WARM_UP + CYCLES_PER_TURN):
        took = {}
        for name, inputs in questions.items():
            start = perf_counter_ns()
            await host.infer(name, inputs)
            took[name] = perf_counter_ns() - start
        _note(times, took)
    return _warm(times)


def _bare_turn(models: dict[str, Interpreter], questions: dict[str, list[F32]]) -> Times:
    times: Times = {name: [] for name in (*questions, "cycle")}
    for _ in range(WARM_UP + CYCLES_PER_TURN):
        took = {}
        for name, inputs in questions.items():
            model, runtime = models[name], models[name]._interpreter
            start = perf_counter_ns()
            for edge, tensor in zip(model.inputs, inputs, strict=True):
                runtime.set_tensor(edge.index, tensor)
            runtime.invoke()
            runtime.get_tensor(model.output.index)
            took[name] = perf_counter_ns() - start
        _note(times, took)
    return _warm(times)


def _note(times: Times, took: dict[str, int]) -> None:
    for name, one in took.items():
        times[name].append(one)
    times["cycle"].append(sum(took[name] for name in DUE if name in took))


def _warm(times: Times) -> Times:
    return {name: ones[WARM_UP:] for name, ones in times.items()}


def _add(times: Times, turn: Times) -> None:
    for name, ones in turn.items():
        times.setdefault(name, []).extend(ones)


def _questions(bundle: VerifiedBundle) -> dict[str, list[F32]]:
    """The inputs of the first golden vector of each model."""
    files = {golden.model: golden.file for golden in bundle.manifest.golden}
    questions = {}
    for model in bundle.manifest.models:
        case = decode_golden(bundle.files[files[model.name]])[0]
        questions[model.name] = [
            np.array(values, dtype=np.float32).reshape(spec.shape)
            for values, spec in zip(case.inputs, model.inputs, strict=True)
        ]
    return questions


def main() -> None:
    """The bare loop: a turn for each line of the input."""
    bundle = read_bundle(FACTORY)
    questions = _questions(bundle)
    models = {model.name: Interpreter(bundle.files[model.file]) for model in bundle.manifest.models}
    for _ in sys.stdin:
        print(json.dumps(_bare_turn(models, questions)), flush=True)


if __name__ == "__main__":
    main()
