"""The columns of one device: what stands, what repeats, what is missing, and what it is worth."""

from collections.abc import Sequence

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import MeterConfig
from firmware_bridge.measurand import Measurand
from firmware_bridge.quality import Reason
from firmware_bridge.reading import US_PER_S, Quality, Reading, Series, UtcUs
from firmware_bridge.sheet import Sheet

M = Measurand
TICK_US = UtcUs(1_700_000_000_000_000)
VOLTS = (M.VOLTAGE_L1_V, M.VOLTAGE_L2_V, M.VOLTAGE_L3_V)
GOOD, SUSPECT, MISSING = Quality.GOOD, Quality.SUSPECT, Quality.MISSING


def a_sheet(profile: str = "carlo_gavazzi_em340", rated_power_w: float = 22_000) -> Sheet:
    return Sheet(MeterConfig("m", "line", 1, profile, rated_power_w=rated_power_w), load_profile(profile))


def at(seconds: float) -> UtcUs:
    return UtcUs(TICK_US + round(seconds * US_PER_S))


def read(sheet: Sheet, seconds: float, **values: float | None) -> None:
    """These values are asked for, and come."""
    measurands = [M(name) for name in values]
    sheet.expect(measurands)
    sheet.put(measurands, values.values(), at(seconds))


def shown(sheet: Sheet, seconds: float, *measurands: M) -> list[Reading]:
    readings, _ = sheet.end(at(seconds), None)
    return [reading for reading in readings if reading.measurand in measurands]


@pytest.mark.parametrize("profile", ["carlo_gavazzi_em340", "sunspec_meter", "serial_sensor", "dsmr_p1"])
def test_there_is_one_column_for_each_measurand_in_the_order_of_the_profile(profile: str):
    loaded = load_profile(profile)
    sheet = a_sheet(profile)
    wanted = [one.measurand for one in (*loaded.registers, *loaded.fields)]
    assert sheet.series == [Series("m", measurand) for measurand in wanted]
    readings, events = sheet.end(TICK_US, None)
    assert [reading.measurand for reading in readings] == wanted
    assert events == []


def test_what_counters_remember_outlives_a_restart():
    before = a_sheet()
    read(before, 0, energy_import_wh=5_000.0)
    shown(before, 0)
    for counters, quality in ((before.counters, SUSPECT), (None, GOOD)):
        after = Sheet(
            MeterConfig("m", "line", 1, "carlo_gavazzi_em340"), load_profile("carlo_gavazzi_em340"), counters
        )
        read(after, 60, energy_import_wh=0.0)  # a meter that boots
        assert [one.quality for one in shown(after, 60, M.ENERGY_IMPORT_WH)] == [quality]


def test_what_was_never_read_is_missing_at_the_tick():
    for reading in a_sheet().end(TICK_US, None)[0]:
        assert (reading.at_us, reading.value, reading.quality) == (TICK_US, None, MISSING)


def test_what_came_is_stamped_with_its_read_and_repeats_itself_until_it_is_asked_for_again():
    sheet = a_sheet()
    read(sheet, 0.1, voltage_l1_v=230.0)
    for seconds in (0, 1, 2):
        assert shown(sheet, seconds, M.VOLTAGE_L1_V) == [Reading("m", M.VOLTAGE_L1_V, at(0.1), 230.0, GOOD)]
    sheet.expect([M.VOLTAGE_L1_V])
    assert shown(sheet, 3, M.VOLTAGE_L1_V) == [Reading("m", M.VOLTAGE_L1_V, at(3), None, MISSING)]


def test_what_the_device_says_it_does_not_have_is_missing_with_the_instant_of_the_read():
    sheet = a_sheet()
    read(sheet, 0.1, voltage_l1_v=None, voltage_l2_v=229.0)
    first, second = shown(sheet, 0, *VOLTS[:2])
    assert (first.at_us, first.value, first.quality) == (at(0.1), None, MISSING)
    assert second.quality is GOOD


def test_of_a_silent_device_nothing_stands():
    sheet = a_sheet()
    read(sheet, 0.1, voltage_l1_v=230.0, energy_import_wh=5000.0)
    sheet.forget()
    assert {reading.quality for reading in sheet.end(at(1), None)[0]} == {MISSING}


def qualities(sheet: Sheet, seconds: float, measurands: Sequence[M]) -> list[Quality]:
    return [reading.quality for reading in shown(sheet, seconds, *measurands)]


def test_what_cannot_be_is_kept_and_suspect_and_told_with_its_reason():
    sheet = a_sheet(rated_power_w=10_000)
    read(sheet, 0, voltage_l1_v=230.0, voltage_l2_v=777.0, active_power_w=12_001.0)
    assert qualities(sheet, 0, [*VOLTS[:2], M.ACTIVE_POWER_W]) == [GOOD, SUSPECT, SUSPECT]
    read(sheet, 1, voltage_l1_v=12.0, voltage_l2_v=231.0, active_power_w=-12_000.0)
    assert qualities(sheet, 1, [*VOLTS[:2], M.ACTIVE_POWER_W]) == [SUSPECT, GOOD, GOOD]
    assert sheet.suspected == {Reason.RANGE: 2, Reason.RATE: 1, Reason.CROSS: 0, Reason.COUNTER: 0}
    qualities(sheet, 2, VOLTS)
    assert sheet.suspected[Reason.RATE] == 1, "a repeated reading is counted once"


def test_a_counter_that_falls_is_held_back_and_explained_when_it_goes_on():
    sheet = a_sheet()
    read(sheet, 0, energy_import_wh=5_000_000.0)
    assert qualities(sheet, 0, [M.ENERGY_IMPORT_WH]) == [GOOD]
    read(sheet, 10, energy_import_wh=0.0)
    assert qualities(sheet, 10, [M.ENERGY_IMPORT_WH]) == [SUSPECT]
    assert qualities(sheet, 11, [M.ENERGY_IMPORT_WH]) == [SUSPECT], "repeated as it was"
    read(sheet, 20, energy_import_wh=5_000_000.0)
    readings, events = sheet.end(at(20), "A1")
    assert [one.quality for one in readings if one.measurand is M.ENERGY_IMPORT_WH] == [GOOD]
    assert [event.kind for event in events] == ["glitch"]


def test_a_counter_in_frames_has_rules_though_it_has_no_register():
    sheet = a_sheet("serial_sensor")
    for seconds, count in ((0, 100.0), (1, 5.0), (2, 101.0)):
        read(sheet, seconds, pulse_count=count)
        assert qualities(sheet, seconds, [M.PULSE_COUNT]) == [SUSPECT if seconds == 1 else GOOD]
