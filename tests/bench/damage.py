"""What becomes of damaged replies: which check stops them, and what is published in the end.

DAMAGED_FRAMES of them (a million) with the checksum that the damage left, and a hundredth as many with the
right checksum. Counts by the check that stopped a reply; of values in replies that nothing stopped: how many
were published as good and are wrong by more than the step of their register, though within all limits. The
baseline of those that pass the checksum is what 16 bits let through by chance.
"""

import os
from collections.abc import Iterator

from tests.firmware_bridge.damage import Kind
from tests.firmware_bridge.damaged_line import Outcome, outcome_of_many

FRAMES = int(os.environ.get("DAMAGED_FRAMES", "1000000"))
RIGHT_CRC_SHARE = 100
CRC_VALUES = 65_536
STOPPED = ("crc", "length", "unit", "function", "exception", "silence", "accepted")
VALUES = ("right", "missing", "doubted", "escaped", "range", "rate", "cross", "counter")

Figure = tuple[str, float, str, float | None]


def bench() -> Iterator[Figure]:
    found = outcome_of_many(FRAMES)
    yield from _figures("damage", found)
    for kind in Kind:
        expected = round(found.counts[kind] / CRC_VALUES, 2)
        yield f"damage.{kind}_passed_crc", found.counts[f"{kind}_passed_crc"], "frames", expected
    yield from _figures("damage.right_crc", outcome_of_many(FRAMES // RIGHT_CRC_SHARE, has_right_crc=True))


def _figures(name: str, found: Outcome) -> Iterator[Figure]:
    assert not found.breaches, found.breaches[:5]
    yield f"{name}.frames", found.counts["damaged"], "frames", None
    yield f"{name}.beyond_limits", len(found.breaches), "values", None
    for why in STOPPED:
        yield f"{name}.{why}", found.counts[why], "frames", None
    for fate in VALUES:
        yield f"{name}.values_{fate}", found.counts[f"values_{fate}"], "values", None
