"""Rows for people: columns as wide as their widest entry, instants in UTC."""

from collections.abc import Sequence
from datetime import UTC, datetime

from firmware_bridge.reading import US_PER_S


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines with the columns under their heads; no line ends in spaces."""
    lines = [heads, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return "".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def instant(at_us: int | None) -> str:
    """The minute of an instant; "-" for one that never was."""
    return "-" if at_us is None else f"{datetime.fromtimestamp(at_us // US_PER_S, UTC):%Y-%m-%d %H:%M}"
