"""What a probe found, for people and for programs. Pure but for the table, which rich draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from firmware_bridge.probe.conclusion import Conclusion, Sureness
from firmware_bridge.probe.load_step import LoadStep

_STYLES = {
    Sureness.CERTAIN: "green",
    Sureness.LIKELY: "green",
    Sureness.UNSURE: "yellow",
    Sureness.UNKNOWN: "red",
}
_HEADINGS = ("unit", "model", "serial number", "settings", "how sure", "why")
# Below that the reasons would stand one word to a line.
_WIDE_CHARACTERS = 140
NOBODY = (
    "Nobody answered. Look at the wiring before the settings: A and B exchanged (harmless: exchange them), no power "
    "at the meter, ground not connected, no 120 ohm at both ends of a long line, another program on the adapter. "
    "Then try --all-units, and --wait 1 for slow devices."
)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a probe."""

    line: str
    conclusions: tuple[Conclusion, ...]
    notes: tuple[str, ...]
    # by unit
    load_steps: dict[int, LoadStep]
    # sections for a configuration
    suggestion: str
    # the file that holds them now
    written: str | None


def as_json(result: Result) -> str:
    """The result as one JSON object."""
    tree: dict[str, Any] = msgspec.to_builtins(result)
    devices = [
        {
            **{key: value for key, value in device.items() if key not in ("wire", "also_at")},
            "settings": conclusion.wire.told,
            "wire": device["wire"],
            "also_at": [wire.told for wire in conclusion.also_at],
            "load_step": tree["load_steps"].get(conclusion.unit),
        }
        for conclusion, device in zip(result.conclusions, tree["conclusions"], strict=True)
    ]
    answer = {
        "ok": bool(devices),
        "line": result.line,
        "devices": devices,
        "notes": result.notes,
        "suggestion": result.suggestion,
        "written": result.written,
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


def drawn(conclusions: Sequence[Conclusion], load_steps: Mapping[int, LoadStep], width: int) -> list[RenderableType]:
    """One row for each device; on a narrow terminal the reasons stand below the table."""
    is_wide = width >= _WIDE_CHARACTERS
    table = Table(show_lines=is_wide)
    for heading in _HEADINGS if is_wide else _HEADINGS[:-1]:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("unit", "how sure"))
    below: list[RenderableType] = []
    for one in conclusions:
        style = _STYLES[one.sureness]
        row = [str(one.unit), escape(_model(one)), escape(one.serial_number or ""), _settings(one)]
        row.append(f"[{style}]{one.sureness}[/{style}]")
        why = escape("; ".join(_why(one, load_steps)))
        table.add_row(*row, *([why] if is_wide else []))
        if not is_wide:
            below.append(f"unit {one.unit}: {why}.")
    return [table, *below]


def found(conclusion: Conclusion) -> str:
    """One line, at the moment a device was found."""
    serial = f", serial number {conclusion.serial_number}" if conclusion.serial_number else ""
    where = f"found unit {conclusion.unit} at {conclusion.wire.told}"
    return f"{where}: {_model(conclusion)}{serial} ({conclusion.sureness})"


def duration(seconds: float) -> str:
    """As people say it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _model(conclusion: Conclusion) -> str:
    if conclusion.profile is None:
        return "unknown"
    return f"{conclusion.model} [{conclusion.profile}]" if conclusion.model else conclusion.profile


def _settings(conclusion: Conclusion) -> str:
    also = "".join(f", also {wire.told}" for wire in conclusion.also_at)
    return conclusion.wire.told + also


def _why(conclusion: Conclusion, load_steps: Mapping[int, LoadStep]) -> list[str]:
    step = load_steps.get(conclusion.unit)
    return [*conclusion.reasons, *([step.sentence] if step else [])]
