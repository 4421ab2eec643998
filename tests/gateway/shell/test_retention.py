from pathlib import Path

import pytest

from firmware_bridge.reading import UtcUs
from gateway.config import StoreConfig
from gateway.contract.records import AnomalyRecord, ForecastRecord, RawBlock, Record, StatusRecord, decode_record
from gateway.shell import retention
from gateway.shell.retention import CHUNK_ROWS
from gateway.shell.store import Store
from tests.sim.stores import ALL_KINDS, DAY_US, NOW_US, asides, block, kept, look, numbers, opened, statuses

SHORT = StoreConfig(free_mb_min=1_000_000)


def at(days: float) -> UtcUs:
    return UtcUs(NOW_US + round(days * DAY_US))


def raw(number: int, size: int = 100) -> RawBlock:
    values = block(number, size).measurand_codes
    return RawBlock(UtcUs(number), "setting", [], [], values, [], [])


def forecast(number: int) -> ForecastRecord:
    return ForecastRecord(UtcUs(number), "consumption_w", "model", None, UtcUs(number), 900, [], [], [])


def anomaly(number: int) -> AnomalyRecord:
    return AnomalyRecord(UtcUs(number), "stuck", "m.power", UtcUs(number), None, None, None, "stuck")


def one_of_each(number: int, size: int = 100) -> list[Record]:
    return [raw(number, size), forecast(number), block(number, size), anomaly(number), *statuses(1, first=number)]


async def send_all(store: Store, kinds: frozenset[str] = ALL_KINDS) -> None:
    while waiting := await store.waiting(kinds, 1_000, 1 << 40):
        await store.acknowledge(waiting.records[-1].sequence)


def left(folder: Path) -> dict[object, object]:
    return dict(look(folder, "SELECT kind, count(*) FROM record GROUP BY kind"))


async def test_what_is_at_home_goes_when_its_days_are_over_forecasts_later_and_single_readings_after_a_week(
    tmp_path: Path,
):
    limits = StoreConfig(keep_acknowledged_days=8, keep_forecasts_days=30)
    async with opened(tmp_path, limits=limits) as store:
        for day in range(10):
            await store.append(one_of_each(day), at(day))
        await send_all(store)
        await store.prune(at(10.5))
        assert left(tmp_path) == {"raw": 6, "readings": 7, "anomaly": 7, "status": 7, "forecast": 10}
        await store.prune(at(33.5))
        assert left(tmp_path) == {"forecast": 6, "status": 1}, "the last record stays: it is the counter"
        assert (store.queue.records, store.queue.acknowledged, store.queue.dropped_records) == (0, 50, 0)
    async with opened(tmp_path) as store:
        await store.append(statuses(1), at(34))
        assert [one.sequence for one in await kept(store)] == [51]


async def test_nothing_that_is_not_at_home_goes_by_age(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(one_of_each(1), at(0))
        await send_all(store, frozenset({"status", "readings"}))
        await store.append(one_of_each(2), at(0))
        await store.prune(at(4_000))
        assert left(tmp_path) == {"raw": 2, "forecast": 2, "anomaly": 2, "readings": 1, "status": 1}


async def test_what_went_home_before_the_site_shared_less_still_goes(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(one_of_each(1), at(0))
        await send_all(store)
        await store.append(one_of_each(2), at(0))
        await send_all(store, frozenset({"status"}))
        await store.append(one_of_each(3), at(0))
        await store.prune(at(40))
        assert left(tmp_path) == {"raw": 2, "forecast": 2, "anomaly": 2, "readings": 2, "status": 1}


async def test_what_came_of_age_goes_in_that_hour_however_short_the_recording_periods_were(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(2 * CHUNK_ROWS + 50), at(0))
        await send_all(store)
        await store.prune(at(36))
    assert left(tmp_path) == {"status": 1}


async def test_freed_pages_are_used_again(tmp_path: Path):
    async with opened(tmp_path) as store:
        sizes = []
        for hour in range(12):
            await store.append([block(hour * 100 + number, size=8_000) for number in range(60)], at(hour))
            await send_all(store)
            await store.prune(at(hour + 34.9))
            sizes.append(look(tmp_path, "PRAGMA page_count")[0][0])
    assert sizes[-1] == sizes[-3]


async def test_for_want_of_room_goes_what_is_least_missed_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "STORE_BYTES_MIN", 0)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    monkeypatch.setattr("gateway.shell.store.CHUNKS_MAX", 1)
    async with opened(tmp_path, limits=SHORT) as store:
        for number in (1, 2, 3):
            await store.append(one_of_each(number), at(number))
        assert (await store.waiting(ALL_KINDS, 3, 1 << 40)) is not None
        await store.acknowledge(3)
        seen = []
        for hour in range(6):
            await store.prune(at(3 + hour / 24))
            seen.append(left(tmp_path))
        told = [one.detail for one in map(decode, await kept(store)) if one.event == "records_dropped"]
        assert store.queue.dropped_records == 2 + 2 + 2
    assert seen[0] == {"raw": 2, "forecast": 2, "readings": 3, "anomaly": 3, "status": 3}, "at home: 1 and 2"
    assert seen[1] == {"raw": 2, "forecast": 2, "readings": 2, "anomaly": 3, "status": 3}, "at home: 3"
    assert seen[2] == {"forecast": 2, "readings": 2, "anomaly": 3, "status": 4}
    assert seen[3] == {"readings": 2, "anomaly": 3, "status": 5}
    assert seen[4] == {"anomaly": 3, "status": 6}
    assert seen[5] == seen[4], "the rest stays"
    assert told[0] == (
        "no room: 2 records of kind raw dropped, sequences 6 to 11,"
        " recorded 2023-11-16T22:13:20+00:00 to 2023-11-17T22:13:20+00:00"
    )
    assert [detail.split(" records ")[1].split(",")[0] for detail in told] == [
        f"of kind {kind} dropped" for kind in ("raw", "forecast", "readings")
    ]


def decode(one) -> StatusRecord:
    record = decode_record(one.body)
    return record if isinstance(record, StatusRecord) else StatusRecord(UtcUs(0), "started", "", "")


async def test_the_file_stays_within_its_size_and_what_waits_is_counted_right(tmp_path: Path):
    limits = StoreConfig(size_mb_max=2, free_mb_min=0)
    async with opened(tmp_path, limits=limits) as store:
        for hour in range(8):
            await store.append([block(hour * 1000 + number, size=9_000) for number in range(60)], at(hour))
            await store.append(statuses(1, first=hour), at(hour))
            await store.prune(at(hour))
        ((pages,),), ((free,),) = look(tmp_path, "PRAGMA page_count"), look(tmp_path, "PRAGMA freelist_count")
        assert 1_900_000 < (pages - free) * 4096 <= 2_000_000
        records = await kept(store)
        assert numbers(records) == list(range(8)), "no status goes before readings"
        assert store.queue.records == len(records)
        assert store.queue.dropped_records == 480 - left(tmp_path)["readings"]
        assert look(tmp_path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("scan_rows", [1, 4, 7, 5_000])
async def test_what_goes_first_does_so_however_far_behind_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_rows: int
):
    monkeypatch.setattr(retention, "_SCAN_ROWS", scan_rows)
    monkeypatch.setattr("gateway.shell.store.CHUNKS_MAX", 10_000)
    async with opened(tmp_path, limits=StoreConfig(size_mb_max=1, free_mb_min=0)) as store:
        await store.append([block(number, size=9_000) for number in range(50)], at(0))
        await store.append([raw(1, 9_000), *statuses(1), forecast(1)], at(0))
        await store.append([block(number, size=9_000) for number in range(50)], at(0))
        await store.prune(at(1))
        assert left(tmp_path) == {"raw": 1, "forecast": 1, "readings": 100, "status": 1}, "there is room"
        await store.append([block(number, size=9_000) for number in range(30)], at(0))
        await store.prune(at(1))
        kinds = left(tmp_path)
        assert {"raw", "forecast"} & kinds.keys() == set()
        assert 100 <= kinds["readings"] < 130
        await store.append([raw(2, 9_000), block(1, size=9_000)], at(0))
        await store.prune(at(1))
        assert left(tmp_path).get("raw") is None, "the new window goes before the oldest readings"
        assert left(tmp_path)["readings"] >= kinds["readings"] - 1


async def test_a_kind_without_anything_to_drop_is_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "STORE_BYTES_MIN", 0)
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    monkeypatch.setattr(retention, "_SCAN_ROWS", 10)
    monkeypatch.setattr("gateway.shell.store.CHUNKS_MAX", 1)
    async with opened(tmp_path, limits=SHORT) as store:
        await store.append([block(number) for number in range(40)], at(0))
        counts = []
        for _ in range(12):
            await store.prune(at(1))
            counts.append(left(tmp_path)["readings"])
    assert counts == [40] * 6 + [38, 36, 34, 32, 30, 28]


async def test_what_is_to_be_sent_again_is_looked_through_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "STORE_BYTES_MIN", 0)
    async with opened(tmp_path, limits=SHORT) as store:
        await store.append(statuses(5), at(0))
        await store.prune(at(0))
        await send_all(store)
        file = store._keeper.file
        assert file is not None
        assert file.position.kept_through == dict.fromkeys(("raw", "forecast", "readings"), 4)
        await store.rewind(0)
        assert file.position.kept_through == {}


async def test_pages_go_back_to_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with opened(tmp_path, limits=SHORT) as store:
        await store.append([block(number, size=9_000) for number in range(200)], at(0))
        await send_all(store)
        before = look(tmp_path, "PRAGMA page_count")[0][0]
        await store.prune(at(36))
        assert look(tmp_path, "PRAGMA page_count")[0][0] < before / 10


async def test_a_store_that_does_not_fill_the_disk_drops_nothing_for_it(tmp_path: Path):
    async with opened(tmp_path, limits=SHORT) as store:
        for number in range(50):
            await store.append(one_of_each(number), at(0))
        await store.prune(at(1))
        assert sum(left(tmp_path).values()) == 250
        assert store.queue.dropped_records == 0


async def test_files_moved_aside_go_before_any_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "STORE_BYTES_MIN", 0)
    monkeypatch.setattr("gateway.shell.store.CHUNKS_MAX", 1)
    for name in ("damaged-1.sqlite", "damaged-1.sqlite-wal", "replaced-2.sqlite"):
        (tmp_path / name).write_text("aside")
    async with opened(tmp_path, limits=SHORT) as store:
        await store.append(one_of_each(1), at(0))
        for names in (["replaced-2.sqlite"], []):
            await store.prune(at(1))
            assert [path.name for path in (*asides(tmp_path), *asides(tmp_path, "replaced"))] == names
        assert sum(left(tmp_path).values()) == 5
        await store.prune(at(1))
        assert left(tmp_path) == {"forecast": 1, "readings": 1, "anomaly": 1, "status": 2}


async def test_files_moved_aside_go_although_the_store_beside_them_is_small(tmp_path: Path):
    """They alone fill the disk: what comes would be lost, and they were read already."""
    async with opened(tmp_path, limits=SHORT) as store:
        (tmp_path / "damaged-1.sqlite").write_bytes(b"old")
        await store.append(statuses(3), NOW_US)
        await store.prune(NOW_US)
        assert asides(tmp_path) == []
        assert numbers(await kept(store)) == [1, 2, 3]


async def test_generations_without_a_record_are_forgotten(tmp_path: Path):
    async with opened(tmp_path) as store:
        await store.append(statuses(4), at(0))
        await store.begin_generation(3, at(0))
        await send_all(store)
        assert len(look(tmp_path, "SELECT * FROM generation")) == 2
        await store.append(statuses(3, first=5), at(8))
        await store.prune(at(36))
        assert look(tmp_path, "SELECT id FROM generation") == [(store.generation,)]
        assert numbers(await kept(store)) == [5, 6, 7]
