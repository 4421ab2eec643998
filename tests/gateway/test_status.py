"""What the page is told, at every moment of a day and a half with a frozen meter in it."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

import gateway.shell.status_page
from firmware_bridge.bridge import Bridge
from gateway import config as settings
from gateway.config import EmissionsConfig, SyncConfig
from gateway.contract.forecast_spec import ENERGY, LOAD_SLOW
from gateway.contract.records import AnomalyRecord, ModelReport
from gateway.core.outlook import Outlook
from gateway.loop import Loop
from gateway.shell.model_service import ModelService
from gateway.shell.recorder import Recorder
from gateway.shell.store import Queue, Store
from gateway.shell.sync_client import SyncState
from gateway.shell.timekeeper import Timekeeper
from gateway.status import ENDED_ANOMALIES_MAX, status_tree
from tests.sim.home import POLL_S, SCENARIO, START_US, gateway_text, living_home

pytestmark = pytest.mark.slow

Status = dict[str, Any]
HOUR_US = 3_600_000_000
FROZEN_FROM_US, FROZEN_UNTIL_US = START_US + 8 * HOUR_US, START_US + 12 * HOUR_US
FAULT = f"""
[[fault]]
kind = "stuck"
meter = "main"
at = {8 * 3600}
for_s = {4 * 3600}
"""


class Watched:
    """A loop and all that its status is made of."""

    def __init__(self, folder: Path, parts: AsyncExitStack) -> None:
        self.folder, self._parts = folder, parts
        self.statuses: list[Status] = []

    async def open(self) -> None:
        home = await self._parts.enter_async_context(living_home(self.folder, scenario=SCENARIO + FAULT))
        self.config = settings.load(gateway_text(self.folder, home.port))
        self.clock = Timekeeper(home.clock)
        self.bridge = Bridge(self.config.buses, self.config.meters, self.clock)
        self._parts.push_async_callback(self.bridge.close)
        self.store = await Store.open(self.folder / "data", self.clock.utc_us())
        self._parts.push_async_callback(self.store.close)
        recorder = Recorder(self.store, self.clock)
        self.models = ModelService(self.folder / "models", 10.0, recorder, self.clock)
        self._parts.push_async_callback(self.models.close)
        self.loop = Loop(
            self.config,
            clock=self.clock,
            bridge=self.bridge,
            store=self.store,
            recorder=recorder,
            inference=self.models.inference,
            alive=self._alive,
        )

    def status(self, queue: Queue | None = None, sync: SyncState | None = None) -> Status:
        return status_tree(
            self.config, self.clock, self.loop, self.bridge, self.models, queue or self.store.queue, sync
        )

    def _alive(self) -> None:
        self.statuses.append(self.status())
        if self.statuses[-1]["now_us"] >= START_US + 36 * HOUR_US:
            self.loop.stop()


@pytest.fixture
async def watched(tmp_path):
    """Before the first tick."""
    async with AsyncExitStack() as parts:
        made = Watched(tmp_path, parts)
        await made.open()
        yield made


async def live(folder: Path) -> list[Status]:
    async with AsyncExitStack() as parts:
        watched = Watched(folder, parts)
        await watched.open()
        before = watched.status()
        await watched.models.start()
        await watched.loop.run()
        return [before, *watched.statuses]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[Status]:
    """The status before the first tick and after each."""
    return asyncio.run(live(tmp_path_factory.mktemp("home")))


def at(lived: list[Status], at_us: int) -> Status:
    """The status of the tick at `at_us`."""
    return next(status for status in lived if (status["power"]["at_us"] or 0) >= at_us)


def shape(tree: Any) -> Any:
    """Keys without values."""
    return {key: shape(value) for key, value in tree.items()} if isinstance(tree, dict) else None


def test_it_is_json_at_every_moment_also_before_the_first_tick(lived):
    for status in lived:
        assert json.loads(json.dumps(status, allow_nan=False)) == status


def test_its_keys_are_the_same_at_every_moment(lived):
    whole = shape(lived[-1])
    for status in lived:
        found = shape(status)
        for part in ("forecast", "forecast_before", "actual", "next_hour"):
            assert found[part] in (None, whole[part])
            found[part] = whole[part]
        for part, of_whole in whole["production"].items():
            assert found["production"][part] in (None, of_whole)
        found["production"] = whole["production"]
        assert found == whole


def named_in_page(part: str) -> set[str]:
    """The facts of a part of the status that the page's scripts name."""
    scripts = Path(gateway.shell.status_page.__file__).with_name("page").glob("*.js")
    text = "\n".join(script.read_text() for script in scripts)
    wanted = set(re.findall(rf"\b{part}\??\.(\w+)", text)) - {"json"}
    assert wanted, part
    return wanted


def test_the_page_asks_for_nothing_that_is_not_there(lived):
    status = lived[-1]
    parts = {"status": status, **{name: status[name] for name in ("queue", "model", "tick")}}
    anomaly, meter = at(lived, FROZEN_UNTIL_US)["anomalies"][0], status["bus"][0]
    for name, part in parts.items():
        assert named_in_page(name) <= part.keys()
    assert named_in_page("one") <= anomaly.keys() | meter.keys()


def test_before_the_first_tick_it_says_so_and_claims_nothing(lived):
    status = lived[0]
    assert (status["verdict"], status["sentence"]) == (None, "Starting.")
    assert set(status["power"].values()) == {None}
    assert [status[name] for name in ("forecast", "forecast_before", "actual")] == [None] * 3
    assert status["anomalies"] == []
    assert status["tick"] == {"count": 0, "late_ms_max": 0.0}
    assert [(meter["meter"], meter["reads"]) for meter in status["bus"]] == [("main", 0), ("roof", 0)]
    assert status["queue"]["records"] == 0
    assert set(status["model"].values()) == {None}


def test_it_follows_the_ticks(lived):
    whole = 0
    for count, status in enumerate(lived[1:], 1):
        assert status["tick"]["count"] == count
        assert status["now_us"] - POLL_S * 1_000_000 < status["power"]["at_us"] <= status["now_us"]
        grid_w, solar_w, consumption_w = (status["power"][name] for name in ("grid_w", "solar_w", "consumption_w"))
        # A busy machine may cost a meter its answer: then there is no consumption, and no made-up one.
        is_whole = None not in (grid_w, solar_w)
        assert consumption_w == (pytest.approx(grid_w - solar_w) if is_whole else None)
        whole += is_whole
    assert whole > 0.9 * len(lived)


def test_what_was_measured_ends_where_the_forecast_begins(lived):
    status = lived[-1]
    actual, forecast, before = status["actual"], status["forecast"], status["forecast_before"]
    assert len(actual["values_w"]) == ENERGY.day_steps
    assert actual["start_us"] + ENERGY.day_steps * actual["step_us"] == forecast["start_us"]
    assert before["start_us"] == actual["start_us"], "what was expected of the measured day when it began"
    assert actual["step_us"] == forecast["step_us"] == ENERGY.step_us
    assert (forecast["rung"], forecast["bundle"]) == ("model", status["model"]["bundle"])


def test_of_a_young_gateway_its_first_word_stands_beside_what_was_measured(lived):
    status = at(lived, START_US + 6 * HOUR_US)
    first = next(one["forecast"] for one in lived if one["forecast"] is not None)
    assert status["forecast_before"] == first
    assert status["actual"]["start_us"] < first["start_us"]
    assert status["actual"]["values_w"][0] is None, "yesterday nobody measured"


def test_an_anomaly_is_active_while_it_lasts_and_remembered_after_it(lived):
    during, after = at(lived, FROZEN_UNTIL_US - HOUR_US), at(lived, FROZEN_UNTIL_US + 2 * HOUR_US)

    def frozen(status: Status) -> list[bool]:
        return [one["active"] for one in status["anomalies"] if (one["kind"], one["series"]) == ("stuck", "main")]

    assert frozen(at(lived, FROZEN_FROM_US - HOUR_US)) == []
    assert frozen(during) == [True]
    assert during["verdict"] == "attention"
    assert frozen(after) == [False]


async def test_what_is_wrong_stands_above_what_was_the_newest_first_and_not_for_ever(watched):
    watched.loop.now.onsets.extend(
        AnomalyRecord(START_US + i, "spike", "main.active_power_w", START_US + i, 9e4, 0.0, 1.0, f"Spike {i}.")
        for i in range(ENDED_ANOMALIES_MAX + 5)
    )
    shown = watched.status()["anomalies"]
    newest = ENDED_ANOMALIES_MAX + 4
    assert [one["sentence"] for one in shown] == [f"Spike {newest - i}." for i in range(ENDED_ANOMALIES_MAX)]
    assert {one["active"] for one in shown} == {False}


async def test_emissions_are_told_where_somebody_said_what_a_kilowatt_hour_emits(watched):
    assert watched.status()["emissions"] is None
    watched.config = msgspec.structs.replace(watched.config, emissions=EmissionsConfig("operator, 2024", [0.4]))
    assert watched.status()["emissions"] == {"today_kg": 0.0, "next_day_kg": None, "source": "operator, 2024"}


async def test_the_next_days_are_told_each_from_its_midnight(watched):
    watched.loop.now.outlook = Outlook(date(2026, 1, 6), [1_000, 1_100], [2_000, 2_200], [3_000, 3_300])
    first, second = watched.status()["outlook"]["days"]
    assert first == {"start_us": START_US + 23 * HOUR_US, "p10_wh": 1_000, "p50_wh": 2_000, "p90_wh": 3_000}
    assert second["start_us"] == first["start_us"] + 24 * HOUR_US
    assert named_in_page("bar") == first.keys()


def test_the_sun_the_next_hour_and_who_speaks_are_told(lived):
    status = lived[-1]
    production, hour = status["production"], status["next_hour"]
    assert production["forecast"]["target"] == "production_w"
    assert production["actual"]["start_us"] == status["actual"]["start_us"]
    assert all(power_w is None or power_w >= 0 for power_w in production["actual"]["values_w"])
    assert len(hour["p50"]) == LOAD_SLOW.horizon_steps
    assert hour["peak_w"] == sorted(hour["peak_w"])
    assert [(one["kind"], one["target"]) for one in status["standings"]] == [
        ("energy_forecast", "consumption_w"),
        ("load_prediction", "consumption_w"),
        ("energy_forecast", "production_w"),
    ]
    assert {one["voice"] for one in status["standings"]} == {"model"}
    assert all(
        one["sentence"].endswith("the model speaks; how good it is here is not known yet.")
        for one in status["standings"]
    )


async def test_the_way_home_and_the_last_report_are_told(watched):
    watched.models.last_report = ModelReport(START_US, "refused", 3, "ab" * 32, "manifest.json was altered")
    sync = SyncState(last_success_us=START_US, last_error="the cloud answered 503")
    status = watched.status(Queue(12, 7, START_US, bytes=900, card="full", ring_records=3), sync)
    assert (
        status["queue"]
        | {
            "records": 12,
            "bytes": 900,
            "oldest_us": START_US,
            "acknowledged": 7,
            "card": "full",
            "ring_records": 3,
        }
        == status["queue"]
    )
    assert status["upload"] is None, "the home has no cloud in its configuration"
    watched.config = msgspec.structs.replace(watched.config, sync=SyncConfig("https://cloud.example.org"))
    upload = watched.status(sync=sync)["upload"]
    told = {"share": "aggregates", "last_error": "the cloud answered 503", "last_success_us": START_US}
    assert upload | told == upload
    assert named_in_page("upload") <= upload.keys()
    assert status["model"]["last_report"] == "refused: manifest.json was altered"
