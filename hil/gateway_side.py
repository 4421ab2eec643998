"""The gateway's end of a bus, run on the gateway over its console."""

from dataclasses import dataclass

import msgspec
from protocols import Console, MeterBus

_READER = "hil/modbus_reader.py"


@dataclass(frozen=True, slots=True)
class Got:
    """What a read gave: registers, or the name of the error."""

    words: tuple[int, ...] | None
    error: str
    says: str


class GatewaySide:
    """Reads registers over the gateway's transport."""

    def __init__(self, console: Console, bus: MeterBus, **wrong: object) -> None:
        """On `bus`; `wrong` settings take the place of those it should have."""
        settings = {"bus": msgspec.structs.replace(bus.config, **wrong), "link_folders": list(bus.link_folders)}
        self._reader = console.converse("python", _READER, msgspec.json.encode(settings).decode())

    def read(self, unit: int, address: int, count: int, timeout_s: float) -> Got:
        """Input registers, function 4."""
        asked = {"do": "read", "unit": unit, "address": address, "count": count, "timeout_s": timeout_s}
        answer = msgspec.json.decode(self._reader.ask(msgspec.json.encode(asked).decode()))
        words = answer.get("words")
        return Got(None if words is None else tuple(words), answer.get("error", ""), answer.get("says", ""))

    def disconnect(self) -> None:
        """Let the next read open the line anew."""
        self._reader.ask('{"do": "close"}')

    def close(self) -> None:
        self._reader.close()
