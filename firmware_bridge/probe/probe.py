"""One search on one line, from where its journal ends to the end. A shell."""

from collections.abc import Callable

from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.line import LineUnderProbe
from firmware_bridge.probe.search import Search


async def probe(search: Search, line: LineUnderProbe, journal: Journal, tell: Callable[[], None]) -> None:
    """Ask on until the search is over; `tell` is called before each ask, when there may be news.

    Every answer is in the journal before the next question leaves, so this may be stopped at any time.

    Raises:
        LineError: the line cannot be used.
    """
    try:
        while search.ask is not None:
            tell()
            heard = await line.hear(search.ask)
            journal.add(search.ask, heard)
            search.take(heard)
        tell()
    finally:
        line.close()
