"""Devices that send by themselves, with their faults and their log."""

import msgspec
import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import UtcUs
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage

SCENARIO = """
[site]
start = 2026-01-05T00:00:00Z
[[meter]]
name = "utility"
unit = 4
profile = "dsmr_p1"
quantity = "grid"
[[meter]]
name = "air"
unit = 7
profile = "serial_sensor"
quantity = "sensor"
period_s = 5
"""
FAULTS = """
[[fault]]
kind = "silent"
meter = "utility"
at = 60
for_s = 60
[[fault]]
kind = "stuck"
meter = "utility"
at = 180
for_s = 60
[[fault]]
kind = "sentinel"
meter = "air"
at = 60
for_s = 60
register = "temperature_c"
"""
S_US = 1_000_000


@pytest.fixture
def stage(tmp_path):
    return set_stage(parse_scenario(SCENARIO + FAULTS), tmp_path)


@pytest.fixture
def sent(stage, tmp_path):
    """What a device sends at a second of the scenario, and all lines of the log so far."""
    log = ValueLog(tmp_path / "log.jsonl")
    senders = {sender.name: sender for sender in stage.senders(log)}

    def ask(name, second):
        data = senders[name].frame(UtcUs(stage.start_us + second * S_US))
        log.flush()
        return data, [msgspec.json.decode(line) for line in (tmp_path / "log.jsonl").read_bytes().splitlines()]

    yield ask
    log.close()


def test_a_scenario_knows_who_sends_and_how_often(stage):
    log = ValueLog(None)
    told = [(sender.name, sender.unit, sender.period_s) for sender in stage.senders(log)]
    assert told == [("utility", 4, 1.0), ("air", 7, 5.0)]
    assert stage.meters == []


def test_everything_that_is_told_is_logged(sent, stage):
    data, lines = sent("air", 10)
    assert data.endswith(b"\0")
    (line,) = lines
    assert (line["at_us"], line["meter"], line["unit"]) == (stage.start_us + 10 * S_US, "air", 7)
    assert line["values"].keys() == stage.sending_meters[1].measurands


def test_a_silent_device_sends_nothing_and_tells_nothing(sent):
    data, lines = sent("utility", 70)
    assert data == b""
    assert [line.get("fault") for line in lines] == ["silent"]


def test_a_stuck_device_repeats_its_telegram_with_its_time(sent):
    assert sent("utility", 180)[0] == sent("utility", 239)[0] != sent("utility", 240)[0]


def test_a_value_that_is_not_measured_is_logged_as_none(sent):
    values = sent("air", 70)[1][-1]["values"]
    assert values["temperature_c"] is None
    assert values["pressure_pa"] is not None


def test_the_same_second_is_told_in_the_same_way(sent, tmp_path):
    again = set_stage(parse_scenario(SCENARIO), tmp_path)
    at_us = UtcUs(again.start_us + 1234 * S_US)
    for meter in again.sending_meters:
        assert meter.telegram(at_us).data == sent(meter.name, 1234)[0]
        assert meter.values(at_us // S_US).keys() >= meter.measurands


@pytest.mark.parametrize("kind", ["byte_swapped", "exception", "roll_over"])
def test_what_has_no_registers_has_no_faults_of_registers(tmp_path, kind):
    fault = f'[[fault]]\nkind = "{kind}"\nmeter = "utility"\nat = 0\nfor_s = 9\n'
    with pytest.raises(SettingError, match="utility "):
        set_stage(parse_scenario(SCENARIO + fault), tmp_path)


def test_devices_measure_what_their_home_does(stage):
    utility, air = stage.sending_meters
    at_us = UtcUs(stage.start_us + 40_000 * S_US)
    grid_w = utility.telegram(at_us).shown[Measurand.ACTIVE_POWER_W]
    assert grid_w == pytest.approx(utility.values(at_us // S_US)[Measurand.ACTIVE_POWER_W], abs=0.5)
    assert air.has_clock is False
    assert utility.has_clock is True
