"""Random histories of a store on a card whose power is cut, and what must be there after each cut.

A *life* is what a store does between two cuts that are gone on from. Every cut is opened by the production store as
the gateway would open it, and what it then holds is compared with what it had answered before.

    python -m tests.sim.stored_history --cuts 50000
"""

import argparse
import asyncio
import json
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig
from gateway.contract.records import ReadingsBlock, Record, StatusRecord, encode_record
from gateway.shell import generations
from gateway.shell.store import Store
from gateway.shell.store_folder import FILE_NAME
from tests.sim.power_cut import Card, Image

BEGIN_US = UtcUs(1_700_000_000_000_000)
HOUR_US = 3_600_000_000
# Of what is at home nothing is kept, so that there is always something to prune.
LIMITS = StoreConfig(keep_acknowledged_days=0, keep_forecasts_days=0)
STEPS_PER_LIFE = 24
CUTS_PER_LIFE = 20
# So many cuts are done by one process before it is asked for more.
CUTS_PER_TASK = 100
KINDS = frozenset({"readings", "status"})
_STATE = {
    "records": "SELECT sequence, recorded_us, kind, boot, body FROM record",
    "generations": "SELECT first_sequence, id FROM generation",
    "cursors": "SELECT name, sequence FROM cursor WHERE name = 'sync'",
}

_MEMORY = Path("/dev/shm")

State = dict[str, dict[object, tuple[object, ...]]]


class Step(NamedTuple):
    """What the store held when it had answered, after so many events of the card."""

    name: str
    events: int
    state: State


NOTHING = Step("nothing", 0, {table: {} for table in _STATE})


@dataclass(slots=True)
class Verdict:
    """What came of some cuts."""

    cuts: int = 0
    steps: int = 0
    # files that the store did not take for its own any more
    corrupt: int = 0
    # cuts after which something was missing, or other than it was, that the store had answered for
    lost: int = 0
    # cuts after which half of a transaction was there
    partial: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        self.cuts += other.cuts
        self.steps += other.steps
        self.corrupt += other.corrupt
        self.lost += other.lost
        self.partial += other.partial
        self.examples = (self.examples + other.examples)[:5]


# --- one life --------------------------------------------------------------------------------------


class Life:
    """A store at work on a card, noting after each step what it holds."""

    def __init__(self, card: Card, chance: Random, begin_us: UtcUs) -> None:
        self.now_us = begin_us
        self.steps: list[Step] = []
        self._card = card
        self._chance = chance
        self._boot = chance.randrange(1, 5)

    async def live(self, steps: int) -> None:
        """Open, work, and be cut off: nothing is closed in order, but what the process holds is let go."""
        store = await self._open()
        for _ in range(steps):
            self.now_us = UtcUs(self.now_us + self._chance.randrange(2 * HOUR_US))
            step = self._chance.choice(_STEPS)
            await step(self, store)
            if step is Life.reopen:
                store = await self._open()
            else:
                await self._note(step.__name__)
        await store.close()

    async def _open(self) -> Store:
        store = await Store.open(self._card.folder, self.now_us, limits=LIMITS, connect=self._card.connect)
        await self._note("open")
        return store

    async def _note(self, name: str) -> None:
        self._card.look_beside()
        database = self._card.databases[-1]
        state = {table: _by_key(await database.query(query)) for table, query in _STATE.items()}
        self.steps.append(Step(name, len(self._card.events), state))

    async def append(self, store: Store) -> None:
        boot = self._boot if self._chance.random() < 0.1 else None
        records = [self._record() for _ in range(self._chance.choice([1, 1, 2, 5]))]
        await store.append(records, self.now_us, boot=boot)
        newest = "SELECT body FROM record ORDER BY sequence DESC LIMIT ?"
        bodies = [body for (body,) in await self._card.databases[-1].query(newest, [len(records)])]
        assert bodies[::-1] == [encode_record(record) for record in records]

    def _record(self) -> Record:
        if self._chance.random() < 0.5:
            return StatusRecord(self.now_us, "started", "1.0", self._chance.randbytes(99).hex())
        codes = [self._chance.randbytes(self._chance.choice([500, 4000, 12_000]))]
        return ReadingsBlock(self.now_us, 60, self.now_us, self.now_us, [], codes, [], [], [], [], b"")

    async def acknowledge(self, store: Store) -> None:
        waiting = await store.waiting(KINDS, self._chance.randrange(1, 12), 1 << 20)
        if waiting is not None:
            await store.acknowledge(waiting.records[-1].sequence)

    async def rewind(self, store: Store) -> None:
        acknowledged = store.queue.acknowledged
        await store.rewind(self._chance.randrange(max(0, acknowledged - 3), acknowledged + 1))

    async def begin_generation(self, store: Store) -> None:
        waiting = await store.waiting(KINDS, 3, 1 << 20)
        if waiting is not None:
            await store.begin_generation(waiting.records[-1].sequence, self.now_us)

    async def quarantine(self, store: Store) -> None:
        waiting = await store.waiting(KINDS, 1, 1 << 20)
        if waiting is not None:
            await store.quarantine(waiting.records[0].sequence, "refused", self.now_us)

    async def prune(self, store: Store) -> None:
        await store.prune(self.now_us)

    async def restamp(self, store: Store) -> None:
        await store.restamp(self._boot, 1_000_000, self.now_us)

    async def checkpoint(self, store: Store) -> None:
        mode = self._chance.choice(["PASSIVE", "RESTART", "TRUNCATE"])
        await self._card.databases[-1].query(f"PRAGMA wal_checkpoint({mode})")

    async def reopen(self, store: Store) -> None:
        await store.close()


_STEPS: list[Callable[[Life, Store], Awaitable[None]]] = (
    [Life.append] * 12
    + [Life.acknowledge] * 3
    + [Life.prune] * 2
    + [Life.rewind, Life.begin_generation, Life.quarantine, Life.restamp, Life.checkpoint, Life.reopen]
)


def _by_key(rows: Iterable[tuple[object, ...]]) -> dict[object, tuple[object, ...]]:
    return {row[0]: row[1:] for row in rows}


# --- one cut ---------------------------------------------------------------------------------------


def put(image: Image, folder: Path) -> None:
    """Write what a card held into a folder."""
    for name, data in image.items():
        (folder / name).write_bytes(data)


async def opened(folder: Path, now_us: UtcUs) -> tuple[bool, State]:
    """Whether the store there is whole and taken for its own by a gateway that starts, and what it holds."""
    store = await Store.open(folder, now_us, limits=LIMITS)
    try:
        with closing(sqlite3.connect(f"file:{folder / FILE_NAME}?mode=ro", uri=True)) as file:
            is_whole = file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            state = {table: _by_key(file.execute(query)) for table, query in _STATE.items()}
    finally:
        await store.close()
    return is_whole and not set_aside(folder), state


def set_aside(folder: Path) -> list[Path]:
    """Files that the store did not take for its own any more, and kept."""
    return [*folder.glob("damaged-*.sqlite"), *folder.glob("replaced-*.sqlite")]


def wrong(before: State, after: State, found: State) -> list[str]:
    """What is missing or other than the store had answered for."""
    complaints = []
    # a store that never came to be is made anew
    for table in ("records", "generations") if before["generations"] else ("records",):
        one, other, there = before[table], after[table], found[table]
        complaints += [f"{table}: {key} is lost" for key in one.keys() & other.keys() - there.keys()]
        complaints += [
            f"{table}: {key} is other than it was"
            for key, row in there.items()
            if row not in (one.get(key), other.get(key))
        ]
    cursors = [state["cursors"].get("sync", (0,)) for state in (before, after)]
    if not min(cursors) <= found["cursors"].get("sync", (0,)) <= max(cursors):
        complaints.append(f"the cursor stands at {found['cursors']}, and stood at {cursors}")
    return complaints


def is_half(before: State, after: State, found: State) -> bool:
    """Whether some of what was appended together is there and some is not."""
    appended = after["records"].keys() - before["records"].keys()
    return 0 < len(appended & found["records"].keys()) < len(appended)


# --- many ------------------------------------------------------------------------------------------


class Campaign:
    """Lives one after another, each going on from a cut of the one before."""

    def __init__(self, seed: int, synchronous: str, root: Path) -> None:
        self._name = f"seed {seed}, {synchronous}"
        self._synchronous = synchronous
        self._chance = Random(self._name)
        self._root = root
        self._now_us = BEGIN_US
        self._verdict = Verdict()

    async def run(self, cuts: int) -> Verdict:
        image, held = {}, NOTHING
        while self._verdict.cuts < cuts:
            image, held = await self._life(image, held, min(CUTS_PER_LIFE, cuts - self._verdict.cuts))
        return self._verdict

    async def _life(self, image: Image, held: Step, cuts: int) -> tuple[Image, Step]:
        """One life, cut off so many times; where the next goes on."""
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            put(image, Path(folder))
            card = Card(Path(folder), beside=[generations.FILE_NAME], synchronous=self._synchronous)
            life = Life(card, self._chance, self._now_us)
            await life.live(STEPS_PER_LIFE)
        self._now_us = life.now_us
        self._verdict.steps += len(life.steps)
        steps = [held, *life.steps]
        at = sorted(self._chance.randrange(len(card.events) + 1) for _ in range(cuts))
        ways_on: list[tuple[Image, Step]] = [({}, NOTHING)]
        for end, left in zip(at, card.cut(at, self._chance), strict=True):
            done = sum(step.events <= end for step in steps)
            state = await self._judged(left, steps[done - 1], steps[min(done, len(steps) - 1)])
            if state is not None:
                ways_on.append((left, Step("cut", 0, state)))
        return self._chance.choice(ways_on[-5:])

    async def _judged(self, image: Image, before: Step, after: Step) -> State | None:
        """What a store on this image holds; None where it is not what it must be."""
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            put(image, Path(folder))
            is_whole, state = await opened(Path(folder), self._now_us)
        complaints = wrong(before.state, after.state, state)
        half = after.name == "append" and is_half(before.state, after.state, state)
        self._verdict.add(Verdict(cuts=1, corrupt=int(not is_whole), lost=int(bool(complaints)), partial=int(half)))
        if is_whole and not complaints and not half:
            return state
        self._verdict.add(
            Verdict(examples=[f"{self._name}, cut {self._verdict.cuts}, in {after.name}: {complaints[:3]}"])
        )
        return None


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Where nothing is written to a real disk: what happens to a disk is simulated, to sync one gains nothing."""
    with tempfile.TemporaryDirectory(prefix="smartwatts-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def run_task(seed: int, cuts: int, synchronous: str) -> Verdict:
    """Some cuts; what a process of its own does."""
    logging.disable(logging.WARNING)  # that a generation begins is no news here
    with folder_in_memory() as root:
        return asyncio.run(Campaign(seed, synchronous, root).run(cuts))


def run(cuts: int, seed: int = 1, synchronous: str = "FULL", jobs: int | None = None) -> Verdict:
    """So many cuts on all cores, the same ones for the same seed."""
    total, tasks = Verdict(), -(-cuts // CUTS_PER_TASK)
    sizes = [CUTS_PER_TASK] * (tasks - 1) + [cuts - CUTS_PER_TASK * (tasks - 1)]
    seeds = range(seed * 1_000_000, seed * 1_000_000 + tasks)
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for verdict in pool.map(run_task, seeds, sizes, [synchronous] * tasks):
            total.add(verdict)
    return total


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.stored_history", description=__doc__)
    parser.add_argument("--cuts", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synchronous", choices=["FULL", "NORMAL", "OFF"], default="FULL")
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args(arguments)
    verdict = run(given.cuts, given.seed, given.synchronous, given.jobs)
    print(json.dumps(asdict(verdict)))
    return int(bool(verdict.corrupt or verdict.lost or verdict.partial))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
