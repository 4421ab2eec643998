import asyncio
import math
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import aiohttp
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import ConflictError, SettingError
from gateway.contract.records import Rung
from gateway.shell import status_page
from gateway.shell.status_page import CONNECTIONS_MAX, is_own_host, serve
from tests.sim.chromium import CHROMIUM, Page, open_tab

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SLOT_US = HOUR_US // 4
NOW_US = 1_760_641_620_000_000  # 2025-10-16 19:07 UTC
START_US = NOW_US - NOW_US % SLOT_US
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
OWN = frozenset({"localhost", "gateway", "gateway.local"})
IS_SHOWN = "document.getElementById('footer').textContent !== ''"  # it is written last
PAGE = ("/", "/page.js", "/chart.js", "/outlook.js", "/drawing.js", "/words.js", "/page.css", "/icon.svg")


def day_w(slot: int) -> float:
    """A house: base load, a morning and an evening peak."""
    hour = slot / 4 % 24
    return 300 + 900 * math.exp(-((hour - 7.5) ** 2) / 3) + 2200 * math.exp(-((hour - 19.5) ** 2) / 5)


def forecast_from(start_us: int) -> dict[str, Any]:
    """What the gateway forecast for the day from `start_us`."""
    median = [day_w(start_us // SLOT_US + i) for i in range(96)]
    return {
        "rung": "model",
        "bundle": "ab" * 32,
        "issued_us": start_us - 60_000_000,
        "start_us": start_us,
        "step_us": SLOT_US,
        "p10": [round(0.7 * one) for one in median],
        "p50": [round(one) for one in median],
        "p90": [round(1.35 * one) for one in median],
    }


def sun_w(slot: int) -> float:
    """Panels: nothing at night, the most at noon."""
    return max(0.0, 1800 * math.sin((slot / 4 % 24 - 6) / 12 * math.pi))


def sun_from(start_us: int) -> dict[str, Any]:
    """What was forecast of the panels for the day from `start_us`."""
    median = [sun_w(start_us // SLOT_US + i) for i in range(96)]
    return forecast_from(start_us) | {
        name: [round(share * one) for one in median] for name, share in (("p10", 0.6), ("p50", 1.0), ("p90", 1.3))
    }


def outlook_days() -> list[dict[str, Any]]:
    """Thirty days from the next midnight in Lagos."""
    first_us = NOW_US - NOW_US % DAY_US + DAY_US - HOUR_US
    return [
        {"start_us": first_us + i * DAY_US, "p10_wh": 9_000, "p50_wh": 12_000 + 300 * (i % 7), "p90_wh": 16_000}
        for i in range(30)
    ]


def sample_status() -> dict[str, Any]:
    """A status as the gateway gives it, with a gap, a silent meter, an anomaly and hostile texts."""
    clock_slot = START_US // SLOT_US
    measured: list[float | None] = [day_w(clock_slot + i) * (1.1 + 0.12 * math.sin(i * 2.3)) for i in range(-96, 0)]
    measured[30:36] = [None] * 6
    return {
        "site": f"shop-ikeja-01 {HOSTILE}",
        "now_us": NOW_US,
        "time_zone": "Africa/Lagos",
        "software": "0.1.0",
        "rate": 1.0,
        "clock_is_trusted": True,
        "verdict": "attention",
        "sentence": "The meter roof is silent for 4 minutes; the rest goes on and nothing is lost.",
        "power": {"consumption_w": 2345.6, "grid_w": 2345.6, "solar_w": -0.0, "at_us": NOW_US - 1_000_000},
        "forecast": forecast_from(START_US),
        "forecast_before": forecast_from(START_US - DAY_US),
        "actual": {"start_us": START_US - 96 * SLOT_US, "step_us": SLOT_US, "values_w": measured},
        "production": {
            "forecast": sun_from(START_US),
            "actual": {
                "start_us": START_US - 96 * SLOT_US,
                "step_us": SLOT_US,
                "values_w": [sun_w(clock_slot + i) for i in range(-96, 0)],
            },
        },
        "next_hour": {"rung": "model", "start_us": START_US, "peak_w": [2_000, 2_450, 2_900, 3_400]},
        "outlook": {"days": outlook_days()},
        "emissions": {"today_kg": 3.24, "next_day_kg": 9.81, "source": "grid factor of Nigeria"},
        "standings": [
            {
                "kind": "energy_forecast",
                "target": "consumption_w",
                "rung": "model",
                "sentence": "Energy used: the model speaks, by 21 % better than last week.",
            },
            {
                "kind": "energy_forecast",
                "target": "production_w",
                "rung": "smart_persistence",
                "sentence": "Energy from the sun: the model was worse than the sky as it is, so that speaks.",
            },
        ],
        "anomalies": [
            {
                "at_us": START_US - 9 * HOUR_US,
                "since_us": START_US - 9 * HOUR_US - 540_000_000,
                "kind": "stuck",
                "series": "main.voltage_l1_v",
                "active": True,
                "sentence": "main.voltage_l1_v has not moved for 15 minutes; at this hour it moves every minute.",
            },
            {
                "at_us": START_US - 5 * HOUR_US,
                "since_us": START_US - 5 * HOUR_US,
                "kind": "spike",
                "series": "main",
                "sentence": HOSTILE,
                "active": False,
            },
        ],
        "queue": {
            "records": 12,
            "bytes": 140_000,
            "oldest_us": NOW_US - 180_000_000,
            "acknowledged": 48_211,
            "quarantined": 1,
            "dropped_records": 0,
            "card": "ok",
            "ring_records": 0,
            "ring_lost": 0,
            "file_bytes": 131_400_000,
        },
        "upload": {
            "share": "aggregates",
            "is_enrolled": True,
            "is_revoked": False,
            "last_error": None,
            "last_success_us": NOW_US - 190_000_000,
            "next_attempt_us": NOW_US + 110_000_000,
            "records_sent": 4_000,
            "bytes_sent": 50_100_200,
            "bytes_today": 4_321_000,
            "bytes_by_kind": {"readings": 48_000_000, "forecast": 1_000_000},
            "bytes_by_kind_today": {"readings": 4_000_000, "forecast": 100_000},
        },
        "model": {
            "bundle": "ab" * 32,
            "release": 2,
            "origin": "installed",
            "rung": "model",
            "last_report_us": NOW_US - HOUR_US,
            "last_report": "release 3 refused: forecaster.tflite is not the file of the manifest",
        },
        "bus": [
            {
                "meter": "main",
                "role": "grid",
                "profile": "eastron_sdm630",
                "reads": 481_204,
                "errors": 3,
                "silent_since_us": None,
                "last_error": None,
            },
            {
                "meter": "roof",
                "role": "solar",
                "profile": "abb_b23",
                "reads": 1_204,
                "errors": 240,
                "silent_since_us": NOW_US - 240_000_000,
                "last_error": f"no reply from unit 2 {HOSTILE}",
            },
        ],
        "tick": {"count": 86_400, "late_ms_max": 3.2},
        "loss_window_s": 60,
    }


@asynccontextmanager
async def page(status: status_page.Status = sample_status) -> AsyncIterator[int]:
    """The page on a free port of the loopback."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        server = group.create_task(serve(status, "127.0.0.1", 0, on_listening=listening.set_result))
        yield await listening
        server.cancel()


@asynccontextmanager
async def answer_to(
    path: str, *, status: status_page.Status = sample_status, **options: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        page(status) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}", **options) as answer,
    ):
        yield answer


async def test_the_status_is_the_dictionary_as_json_and_never_cached():
    async with answer_to("/status.json") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert await answer.json() == msgspec.json.decode(msgspec.json.encode(sample_status()))


async def test_numbers_of_any_make_are_shown_and_what_is_no_number_is_null():
    odd = {"power": {"grid_w": np.float64(2.5), "solar_w": math.nan, "at_us": np.int64(7)}}
    async with answer_to("/status.json", status=lambda: odd) as answer:
        assert await answer.json() == {"power": {"grid_w": 2.5, "solar_w": None, "at_us": 7}}


async def test_health_holds_no_data():
    async with answer_to("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok\n")


@pytest.mark.parametrize("path", [*PAGE, "/status.json", "/healthz", "/nothing"])
async def test_every_answer_forbids_what_did_not_come_from_here(path: str):
    async with answer_to(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.status == (404 if path == "/nothing" else 200)


async def test_the_page_is_small_and_names_no_other_place():
    total = 0
    for path in PAGE:
        async with answer_to(path) as answer:
            text = await answer.text()
        named = re.findall(r'(?:src=|href=|from )"(?:\./)?(\w+\.(?:js|css|svg))"', text)
        assert {f"/{name}" for name in named} <= set(PAGE)
        total += len(text.encode())
        assert "https:" not in text
        assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert total < 48_000


async def test_every_rung_that_a_forecast_of_consumption_can_have_has_its_words():
    async with answer_to("/page.js") as answer:
        words = (await answer.text()).partition("const RUNGS = {")[2].partition("}")[0]
    assert set(re.findall(r"^  (\w+):", words, re.MULTILINE)) == {*get_args(Rung)} - {"smart_persistence"}


async def test_the_page_has_no_inline_script_or_style():
    async with answer_to("/") as answer:
        text = await answer.text()
    assert "<style" not in text
    assert "style=" not in text
    assert " on" not in text.replace(" on the", "")
    assert text.count("<script") == text.count('<script type="module" src="page.js"')


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8480", "192.0.2.1", "[::1", ""])
async def test_a_foreign_host_header_is_refused(host: str):
    async with answer_to("/status.json", headers={"Host": host}) as answer:
        assert answer.status in (400, 421)
        assert "site" not in await answer.text()


async def test_nothing_can_be_changed_through_the_page():
    async with page() as port, aiohttp.ClientSession() as session:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with session.request(method, f"http://127.0.0.1:{port}/status.json", data=b"x") as answer:
                assert answer.status == 405


def test_the_gateway_knows_its_names_and_the_address_it_was_reached_at():
    assert is_own_host(["localhost:8480"], "127.0.0.1", OWN)
    assert is_own_host(["Gateway.local"], "192.168.1.9", OWN)
    assert is_own_host(["192.168.1.9:80"], "192.168.1.9", OWN)
    assert is_own_host(["192.168.1.9"], "::ffff:192.168.1.9", OWN)
    assert is_own_host(["[fe80::1]:8480"], "fe80::1", OWN)


def test_missing_repeated_and_foreign_names_are_not_its_own():
    for headers in ([], ["localhost", "evil.example"], ["evil.example"], ["localhost.evil.example"], ["[bad"]):
        assert not is_own_host(headers, "127.0.0.1", OWN)


@given(st.text(max_size=60))
def test_any_host_header_is_judged_without_an_error(header: str):
    assert is_own_host([header], "127.0.0.1", OWN) in (True, False)


async def test_a_taken_port_is_a_conflict():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=rf"page\.port = {port}: is taken by another program; choose another"):
            await serve(sample_status, "127.0.0.1", port)


async def test_an_address_of_another_machine_is_a_wrong_setting():
    with pytest.raises(SettingError, match=r"page\.host = 192\.0\.2\.1"):
        await serve(sample_status, "192.0.2.1", 0)


async def test_clients_that_say_nothing_cannot_lock_the_page():
    async with page() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * CONNECTIONS_MAX)]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
        assert await silent[0][0].read() == b""  # the oldest was shown out
        for _, writer in silent:
            writer.close()


async def test_a_client_in_mid_request_does_not_hold_up_the_shutdown():
    async with page() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: local")
        await writer.drain()
    writer.close()


@asynccontextmanager
async def shown(folder: Path, status: dict[str, Any] | None = None) -> AsyncIterator[Page]:
    """A tab of a phone that shows `status`."""
    async with page(lambda: status or sample_status()) as port, open_tab(folder) as tab:
        await tab.open(f"http://127.0.0.1:{port}/")
        await tab.until(IS_SHOWN)
        yield tab
        assert tab.complaints == []


async def text_of(tab: Page, selector: str) -> list[str]:
    """What is to be seen of each child of the element."""
    children = f"[...document.querySelector('{selector}').children]"
    texts: list[str] = await tab.evaluate(f"{children}.filter((one) => !one.hidden).map((one) => one.innerText)")
    return texts


async def extent(tab: Page, selector: str) -> list[float]:
    """From where to where the matching parts of the chart reach, pixels from its left."""
    boxes = f"[...document.querySelectorAll('#chart {selector}')].map((one) => one.getBBox())"
    ends = f"{boxes}.flatMap((box) => [box.x, box.x + box.width])"
    return [await tab.evaluate(f"Math.{end}(...{ends})") for end in ("min", "max")]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)")
class TestInChromium:
    @pytest.mark.parametrize("width", [320, 390, 1280])
    async def test_it_shows_the_site_without_complaint_or_sideways_scroll(self, width: int, tmp_path):
        async with page() as port, open_tab(tmp_path) as tab:
            await tab.open(f"http://127.0.0.1:{port}/", width=width)
            await tab.until(IS_SHOWN)
            assert await tab.evaluate("document.querySelector('.big').innerText") == "2.35 kW"
            # 19:07 UTC is 20:07 in Lagos, wherever the browser is
            assert (await tab.evaluate("document.getElementById('measured').innerText")).endswith("16 Oct, 20:06")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            assert await tab.evaluate("document.querySelectorAll('#chart path.actual').length") == 2  # the gap
            assert tab.complaints == []
            assert {url.split("/")[2] for url in tab.requests} == {f"127.0.0.1:{port}"}

    async def test_the_measured_day_lies_over_what_was_forecast_before_it(self, tmp_path):
        async with shown(tmp_path) as tab:
            band, median, measured = [await extent(tab, name) for name in (".band.past", ".median.past", ".actual")]
            ahead, now = await extent(tab, ".ahead"), await extent(tab, ".now-line")
            assert band == pytest.approx(median, abs=1)
            assert band == pytest.approx(measured, abs=1)
            assert band[1] < now[0] < ahead[0]
            assert await text_of(tab, ".legend") == [
                "measured", "as forecast a day ago", "forecast now", "8 of 10 times within",
                "from the sun", "expected from the sun", "anomaly",
            ]  # fmt: skip

    async def test_the_error_of_yesterdays_forecast_is_told_over_what_was_measured(self, tmp_path):
        status = sample_status()
        pairs = zip(status["actual"]["values_w"], status["forecast_before"]["p50"], strict=True)
        errors = [abs(measured - expected) for measured, expected in pairs if measured is not None]
        async with shown(tmp_path) as tab:
            told = f"was off by {sum(errors) / 90:.0f} W on average over 90 measured steps; 90 of them lay within"
            said = await tab.evaluate("document.getElementById('chart-text').textContent")
            assert f"What the model forecast on Wed 15 Oct, 19:59 {told}" in said
            assert "6 steps without a measurement" in said
            await tab.evaluate("document.getElementById('table').open = true")
            await tab.until("document.getElementById('hours').rows.length > 48")
            rows = await text_of(tab, "#hours")
            assert rows[0] == "Measured, and as forecast a day ago"
            assert f"All steps\t\t\t{sum(errors) / 90:.0f} W\t" in rows
            assert rows[1].startswith("Wed 20:00\t")

    async def test_a_young_gateway_shows_its_first_forecast_and_says_how_old_it_is(self, tmp_path):
        status = sample_status()
        status["forecast_before"] = forecast_from(START_US - 3 * HOUR_US)
        status["actual"]["values_w"][:60] = [None] * 60
        async with shown(tmp_path, status) as tab:
            assert "as forecast 3 h ago" in await text_of(tab, ".legend")
            assert (await extent(tab, ".actual"))[0] < (await extent(tab, ".past"))[0]
            assert "over 12 measured steps" in await tab.evaluate("document.getElementById('chart-text').textContent")

    async def test_the_first_forecast_is_the_present_one_and_has_no_past(self, tmp_path):
        async with shown(tmp_path, sample_status() | {"forecast_before": forecast_from(START_US)}) as tab:
            assert await tab.evaluate("document.querySelectorAll('#chart .past').length") == 0
            assert await tab.evaluate("document.getElementById('key-before').hidden")
            assert "was off by" not in await tab.evaluate("document.getElementById('chart-text').textContent")

    async def test_what_is_wrong_stands_before_what_was(self, tmp_path):
        async with shown(tmp_path) as tab:
            active, ended = await text_of(tab, "#anomalies"), await text_of(tab, "#ended")
            assert [len(active), len(ended)] == [1, 1]
            assert "stuck of main.voltage_l1_v · since Thu 16 Oct, 10:51 · found 11:00" in active[0]
            assert "spike of main · began Thu 16 Oct, 15:00" in ended[0]

    async def test_silent_meters_are_named_at_the_top(self, tmp_path):
        status = sample_status() | {"verdict": "normal"}
        async with shown(tmp_path, status) as tab:
            assert await tab.evaluate("document.getElementById('silence').innerText") == (
                "No answer from the meter roof: what it measures is not known."
            )
            assert await tab.evaluate("document.getElementById('verdict').className") == "verdict attention"
            assert "silent for 4 min" in (await text_of(tab, "#meters"))[1]

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("no answer: Cannot connect to host 192.0.2.1:80", "the cloud cannot be reached"),
            ("no answer in time", "the cloud did not answer in time"),
            ("somebody answered 200, but not our cloud: missing", "the login page of a network perhaps"),
            ("the cloud answered 503", "the cloud cannot take records at present"),
            ("the cloud answered 400", "the cloud refuses what is sent"),
            ("the answer is not an acknowledgement: no JSON", "the login page of a network perhaps"),
            (f"something new {HOSTILE}", f"something new {HOSTILE}"),
        ],
    )
    async def test_the_trouble_of_an_upload_is_said_in_words(self, tmp_path, error: str, words: str):
        status = sample_status()
        status["upload"]["last_error"] = error
        async with shown(tmp_path, status) as tab:
            said = await tab.evaluate("document.getElementById('upload-trouble').innerText")
            assert said.startswith("The last upload failed: ")
            assert said.endswith(f"{words}. Nothing is lost; it is tried again.")

    async def test_what_is_ahead_is_told(self, tmp_path):
        async with shown(tmp_path) as tab:
            said = await tab.evaluate("document.querySelector('main').innerText")
            assert await tab.evaluate("document.querySelectorAll('#outlook rect.bar').length") == 30
            assert await tab.evaluate("document.querySelectorAll('#chart path.band.sun').length") == 1
            assert await tab.evaluate("document.querySelectorAll('#chart path.made').length") == 1
        for fact in (
            "2.45 kW, 19 of 20 times below 3.40 kW",
            "3.2 kg, 9.8 kg in the next day (grid factor of Nigeria)",
            "From the sun about 13.7 kWh are expected over the next day.",
            "About 386 kWh from Fri 17 Oct to Sat 15 Nov; the most on Thu 23 Oct: 13.8 kWh",
            "Energy used: the model speaks, by 21 % better than last week.",
            "so that speaks.",
        ):
            assert fact in said

    async def test_what_is_not_there_has_no_place(self, tmp_path):
        nothing = {"production": None, "next_hour": None, "outlook": None, "emissions": None, "standings": []}
        async with shown(tmp_path, sample_status() | nothing) as tab:
            for name in ("ahead", "emitted", "outlook-section", "key-sun", "key-made"):
                assert await tab.evaluate(f"document.getElementById('{name}').hidden"), name

    async def test_what_waits_what_may_be_lost_and_which_model_speaks(self, tmp_path):
        async with shown(tmp_path) as tab:
            said = await tab.evaluate("document.querySelector('main').innerText")
        assert "12 records wait on the gateway, the oldest for 3 min. They are kept until the cloud has them." in said
        assert "A power cut can take at most the last 60 s" in said
        for fact in (
            "The model speaks.",
            "published, verified and installed",
            "abababababab…",
            "up to record 48,211",
            "readings summed up, forecasts, anomalies, recommendations and the gateway's own state",
            "4.3 MB",
            "131 MB",
            "1 record that the cloud refused",
        ):
            assert fact in said

    @pytest.mark.parametrize(
        ("part", "facts", "words", "top"),
        [
            (
                "upload",
                {"is_enrolled": False},
                "until `smartwatts-gateway enroll` is done",
                "This gateway is not enrolled.",
            ),
            ("upload", {"is_revoked": True}, "does not take anything from this gateway", "turned this gateway away."),
            (
                "queue",
                {"card": "full", "ring_records": 7},
                "The card is full: 7 records in memory",
                "The card is full.",
            ),
            ("queue", {"card": "read_only"}, "The card is read-only: 0 records in memory", "The card is read-only."),
        ],
    )
    async def test_what_keeps_records_here_is_said(
        self, tmp_path, part: str, facts: dict[str, Any], words: str, top: str
    ):
        status = sample_status()
        status[part] |= facts
        async with shown(tmp_path, status) as tab:
            said = await tab.evaluate("document.querySelector('main').innerText")
            top_said = await tab.evaluate("document.getElementById('silence').innerText")
        assert words in said
        assert top in top_said
        assert ("A power cut can take at most" in said) == (part == "upload")

    async def test_without_a_cloud_nothing_leaves_the_site(self, tmp_path):
        status = sample_status() | {"upload": None}
        async with shown(tmp_path, status) as tab:
            said = await tab.evaluate("document.querySelector('main').innerText")
        assert "No cloud is configured, so they stay here." in said

    async def test_texts_from_outside_are_inert(self, tmp_path):
        async with page() as port, open_tab(tmp_path) as tab:
            await tab.open(f"http://127.0.0.1:{port}/")
            await tab.until("document.getElementById('meters').rows.length === 2")
            assert "onerror" in await tab.evaluate("document.getElementById('meters').innerText")
            assert await tab.evaluate("document.querySelectorAll('main img, main script').length") == 0
            assert await tab.evaluate("document.title") == "SmartWatts Edge"

    async def test_a_gateway_that_knows_nothing_yet_is_shown_too(self, tmp_path):
        empty = {"site": "new", "now_us": NOW_US, "verdict": "normal", "sentence": "Just started.", "power": {}}
        async with page(lambda: empty | {"forecast": None, "actual": None}) as port, open_tab(tmp_path) as tab:
            await tab.open(f"http://127.0.0.1:{port}/")
            await tab.until("document.getElementById('verdict').textContent === 'Just started.'")
            assert await tab.evaluate("document.querySelector('.big').innerText") == "not known"
            assert "No forecast yet" in await tab.evaluate("document.getElementById('model').innerText")
            assert await text_of(tab, ".legend") == ["measured"]
            assert tab.complaints == []

    async def test_a_gateway_that_went_away_is_said_and_found_again(self, tmp_path):
        async with open_tab(tmp_path) as tab:
            async with page() as port:
                await tab.open(f"http://127.0.0.1:{port}/")
                await tab.until("document.getElementById('meters').rows.length === 2")
            await tab.until("!document.getElementById('lost').hidden")
            assert "has not answered since" in await tab.evaluate("document.getElementById('lost').innerText")
