"""`make bench ONLY=name`: one JSON line per figure: name, value, unit, baseline, ratio.

The ratio is value / baseline, the baseline measured in the same run, so that a figure means the
same on a laptop and on a gateway.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from tests.bench import bus, damage, drain, fairness, fleet, inference, ingest, path, store, train


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    baseline: float | None

    def line(self) -> str:
        ratio = None if not self.baseline else round(self.value / self.baseline, 3)
        return json.dumps(asdict(self) | {"ratio": ratio})


def _accuracy() -> Iterator[tuple[str, float, str, float | None]]:
    from tests.bench import accuracy  # TensorFlow: in the trainer's environment alone

    yield from accuracy.bench()


BENCHES: dict[str, Callable[[], Iterator[tuple[str, float, str, float | None]]]] = {
    "path": path.bench,
    "bus": bus.bench,
    "fairness": fairness.bench,
    "damage": damage.bench,
    "store": store.bench,
    "loss_window": store.loss_window,
    "ingest": ingest.bench,
    "drain": drain.bench,
    "fleet": fleet.bench,
    "inference": inference.bench,
    "accuracy": _accuracy,
    "train": train.bench,
}


TRAINERS = frozenset({"accuracy", "train"})


def main(only: list[str]) -> int:
    unknown = sorted(set(only) - BENCHES.keys())
    if unknown:
        print(f"ONLY = {' '.join(unknown)}: is no bench; choose from {', '.join(BENCHES)}.", file=sys.stderr)
        return 2
    # What needs TensorFlow, and half an hour, is asked for by its name, in the trainer's environment.
    if not only:
        print(
            f"left out, for they need TensorFlow: {', '.join(sorted(TRAINERS))}; name one with ONLY.", file=sys.stderr
        )
    for name in only or [one for one in BENCHES if one not in TRAINERS]:
        for figure in BENCHES[name]():
            print(Figure(*figure).line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
