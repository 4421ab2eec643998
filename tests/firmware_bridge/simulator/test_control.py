"""Control of a running simulator: every command, and every mistake, one line each."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.simulator.control import Control
from firmware_bridge.simulator.line_settings import LineSettings, WireFaultSettings
from firmware_bridge.simulator.lines import Lines
from firmware_bridge.simulator.log import ValueLog

SERIAL = LineSettings(name="rs485", kind="serial", link="rs485")
ASKED = bytes.fromhex("04 0000 0002")


@pytest.fixture
def panel(stage, hand_clock):
    return stage.panel(hand_clock, ValueLog(None))


@pytest.fixture
async def control(panel, tmp_path):
    lines = Lines([SERIAL], tmp_path, panel.answer, [1, 2])
    await lines.plug()
    yield Control(lines, panel)
    lines.pull()


async def told(control: Control, command: object) -> dict:
    return msgspec.json.decode(await control.answer(msgspec.json.encode(command)))


async def test_a_meter_shows_what_it_is_told_until_it_is_released(control, panel):
    truth = panel.answer(1, ASKED)
    show = {"do": "show", "meter": "grid", "measurand": "voltage_l1_v", "value": 2.0}
    assert await told(control, show) == {"ok": None}
    assert panel.answer(1, ASKED) == bytes.fromhex("04 04 40000000"), "the float 2.0"
    assert await told(control, {"do": "release", "meter": "grid"}) == {"ok": None}
    assert panel.answer(1, ASKED) == truth


async def test_a_cable_is_pulled_and_plugged_under_another_name(control, tmp_path):
    assert await told(control, {"do": "pull", "line": "rs485"}) == {"ok": None}
    assert not (tmp_path / "rs485").is_symlink()
    plugged = await told(control, {"do": "plug", "line": "rs485", "link": "rs485-2"})
    assert plugged == {"ok": f"serial://{tmp_path}/rs485-2"}
    assert (tmp_path / "rs485-2").is_symlink()


async def test_counts_are_told_and_reset(control):
    counts = (await told(control, {"do": "counts", "line": "rs485"}))["ok"]
    assert counts["requests"] == counts["wire_s"] == 0
    assert counts["units"] == {}
    assert await told(control, {"do": "reset_counts", "line": "rs485"}) == {"ok": None}
    assert await told(control, {"do": "heal", "line": "rs485"}) == {"ok": None}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ({"do": "dance"}, "Invalid value 'dance'"),
        ({"do": "heal"}, "missing required field `line`"),
        ({"do": "heal", "line": "wifi"}, "line = 'wifi': is not a line here; use one of: rs485."),
        ({"do": "inject", "line": "rs485", "fault": {"kind": "fire"}}, "Invalid enum value 'fire'"),
        ({"do": "inject", "line": "rs485", "fault": {"kind": "babble", "unit": 1}}, "befalls the whole line"),
        ({"do": "show", "meter": "roof", "measurand": "voltage_v", "value": 1}, "use one of: grid, solar"),
        ({"do": "show", "meter": "grid", "measurand": "pressure_pa", "value": 1}, "is not shown by grid"),
        *(
            ({"do": "plug", "line": "rs485", "link": link}, "Expected `str` matching regex")
            for link in ("", ".", "..", "dev/rs485", "/dev/null", "a\0b", 101 * "a")
        ),
        ([1, 2], "Expected `object`"),
    ],
)
async def test_a_mistake_is_told_in_one_sentence(control, command, says):
    assert says in (await told(control, command))["error"]


async def test_a_command_that_is_nested_too_deeply_is_a_mistake_like_others(control):
    answer = msgspec.json.decode(await control.answer(b'{"' + b'":[' * 1 + b"[" * 4000))
    assert "error" in answer


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
async def test_any_line_is_answered(control, text):
    answer = msgspec.json.decode(await control.answer(text))
    assert set(answer) <= {"ok", "error"}


def test_every_fault_setting_can_be_given_as_json():
    fault = WireFaultSettings(kind="delay", unit=3, at_s=1.0, for_s=2.0, every=3, delay_s=4.0)
    assert msgspec.json.decode(msgspec.json.encode(fault), type=WireFaultSettings) == fault
