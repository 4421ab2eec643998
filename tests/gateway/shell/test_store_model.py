"""The store beside a plain model in memory, whatever is done to both: nothing lost, nothing twice, all in order."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig
from gateway.contract.batches import StoredRecord
from gateway.contract.records import ReadingsBlock, Record, StatusRecord, decode_record
from gateway.shell.card_state import RETRY_US
from gateway.shell.store import FILE_NAME, Store
from gateway.shell.store_folder import log_of
from tests.sim.stores import ALL_KINDS, DAY_US, NOW_US
from tests.sim.weak_card import WeakCard

LIMITS = StoreConfig(keep_acknowledged_days=1, keep_forecasts_days=1, free_mb_min=0)
# A folder in memory, where there is one: nothing is gained by syncing a real disk.
MEMORY = Path("/dev/shm")
WORDS = "number "


@dataclass
class Entry:
    """A record as the model has it."""

    number: int
    kind: str
    recorded_us: int
    is_home: bool = False
    is_refused: bool = False
    # whether a conflict allowed it another key since it was last sent
    may_have_another_key: bool = False
    is_deleted: bool = False


@dataclass
class Model:
    """Every record that was ever appended, in order, and what home has."""

    entries: list[Entry] = field(default_factory=list)
    home: dict[tuple[str, int], int] = field(default_factory=dict)
    keys: dict[int, tuple[str, int]] = field(default_factory=dict)

    def waiting(self, kinds: frozenset[str]) -> list[int]:
        """The numbers that go home next."""
        return [
            entry.number
            for entry in self.entries
            if entry.kind in kinds and not (entry.is_home or entry.is_refused or entry.is_deleted)
        ]


class StoreMachine(RuleBasedStateMachine):
    """Each rule is done to the store and to the model."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.runner = asyncio.Runner()
        self.card = WeakCard()
        self.model = Model()
        self.now_us = self.pruned_us = UtcUs(NOW_US)
        self.copy: bytes | None = None
        self.store = self.run(self.open())

    def run(self, work):
        return self.runner.run(work)

    async def open(self) -> Store:
        return await Store.open(self.folder, self.now_us, limits=LIMITS, connect=self.card.connect)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    # --- what the gateway does ---------------------------------------------------------------------

    @rule(kinds=st.lists(st.sampled_from(["status", "readings"]), min_size=1, max_size=4))
    def append(self, kinds: list[str]) -> None:
        self.now_us = UtcUs(self.now_us + 1)
        records: list[Record] = []
        for kind in kinds:
            number = len(self.model.entries)
            self.model.entries.append(Entry(number, kind, self.now_us))
            text, at_us = f"{WORDS}{number}", self.now_us
            is_status = kind == "status"
            readings = ReadingsBlock(at_us, 60, at_us, at_us, [text], [], [], [], [], [], bytes(500))
            records.append(StatusRecord(at_us, "started", "1.0", text) if is_status else readings)
        self.run(self.store.append(records, self.now_us))

    @rule(hours=st.integers(0, 40))
    def time_passes(self, hours: int) -> None:
        self.now_us = UtcUs(self.now_us + RETRY_US + hours * DAY_US // 24)

    @precondition(lambda self: self.card.card == "ok")
    @rule()
    def prune(self) -> None:
        self.now_us = UtcUs(self.now_us + RETRY_US)
        self.run(self.store.prune(self.now_us))
        self.pruned_us = self.now_us

    @rule()
    def reopen(self) -> None:
        self.card_comes_back()  # what is in memory alone goes with the process
        self.run(self.store.close())
        self.store = self.run(self.open())

    # --- what the cloud does -----------------------------------------------------------------------

    @rule(kinds=st.sampled_from([ALL_KINDS, frozenset({"status"})]), count=st.integers(1, 6), is_heard=st.booleans())
    def send(self, kinds: frozenset[str], count: int, is_heard: bool) -> None:
        waiting = self.run(self.store.waiting(kinds, count, 1 << 40))
        expected = [number for number in self.model.waiting(kinds) if number not in self.in_memory()]
        if waiting is None:
            assert not expected or self.store.queue.card != "ok" or self.is_busy()
            return
        numbers = [number for one in waiting.records if (number := number_of(one)) is not None]
        assert numbers == expected[: len(numbers)]
        for one in waiting.records:
            self.arrive(waiting.generation, one)
        if is_heard:
            last = waiting.records[-1].sequence
            self.run(self.store.acknowledge(last))
            self.cursor_is_at(last)

    def arrive(self, generation: str, one: StoredRecord) -> None:
        """Home takes a record, and knows it when it comes again."""
        number = number_of(one)
        if number is None:
            return
        key = (generation, one.sequence)
        assert self.model.home.setdefault(key, number) == number, "another record under the same key"
        entry = self.model.entries[number]
        before = self.model.keys.setdefault(number, key)
        assert before == key or entry.may_have_another_key, "one record under two keys"
        self.model.keys[number] = key
        entry.may_have_another_key = False

    @rule(back=st.integers(0, 12))
    def rewind(self, back: int) -> None:
        if self.card.card != "ok":
            return
        sequence = max(0, self.store.queue.acknowledged - back)
        self.run(self.store.rewind(sequence))
        self.cursor_is_at(self.store.queue.acknowledged)

    @rule(behind=st.integers(0, 5))
    def conflict(self, behind: int) -> None:
        waiting = self.run(self.store.waiting(ALL_KINDS, 6, 1 << 40))
        if waiting is None or self.card.card != "ok":
            return
        first = waiting.records[min(behind, len(waiting.records) - 1)].sequence
        self.run(self.store.begin_generation(first, self.now_us))
        for number, sequence in self.sequences().items():
            if sequence >= first:
                self.model.entries[number].may_have_another_key = True
        self.cursor_is_at(self.store.queue.acknowledged)

    @rule()
    def quarantine(self) -> None:
        waiting = self.run(self.store.waiting(ALL_KINDS, 1, 1 << 40))
        if waiting is not None:
            self.run(self.store.quarantine(waiting.records[0].sequence, "refused", self.now_us))
            if (number := number_of(waiting.records[0])) is not None:
                self.model.entries[number].is_refused = True

    def cursor_is_at(self, cursor: int) -> None:
        for number, sequence in self.sequences().items():
            entry = self.model.entries[number]
            entry.is_home = sequence <= cursor

    # --- what the world does -----------------------------------------------------------------------

    @rule(card=st.sampled_from(["full", "read_only", "failing"]))
    def card_goes_away(self, card: str) -> None:
        self.card.card = card

    @rule()
    def card_comes_back(self) -> None:
        self.card.card, self.card.writes_left = "ok", None
        self.now_us = UtcUs(self.now_us + RETRY_US)
        self.run(self.store.append([], self.now_us))
        assert self.store.queue.ring_records == 0

    @rule(writes=st.integers(0, 8))
    def card_hiccups_once(self, writes: int) -> None:
        self.card.writes_left = writes

    @rule()
    def a_copy_is_made(self) -> None:
        self.copy = (self.folder / FILE_NAME).read_bytes() if (self.folder / FILE_NAME).exists() else None

    @precondition(lambda self: self.card.card == "ok" and self.card.writes_left is None)
    @rule(how=st.sampled_from(["removed", "garbage", "copy", "log"]))
    def the_file_loses_its_place(self, how: str) -> None:
        self.card_comes_back()
        path = self.folder / FILE_NAME
        match how:
            case "removed":
                path.unlink()
            case "log":
                log_of(path).unlink()
            case _:
                (self.folder / "other").write_bytes(self.copy if how == "copy" and self.copy else b"garbage" * 999)
                (self.folder / "other").replace(path)
        self.run(self.store.append([], self.now_us))
        self.mend()

    @precondition(lambda self: self.card.card == "ok" and self.card.writes_left is None)
    @rule(is_list_gone=st.booleans())
    def the_head_is_damaged(self, is_list_gone: bool) -> None:
        """All records are on other pages, and so is what leads to their keys; not the cursor, perhaps."""
        self.card_comes_back()
        self.mend()
        self.run(self.store.close())
        with (self.folder / FILE_NAME).open("r+b") as file:
            file.write(bytes(4096))
        if is_list_gone:
            (self.folder / "store.generations").unlink()
        before = self.sequences_by_the_model()
        self.store = self.run(self.open())
        self.mend()
        assert before.items() <= self.sequences().items()
        for entry in self.model.entries:
            if entry.number in self.sequences() and entry.is_deleted:
                entry.is_deleted = False  # a page that nothing was written over
            entry.is_refused = False  # nobody knows: the cloud will say it again
        self.cursor_is_at(self.store.queue.acknowledged)

    def mend(self) -> None:
        while self.run(self.store.mend(self.now_us)):
            pass

    # --- what must hold ----------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "store") and not self.is_busy():
            held = self.held()
            for entry in self.model.entries:
                if entry.number not in held and not entry.is_deleted:
                    assert entry.is_home, "it was nowhere else"
                    assert not entry.is_refused
                    assert entry.recorded_us < self.pruned_us - DAY_US
                    entry.is_deleted = True

    @invariant()
    def order_is_kept(self) -> None:
        if hasattr(self, "store"):
            numbers = [number for number, _ in sorted(self.sequences().items(), key=lambda item: item[1])]
            assert numbers == sorted(numbers)

    @invariant()
    def what_waits_is_counted(self) -> None:
        if not hasattr(self, "store") or (file := self.store._keeper.file) is None or self.card.card != "ok":
            return
        if self.store._writer.verdicts.acknowledged or self.store._writer.verdicts.refused or not file.is_settled:
            return
        ((count,),) = self.query(
            "SELECT count(*) FROM record WHERE sequence > ? AND sequence NOT IN (SELECT sequence FROM quarantine)",
            file.position.acknowledged,
        )
        assert sum(waits.records for waits in file.position.backlog.values()) == count

    # --- looking -----------------------------------------------------------------------------------

    def is_busy(self) -> bool:
        """Whether not everything is in this file, or it cannot be looked at."""
        return not self.store._keeper.inflow.is_over or self.store._keeper.file is None

    def query(self, sql: str, *parameters: int) -> list[tuple]:
        file = self.store._keeper.file
        if file is None:
            return []
        return self.run(file.database.query(sql, parameters))

    def sequences(self) -> dict[int, int]:
        rows = self.query("SELECT sequence, recorded_us, body FROM record ORDER BY sequence")
        found = ((number_of(StoredRecord(*row)), row[0]) for row in rows)
        return {number: sequence for number, sequence in found if number is not None}

    def sequences_by_the_model(self) -> dict[int, int]:
        deleted = {entry.number for entry in self.model.entries if entry.is_deleted}
        return {number: sequence for number, (_, sequence) in self.model.keys.items() if number not in deleted}

    def in_memory(self) -> set[int]:
        found = (
            number_of(StoredRecord(1, one.recorded_us, one.body)) for one in self.store._writer.ring.newest_first()
        )
        return {number for number in found if number is not None}

    def held(self) -> set[int]:
        return set(self.sequences()) | self.in_memory()


def number_of(one: StoredRecord) -> int | None:
    """The number of a record of the model's; None for what the store noted."""
    record = decode_record(one.body)
    text = record.detail if isinstance(record, StatusRecord) else record.meters[0]
    return int(text.removeprefix(WORDS)) if text.startswith(WORDS) else None


def run_examples(count: int, steps: int) -> None:
    limits = settings(
        max_examples=count,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(StoreMachine, settings=limits)


@pytest.mark.slow
def test_the_store_does_what_a_plain_model_does():
    run_examples(60, 30)


@pytest.mark.nightly
def test_the_store_does_what_a_plain_model_does_all_night():
    run_examples(1_500, 60)
