"""What this machine can do for training: TensorFlow, the runtimes that prove a bundle, cores and memory. A shell."""

import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from cloud_trainer import tensorflow_setup
from cloud_trainer.bundle import ProofError, prove
from cloud_trainer.machine import software
from cloud_trainer.once import FACTORY
from cloud_trainer.runtimes import Runtime, pythons, runtime_of

# Loading TensorFlow takes 5 s on a PC, and on a busy one a minute.
_ASK_S_MAX = 120.0
_QUESTION = (
    "import json, tensorflow; print(json.dumps([one.name for one in tensorflow.config.list_physical_devices('GPU')]))"
)
# What training both forecasters of a year takes, and the system beside it.
MEMORY_MB_MIN = 3_000


class Acceptance(msgspec.Struct, frozen=True):
    """Whether a runtime takes the factory's bundle; `problem` says why not."""

    runtime: Runtime
    problem: str = ""


class Machine(msgspec.Struct, frozen=True):
    """What was found."""

    software: dict[str, str]
    gpus: list[str]
    acceptances: list[Acceptance]
    cores: int
    memory_mb: int
    problems: list[str]

    @property
    def is_fit(self) -> bool:
        """Whether training can begin here."""
        return not self.problems

    def lines(self) -> list[str]:
        """For people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.software.items())
        lines = [versions, f"GPUs: {', '.join(self.gpus) or 'none, the processor trains'}"]
        lines.append(f"{self.cores} cores, {self.memory_mb} MB of memory")
        for one in self.acceptances:
            words = f"{one.runtime.name} {one.runtime.version}" if one.runtime.name else "no runtime"
            lines.append(f"{words} in {one.runtime.python}: {one.problem or 'accepts bundles'}")
        if len({one.runtime.name for one in self.acceptances}) < 2:
            lines.append("bundles are proven in one runtime alone: `make setup-litert` makes the other one")
        return lines + [f"problem: {problem}" for problem in self.problems]


def examined(given_pythons: Sequence[str] = ()) -> Machine:
    """Look at everything; takes some seconds, for the factory's bundle is proven in each runtime."""
    acceptances = [_acceptance(python) for python in pythons(given_pythons)]
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    gpus, problem = _gpus()
    problems = [problem] if problem else []
    problems += [f"{one.runtime.python}: {one.problem}" for one in acceptances if one.problem]
    if memory_mb < MEMORY_MB_MIN:
        problems.append(f"{memory_mb} MB of memory, {MEMORY_MB_MIN} are needed")
    return Machine(software(), gpus, acceptances, len(os.sched_getaffinity(0)), memory_mb, problems)


def _acceptance(python: str) -> Acceptance:
    runtime = runtime_of(python)
    if runtime.name is None:
        return Acceptance(runtime, runtime.problem)
    try:
        prove(FACTORY, python=python)
    except ProofError as error:
        return Acceptance(runtime, str(error))
    return Acceptance(runtime)


def _gpus() -> tuple[list[str], str]:
    """The GPUs that TensorFlow sees, and what is the trouble with it; asked in a process of its own."""
    if not tensorflow_setup.is_installed():
        return [], "TensorFlow is not installed: run `make setup-trainer` and use .venv-trainer/bin"
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        told = subprocess.run(
            [sys.executable, "-c", _QUESTION], capture_output=True, timeout=_ASK_S_MAX, check=True, env=quiet
        )
        return msgspec.json.decode(told.stdout, type=list[str]), ""
    except (subprocess.SubprocessError, msgspec.DecodeError) as error:
        return [], f"TensorFlow cannot be loaded: {type(error).__name__}"
