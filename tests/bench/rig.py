"""A simulator in a process of its own, with the meters that a benchmark reads."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from firmware_bridge.config import MeterConfig

HERE = Path(__file__).parent
MAPS = HERE / "maps"
# 20 values as f32 in 40 registers, which one request reads
PROFILE = "bench_meter"
VALUES = 20
ADDRESSES = range(0, 2 * VALUES, 2)


class Rig:
    """The running simulator; its lines by name."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.urls: dict[str, str] = self._answer()

    def do(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]


@contextlib.contextmanager
def rig(units: Sequence[int], *lines: dict[str, Any]) -> Iterator[Rig]:
    """Meters `units` on each of these lines, settings as in a scenario."""
    sections = ['profiles = "maps"', "[site]", "outages_per_week = 0"]
    for unit in units:
        meter = {"name": f"m{unit}", "unit": unit, "profile": PROFILE, "quantity": "load"}
        sections += ["[[meter]]", *(f"{key} = {json.dumps(value)}" for key, value in meter.items())]
    for line in lines:
        sections += ["[[line]]", *(f"{key} = {json.dumps(value)}" for key, value in line.items())]
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "scenario.toml"
        (Path(folder) / "maps").symlink_to(MAPS)
        scenario.write_text("\n".join(sections))
        command = [sys.executable, "-m", "firmware_bridge.simulator", "--scenario", str(scenario), "--control"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield Rig(process)
            finally:
                process.terminate()


def meters(units: Sequence[int], bus: str) -> list[MeterConfig]:
    return [MeterConfig(f"m{unit}", bus, unit, PROFILE) for unit in units]
