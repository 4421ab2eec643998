"""A simulated meter: its words stand for the values it tells, and its faults show."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import RollOver, Spike, Stuck, SwappedMeter, ZeroDip
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.map_reader import load_register_map
from firmware_bridge.simulator.meter import Answer, Meter
from firmware_bridge.simulator.source import HouseSource, Site

START_US = UtcUs(1_767_571_200_000_000)
NOON_US = UtcUs(START_US + 12 * 3_600_000_000)
S_US = 1_000_000


def meter(profile: str = "eastron_sdm630", quantity: str = "grid", seed: int = 3, outages: float = 0.0) -> Meter:
    site = Site(House(seed, outages_per_week=outages))
    return Meter(MeterId(quantity), 1, load_register_map(profile), HouseSource(site, quantity, START_US), seed)


def test_words_stand_for_the_values_told():
    answer = meter().answer(Read(4, 0x34, 2), NOON_US)
    assert isinstance(answer, Answer)
    assert struct.unpack(">f", answer.words) == (answer.values[Measurand.ACTIVE_POWER_W],)
    low_first = meter("carlo_gavazzi_em340", "solar").answer(Read(4, 0x28, 2), NOON_US)
    low, high = struct.unpack(">HH", low_first.words)
    raw = struct.unpack(">i", struct.pack(">HH", high, low))[0]
    assert low_first.values == {Measurand.ACTIVE_POWER_W: pytest.approx(raw * 0.1)}


def test_solar_is_negative_while_it_produces_and_load_is_what_both_explain():
    at_s = NOON_US // S_US
    grid, solar, load = (meter(quantity=name).values(at_s) for name in ("grid", "solar", "load"))
    assert solar[Measurand.ACTIVE_POWER_W] < -100
    assert load[Measurand.ACTIVE_POWER_W] > 0
    assert grid[Measurand.ACTIVE_POWER_W] == pytest.approx(
        load[Measurand.ACTIVE_POWER_W] + solar[Measurand.ACTIVE_POWER_W]
    )
    assert load[Measurand.ENERGY_EXPORT_WH] == meter(quantity="load").values(at_s + 3600)[Measurand.ENERGY_EXPORT_WH]


def test_at_night_solar_shows_plain_zero():
    answer = meter(quantity="solar").answer(Read(4, 0x34, 2), START_US)
    assert answer.words == bytes(4)


def test_unused_registers_between_used_ones_read_zero():
    words = meter().answer(Read(4, 0x12, 2), NOON_US).words
    assert words == bytes(4)


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (Read(3, 0, 2), ModbusException.ILLEGAL_ADDRESS),
        (Read(4, 0x158, 2), ModbusException.ILLEGAL_ADDRESS),
        (Read(4, 0x156, 4), ModbusException.ILLEGAL_ADDRESS),
        (Read(4, 0xFFFE, 10), ModbusException.ILLEGAL_ADDRESS),
        (Read(4, 0, 82), ModbusException.ILLEGAL_VALUE),
        (Read(4, 1, 2), ModbusException.ILLEGAL_ADDRESS),
        (Read(4, 0, 3), ModbusException.ILLEGAL_ADDRESS),
    ],
)
def test_what_the_real_meter_would_refuse_is_refused(read, why):
    assert meter().answer(read, NOON_US) == why


def test_integer_meters_may_be_read_at_odd_addresses():
    assert meter("carlo_gavazzi_em340").answer(Read(4, 1, 3), NOON_US).values.keys() == {Measurand.VOLTAGE_L2_V}


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["grid", "solar", "load"]), st.integers(0, 86_400 * 3))
def test_every_value_is_plausible_and_counters_rise(quantity, second):
    one = meter(quantity=quantity, outages=10)
    before = one.snapshot(UtcUs(START_US + second * S_US)).shown
    after = one.snapshot(UtcUs(START_US + (second + 600) * S_US)).shown
    for measurand, value in before.items():
        assert measurand.facts.plausible_low <= value <= measurand.facts.plausible_high
        assert not measurand.facts.is_counter or after[measurand] >= value


def test_a_dead_grid_shows_zero_volts_hertz_and_watts():
    house = House(3, outages_per_week=20)
    at_us = START_US + np.arange(3 * 1440, dtype=np.int64) * 60 * S_US
    out_us = at_us[~house.grid_is_up(at_us)][0]
    shown = meter(outages=20).snapshot(UtcUs(int(out_us))).shown
    for measurand in ("voltage_l1_v", "voltage_l3_v", "frequency_hz", "active_power_w", "current_l1_a"):
        assert shown[Measurand(measurand)] == 0
    assert shown[Measurand.ENERGY_IMPORT_WH] > 0


def test_no_two_seconds_show_the_same_volts():
    one = meter("carlo_gavazzi_em340", "solar")
    volts = [tuple(one.snapshot(UtcUs(START_US + second * S_US)).shown.values())[:3] for second in range(0, 600, 60)]
    assert len(set(volts)) == len(volts)


def test_a_restarted_meter_shows_the_same():
    at_us = UtcUs(START_US + 3 * 86_400 * S_US)
    asked_before = meter()
    asked_before.snapshot(NOON_US)
    assert asked_before.snapshot(at_us) == meter().snapshot(at_us)


def test_a_stuck_meter_freezes_wholly_and_then_goes_on():
    one = meter()
    stuck = Stuck(meter=one.name, from_us=NOON_US, until_us=UtcUs(NOON_US + 600 * S_US))
    frozen = one.snapshot(NOON_US)
    assert one.snapshot(UtcUs(NOON_US + 300 * S_US), (stuck,)) == frozen
    assert one.snapshot(UtcUs(NOON_US + 300 * S_US)) != frozen


def test_a_spike_shows_in_its_register_alone():
    one = meter()
    spike = Spike(
        meter=one.name,
        from_us=NOON_US,
        until_us=UtcUs(NOON_US + 1),
        register=Measurand.ACTIVE_POWER_W,
        value=60_000.0,
    )
    true, false = one.snapshot(NOON_US).shown, one.snapshot(NOON_US, (spike,)).shown
    assert false == {**true, Measurand.ACTIVE_POWER_W: 60_000.0}
    assert struct.unpack(">f", one.answer(Read(4, 0x34, 2), NOON_US, (spike,)).words) == (60_000.0,)


def test_a_counter_rolls_over_in_its_registers():
    one = meter("carlo_gavazzi_em340")
    over = RollOver(
        meter=one.name,
        from_us=NOON_US,
        until_us=UtcUs(NOON_US + 20 * 3600 * S_US),
        register=Measurand.ENERGY_IMPORT_WH,
    )
    hours = range(0, 20, 3)
    shown = [one.snapshot(UtcUs(NOON_US + hour * 3600 * S_US), (over,)).shown for hour in hours]
    imported = [values[Measurand.ENERGY_IMPORT_WH] for values in shown]
    assert all(wh > 2.147e11 for wh in imported[:4])
    assert all(wh < 50_000 for wh in imported[4:])
    assert imported[4:] == sorted(imported[4:])
    assert all(values[Measurand.ENERGY_EXPORT_WH] < 2e7 for values in shown)


def test_a_dip_takes_the_counters_and_a_swap_the_number():
    one = meter("carlo_gavazzi_em340")
    span = {"meter": one.name, "from_us": NOON_US, "until_us": UtcUs(NOON_US + 600 * S_US)}
    true, dip = one.snapshot(NOON_US).shown, one.snapshot(NOON_US, (ZeroDip(**span),)).shown
    assert {name: value for name, value in dip.items() if not name.facts.is_counter} == {
        name: value for name, value in true.items() if not name.facts.is_counter
    }
    assert {value for name, value in dip.items() if name.facts.is_counter} == {0.0}
    serial = Read(3, 0x5000, 7)
    before, after = (one.answer(serial, NOON_US, faults) for faults in ((), (SwappedMeter(**span),)))
    assert before.words != after.words


def test_a_scanner_does_not_fill_the_memory():
    one = meter("carlo_gavazzi_em340")
    for address in range(0x4F):
        for count in range(1, 7):
            one.answer(Read(4, address, count), NOON_US)
    assert one.answer(Read(4, 0, 2), NOON_US).values.keys() == {Measurand.VOLTAGE_L1_V}
