"""Devices on simulated lines, and probes of them in processes of their own."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
# Far above what is expected; reached only when something is wrong.
PROBE_S_MAX, STOP_S_MAX = 900.0, 10.0

WHO = {
    3: "carlo_gavazzi_em340",
    7: "eastron_sdm630",
    12: "schneider_iem3155",
    17: "abb_b23",
    25: "chint_dtsu666",
}


class Simulator:
    """A simulator under control, with one line."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.url: str = self._hear()["line"]

    def show(self, unit: int, **values: float) -> None:
        """Let a meter show these values."""
        for measurand, value in values.items():
            self._say({"do": "show", "meter": f"m{unit}", "measurand": measurand, "value": value})

    def _say(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())["ok"]


@contextmanager
def simulated(
    folder: Path, line: str, who: Mapping[int, str] = WHO, quantity: str = "load", profiles: Path | None = None
) -> Iterator[Simulator]:
    """A line, described as in a scenario, with these devices on it; the five meters if not told."""
    own = "" if profiles is None else f"profiles = {json.dumps(str(profiles))}\n"
    scenario = folder / "scenario.toml"
    devices = "".join(
        f'[[meter]]\nname = "m{unit}"\nunit = {unit}\nprofile = "{profile}"\nquantity = "{quantity}"\n'
        for unit, profile in who.items()
    )
    scenario.write_text(f'{own}[site]\noutages_per_week = 0.0\n{devices}[[line]]\nname = "line"\n{line}\n')
    command = [sys.executable, "-m", "firmware_bridge.simulator", "--scenario", str(scenario), "--control"]
    with (folder / "simulator.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Simulator(process)
    finally:
        process.stdin.close()
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Prober:
    """Runs `smartwatts-provision probe` on one line, with its state in a folder."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "provisioning", "probe", "--json", *options]
        self._environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), **(environment or {})}

    def run(self) -> dict[str, Any]:
        """What it printed in the end."""
        done = subprocess.run(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        tree: dict[str, Any] = json.loads(done.stdout)
        return tree

    def run_until(self, said: str) -> tuple[int, str]:
        """Interrupt it, as Ctrl-C does, when it has said this; its exit code and all it said."""
        process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if said in line:
                process.send_signal(signal.SIGINT)
                break
        lines.append(process.stderr.read())
        process.stderr.close()
        return process.wait(STOP_S_MAX), "".join(lines)


def named(result: dict[str, Any]) -> dict[int, str]:
    """Who was found."""
    return {one["unit"]: one["profile"] for one in result["devices"]}


def parity_environment(folder: Path) -> dict[str, str] | None:
    """What a program needs so that a simulated line hears its parity; None where there is no C compiler."""
    library = _parity_library()
    try:
        return dict(library.environment(library.build(folder), folder / "notes"))
    except library.NoCompilerError:
        return None


def _parity_library() -> ModuleType:
    """hil is no package: its modules are found by their files."""
    path = ROOT / "hil" / "parity_library.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
