"""Control of a running simulator: one JSON object a line on its input, one on its output. A shell.

    {"do": "inject", "line": "rs485", "fault": {"kind": "delay", "unit": 1, "delay_s": 0.8}}
    {"do": "heal", "line": "rs485"}
    {"do": "pull", "line": "rs485"}       {"do": "plug", "line": "rs485", "link": "usb-2"}
    {"do": "counts", "line": "rs485"}     {"do": "reset_counts", "line": "rs485"}
    {"do": "show", "meter": "main", "measurand": "voltage_v", "value": 231.5}
    {"do": "release", "meter": "main"}

Each is answered, in order, by `{"ok": ...}` or `{"error": "one sentence"}`. The first line, unasked,
tells the lines: `{"ok": {"rs485": "serial:///..."}}`. The end of the input ends the simulator.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Annotated, Any

import msgspec

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId
from firmware_bridge.simulator.line_settings import WireFaultSettings, check_wire_fault
from firmware_bridge.simulator.lines import Lines
from firmware_bridge.simulator.panel import Panel

# The longest command is a fault with every setting: 300 bytes.
COMMAND_BYTES_MAX = 4096


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag=str.lower):
    """What one line of the input asks for."""


class OfLine(Command, frozen=True):
    """What is done to a line."""

    line: str


class Inject(OfLine, frozen=True, tag="inject"):
    """Let something go wrong."""

    fault: WireFaultSettings


class Heal(OfLine, frozen=True, tag="heal"):
    """Take back all faults."""


class Pull(OfLine, frozen=True, tag="pull"):
    """Break the line."""


class Plug(OfLine, frozen=True, tag="plug"):
    """Open it anew, under another name when one is given."""

    # of a serial line, beside the old one: a name, no path
    link: Annotated[str, msgspec.Meta(pattern=r"^(?!\.{1,2}\Z)[^/\x00]{1,100}\Z")] | None = None


class Counts(OfLine, frozen=True, tag="counts"):
    """What it has carried."""


class ResetCounts(OfLine, frozen=True, tag="reset_counts"):
    """Count anew."""


class Show(Command, frozen=True, tag="show"):
    """Let a meter show a value, SI."""

    meter: str
    measurand: Measurand
    value: float


class Release(Command, frozen=True, tag="release"):
    """Let it show the truth again."""

    meter: str


_Any = Inject | Heal | Pull | Plug | Counts | ResetCounts | Show | Release


class Control:
    """Carries commands out."""

    def __init__(self, lines: Lines, panel: Panel) -> None:
        self._lines, self._panel = lines, panel
        self._decode = msgspec.json.Decoder(_Any).decode

    async def answer(self, text: bytes) -> bytes:
        """The line that answers the line `text`."""
        try:
            ok = await self._carry_out(self._decode(text))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, SettingError) as error:
            return _line({"error": str(error)})
        return _line({"ok": ok})

    async def _carry_out(self, command: _Any) -> Any:  # noqa: ANN401 - JSON
        match command:
            case Show():
                self._panel.show(MeterId(command.meter), command.measurand, command.value)
            case Release():
                self._panel.release(MeterId(command.meter))
            case _:
                return await self._to_line(command)
        return None

    async def _to_line(self, command: OfLine) -> Any:  # noqa: ANN401 - JSON
        line = self._lines.named(command.line)
        match command:
            case Inject():
                check_wire_fault("fault", command.fault)
                line.inject(command.fault)
            case Heal():
                await line.heal()
            case Pull():
                line.pull()
            case Plug():
                await line.plug(command.link)
                return line.url
            case Counts():
                return line.counts()
            case ResetCounts():
                line.reset_counts()
        return None

    async def serve(self) -> None:
        """Tell the lines, then obey until the input ends, or nobody hears the answers.

        Raises:
            SettingError: the input is a file, which does not wait for answers.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=COMMAND_BYTES_MAX)
        try:
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        except ValueError as error:
            raise SettingError("--control", "(input)", "is a file", "pipe commands into it") from error
        with suppress(BrokenPipeError):
            _say(_line({"ok": self._lines.urls}))
            await self._obey(reader)

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                text = await reader.readline()
            except ValueError:  # longer than any command; what is left of it is the next line
                _say(_line({"error": f"a command has at most {COMMAND_BYTES_MAX} bytes"}))
                continue
            if not text:
                return
            _say(await self.answer(text))


def _line(answer: dict[str, Any]) -> bytes:
    return msgspec.json.encode(answer) + b"\n"


def _say(line: bytes) -> None:
    """A parent that does not read what it asked for stops us, which is its own will."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
