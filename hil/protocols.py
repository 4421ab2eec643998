"""What a test may ask of a rig: five small protocols, and the names by which it asks.

A test says `@pytest.mark.needs("line-faults")` and is skipped with that name where the rig cannot.
Whoever builds a rig writes classes that fit these; nothing else of hil/ has to change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from firmware_bridge.config import BusConfig
from firmware_bridge.measurand import Measurand

# Everything a rig may be able to do. That it has a bus to read and a console to run a program on goes without saying.
CAPABILITIES = {
    "reference-values": "a meter that can be made to show given values",
    "request-counts": "a meter that tells how often it was asked",
    "line-faults": "a line whose replies can be damaged, delayed and replaced",
    "cable": "a cable that can be pulled, and plugged elsewhere",
    "parity": "lines with a parity",
    "power": "a gateway whose power can be cut",
}


class MeterBus(Protocol):
    """A line with meters on it, as the gateway is told of it."""

    @property
    def config(self) -> BusConfig:
        """The address that goes into the gateway's configuration, and how the line is set."""
        ...

    @property
    def link_folders(self) -> Sequence[str]:
        """Where adapters have names that last, on the machine that the gateway runs on."""
        ...


class ReferenceMeter(Protocol):
    """A meter whose truth is known."""

    @property
    def unit(self) -> int:
        """Its Modbus unit id."""
        ...

    @property
    def profile(self) -> str:
        """Its profile in firmware_bridge/maps."""
        ...

    def show(self, values: Mapping[Measurand, float]) -> None:
        """Show these values, SI, until told otherwise. Needs "reference-values"."""
        ...

    def requests(self) -> int:
        """How often it was asked. Needs "request-counts"."""
        ...

    def hush(self) -> None:
        """Answer nothing until the line is healed. Needs "line-faults"."""
        ...


class Line(Protocol):
    """The wire of one bus."""

    def inject(self, kind: str, **settings: Any) -> None:
        """Let something go wrong, as README.md lists it. Needs "line-faults"."""
        ...

    def heal(self) -> None:
        """Let all be well: no fault, and plugged in."""
        ...

    def pull(self) -> None:
        """Pull the cable. Needs "cable"."""
        ...

    def plug(self, name: str | None = None) -> None:
        """Plug it in again, the adapter under another name when one is given. Needs "cable"."""
        ...

    def counts(self) -> Mapping[str, Any]:
        """What it has carried: bytes, requests, wire_s, elapsed_s, early and so on. Needs "request-counts"."""
        ...


class Power(Protocol):
    """The power of the gateway, which runs its service when it has any. Needs "power"."""

    def on(self) -> None:
        """Let it start; returns when it is up."""
        ...

    def off(self) -> None:
        """Let it end in order; returns when it has."""
        ...

    def cut(self) -> None:
        """Take the power away, whatever it is doing."""
        ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a command."""

    code: int
    out: str
    err: str


class Conversation(Protocol):
    """A program on the gateway that answers each line with one line."""

    def ask(self, line: str) -> str:
        """The line that answers `line`."""
        ...

    def close(self) -> None:
        """End its input, and it."""
        ...


class Console(Protocol):
    """A shell on the machine that the gateway runs on."""

    def run(self, *command: str, deadline_s: float = 60.0) -> Ran:
        """Run a command to its end. The word `python` is that with the gateway's packages."""
        ...

    def converse(self, *command: str) -> Conversation:
        """Start a command that answers lines."""
        ...


class Rig(Protocol):
    """All of it, and what it can do."""

    capabilities: frozenset[str]
    # why it lacks one that its kind usually has
    lacks: Mapping[str, str]
    # by the names in the rig's file
    buses: Mapping[str, MeterBus]
    lines: Mapping[str, Line]
    # on each bus, in the order of the file
    meters: Mapping[str, Sequence[ReferenceMeter]]
    power: Power
    console: Console

    def close(self) -> None:
        """Leave nothing behind."""
        ...
