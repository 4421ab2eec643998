"""A parser under fuzz: what is done with an input, and inputs to begin with."""

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

BYTES_MAX = 4096
BRIEF = 0.1


class Target(NamedTuple):
    """One parser.

    `check` gives it an input and raises when what must hold does not. What it returns tells what became of the
    input: an input with another end than all before is worth going on from. `seeds` are real examples, `words`
    what the language has besides. `share` of the time is what it gets: less where other tests fuzz it as well.
    """

    name: str
    check: Callable[[bytes], Hashable]
    seeds: Iterable[bytes]
    words: Iterable[bytes] = ()
    bytes_max: int = BYTES_MAX
    share: float = 1.0


class BrokenError(AssertionError):
    """What must hold for every input does not."""
