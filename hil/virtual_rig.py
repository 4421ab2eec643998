"""A rig without hardware: the simulator's lines and meters, and the gateway as processes of this machine."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import parity_library
from protocols import CAPABILITIES, Ran

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand

ROOT = Path(__file__).parents[1]
# Far above anything that happens here; reached only when something is wrong.
ANSWER_S_MAX = 30.0
START_S_MAX = 60.0
STOP_S_MAX = 10.0
_POLL_S = 0.05
# The keys of a bus that the gateway is told too.
_SHARED_KEYS = ("baud", "parity", "stop_bits")


class RigError(Exception):
    """The rig itself failed: no verdict on the gateway."""


class LineByLine:
    """A program that answers each line of its input with one line."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
            )
        self._said = bytearray()

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # told by hear(), with what it said in the end
            self._process.stdin.write(line.encode() + b"\n")
        return self.hear()

    def hear(self) -> str:
        """The next line it says.

        Raises:
            RigError: it ended, or said nothing for too long.
        """
        assert self._process.stdout is not None
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S_MAX)
            piece = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise RigError(f"no answer from {self._process.args}: {self._log.read_text()[-2000:]}")
            self._said += piece
        line, _, rest = bytes(self._said).partition(b"\n")
        self._said = bytearray(rest)
        return line.decode()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Simulator:
    """The simulator under control."""

    def __init__(self, scenario: Path, log: Path) -> None:
        command = [sys.executable, "-m", "firmware_bridge.simulator", "--scenario", str(scenario), "--control"]
        self._program = LineByLine(command, os.environ, log)
        try:
            self.urls: dict[str, str] = _ok(self._program.hear())
        except RigError:
            self._program.close()
            raise

    def do(self, what: str, **arguments: Any) -> Any:
        return _ok(self._program.ask(json.dumps({"do": what, **arguments})))

    def close(self) -> None:
        self._program.close()


def _ok(line: str) -> Any:
    answer = json.loads(line)
    if "error" in answer:
        raise RigError(answer["error"])
    return answer["ok"]


class VirtualBus:
    """MeterBus: a line of the simulator."""

    def __init__(self, settings: dict[str, Any], url: str, folder: Path) -> None:
        shared = {key: settings[key] for key in _SHARED_KEYS if key in settings}
        self.config = BusConfig(name=settings["name"], url=url, **shared)
        self.link_folders = [str(folder / settings["name"] / "by-id")]


class VirtualLine:
    """Line: a line of the simulator."""

    def __init__(self, simulator: Simulator, name: str) -> None:
        self._simulator, self._name = simulator, name

    def inject(self, kind: str, **settings: Any) -> None:
        self._simulator.do("inject", line=self._name, fault={"kind": kind, **settings})

    def heal(self) -> None:
        self._simulator.do("heal", line=self._name)

    def pull(self) -> None:
        self._simulator.do("pull", line=self._name)

    def plug(self, name: str | None = None) -> None:
        self._simulator.do("plug", line=self._name, link=name)

    def counts(self) -> Mapping[str, Any]:
        counts: Mapping[str, Any] = self._simulator.do("counts", line=self._name)
        return counts


class VirtualMeter:
    """ReferenceMeter: a meter of the simulator, on one bus."""

    def __init__(self, simulator: Simulator, line: VirtualLine, settings: dict[str, Any]) -> None:
        self._simulator, self._line, self._name = simulator, line, settings["name"]
        self.unit: int = settings["unit"]
        self.profile: str = settings["profile"]

    def show(self, values: Mapping[Measurand, float]) -> None:
        for measurand, value in values.items():
            self._simulator.do("show", meter=self._name, measurand=measurand, value=value)

    def requests(self) -> int:
        count: int = self._line.counts()["units"].get(str(self.unit), 0)
        return count

    def hush(self) -> None:
        self._line.inject("silence", unit=self.unit)


class VirtualPower:
    """Power: the gateway's process."""

    def __init__(self, config: Path, environment: Mapping[str, str]) -> None:
        self._config, self._environment = config, environment
        self._process: subprocess.Popen[bytes] | None = None

    def on(self) -> None:
        port = self._config.with_name("gateway.port")
        port.unlink(missing_ok=True)
        log = self._config.with_name("gateway.log")
        command = [sys.executable, "-m", "gateway", "run", "--config", str(self._config), "--port-file", str(port)]
        with log.open("ab") as said:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=said, stderr=said)
        for _ in range(round(START_S_MAX / _POLL_S)):
            if port.exists():
                return
            try:
                self._process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
            break
        raise RigError(f"the gateway did not start: {log.read_text()[-2000:]}")

    def off(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            code = self._process.wait(STOP_S_MAX)
            self._process = None
            if code:
                raise RigError(f"the gateway ended with code {code}")

    def cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class VirtualConsole:
    """Console: this machine."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, environment

    def run(self, *command: str, deadline_s: float = 60.0) -> Ran:
        done = subprocess.run(
            _ours(command),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def converse(self, *command: str) -> LineByLine:
        return LineByLine(_ours(command), self._environment, self._folder / "console.log")


def _ours(command: Sequence[str]) -> list[str]:
    return [sys.executable if word == "python" else word for word in command]


class VirtualRig:
    """Everything above, in a folder of its own that goes when it is closed."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="virtual-rig-"))
        self.capabilities = frozenset(CAPABILITIES)
        self.lacks: dict[str, str] = {}
        environment = {**os.environ, **self._parity_environment()}
        try:
            self._simulator = Simulator(self._scenario(tree), self.folder / "simulator.log")
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        settings = {bus["name"]: bus for bus in tree["bus"]}
        self.lines = {name: VirtualLine(self._simulator, name) for name in settings}
        self.buses = {
            name: VirtualBus(settings[name], url, self.folder) for name, url in self._simulator.urls.items()
        }
        self.meters = {
            name: [VirtualMeter(self._simulator, line, meter) for meter in tree["meter"]]
            for name, line in self.lines.items()
        }
        self.console = VirtualConsole(self.folder, environment)
        self.power = VirtualPower(self._gateway_config(tree), environment)

    def close(self) -> None:
        self.power.cut()
        self._simulator.close()
        shutil.rmtree(self.folder)

    def _parity_environment(self) -> dict[str, str]:
        try:
            return parity_library.environment(parity_library.build(self.folder), self.folder / "parity")
        except parity_library.NoCompilerError as error:
            self.capabilities -= {"parity"}
            self.lacks["parity"] = str(error)
            return {}

    def _scenario(self, tree: dict[str, Any]) -> Path:
        """What the simulator is to play: the meters on each line, an adapter's names for the serial ones."""
        meters = [_section("meter", {**meter, "quantity": "grid"}) for meter in tree["meter"]]
        lines = []
        for bus in tree["bus"]:
            links = {
                "link": f"{bus['name']}/ttyUSB0",
                "id_link": f"{bus['name']}/by-id/usb-adapter-port0",
                "parity_notes": "parity",
            }
            lines.append(_section("line", {**bus, **(links if bus["kind"] == "serial" else {})}))
        path = self.folder / "scenario.toml"
        path.write_text("\n".join([*meters, *lines]), encoding="utf-8")
        return path

    def _gateway_config(self, tree: dict[str, Any]) -> Path:
        """A gateway that reads the meters of the first bus, every second."""
        bus = next(iter(self.buses.values())).config
        told = {key: getattr(bus, key) for key in ("name", "url", *_SHARED_KEYS)}
        meters = [
            _section("meter", {**meter, "bus": bus.name, "role": "grid" if place == 0 else "other"})
            for place, meter in enumerate(tree["meter"])
        ]
        sections = [
            '[site]\ngateway_id = "rig"\n[page]\nport = 0\n[record]\nrecording_period_s = 1\n',
            f"[store]\nfolder = {json.dumps(str(self.folder / 'store'))}\n",
            _section("bus", told),
            *meters,
        ]
        path = self.folder / "gateway.toml"
        path.write_text("\n".join(sections), encoding="utf-8")
        return path


def _section(name: str, settings: Mapping[str, Any]) -> str:
    """TOML of texts, numbers and switches, which JSON writes the same way."""
    return f"[[{name}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def open_rig(tree: dict[str, Any]) -> VirtualRig:
    """Stand the rig up.

    Raises:
        SettingError: the file lacks what a virtual rig is made of.
    """
    for needed in ("meter", "bus"):
        if not tree.get(needed):
            raise SettingError(needed, "(none)", "is needed", f"write a [[{needed}]] as in hil/virtual.toml")
    try:
        return VirtualRig(tree)
    except RigError as error:
        raise SettingError("RIG", "virtual", f"does not stand ({error})", "correct its file") from error
