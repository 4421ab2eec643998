"""All registers of a meter at once: who shares what, and which requests get it."""

import struct

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import ByteSwapped, Sentinel
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.map_reader import load_register_map, parse_register_map
from firmware_bridge.simulator.register_map import Limits, RegisterMap, Shown

SPAN = {"meter": MeterId("x"), "from_us": UtcUs(0), "until_us": UtcUs(1)}
HYBRID = """
word_order = "low_first"
invalid = { u32 = [0xFFFFFFFF] }
[registers]
active_power_w    = { address = 10, function = 3, type = "u32", scale = 0.1, unit = "W", minus = [14] }
pv_power_w        = { address = 20, function = 3, type = "u16", scale = 1, unit = "W", plus = [21, 22] }
pv2_power_w       = { address = 21, function = 3, type = "u16", scale = 1, unit = "W" }
voltage_l1_v      = { address = 30, function = 4, type = "u16", scale = 1, unit = "V", scale_address = 33 }
voltage_l2_v      = { address = 31, function = 4, type = "u16", scale = 1, unit = "V", scale_address = 33 }
"""
VALUES = {
    Measurand.ACTIVE_POWER_W: -512.0,
    Measurand.PV_POWER_W: 1001.0,
    Measurand.PV2_POWER_W: 400.0,
    Measurand.VOLTAGE_L1_V: 230.17,
    Measurand.VOLTAGE_L2_V: 231.0,
}


def read(registers: RegisterMap, values: dict[Measurand, float], what: Read, *faults: object) -> tuple[bytes, Shown]:
    """The words of one read, and all that is shown."""
    snapshot = registers.snapshot(values, registers.still(1, 1), faults)
    window = registers.window(what)
    assert not isinstance(window, ModbusException)
    return snapshot.images[window.place.bank][window.place.start : window.place.end], snapshot.shown


@pytest.fixture(scope="module")
def hybrid() -> RegisterMap:
    return parse_register_map("test", HYBRID)


def test_each_direction_stands_in_its_own_registers(hybrid):
    words, shown = read(hybrid, VALUES, Read(3, 10, 6))
    assert struct.unpack(">6H", words) == (0, 0, 0, 0, 5120, 0)
    assert shown[Measurand.ACTIVE_POWER_W] == -512.0
    words, shown = read(hybrid, {**VALUES, Measurand.ACTIVE_POWER_W: 7000.0}, Read(3, 10, 6))
    assert struct.unpack(">6H", words) == (70_000 & 0xFFFF, 1, 0, 0, 0, 0)
    assert shown[Measurand.ACTIVE_POWER_W] == 7000.0


def test_a_sum_takes_what_another_value_owns_and_splits_the_rest(hybrid):
    words, shown = read(hybrid, VALUES, Read(3, 20, 3))
    assert struct.unpack(">3H", words) == (301, 400, 300)
    assert (shown[Measurand.PV_POWER_W], shown[Measurand.PV2_POWER_W]) == (1001.0, 400.0)


def test_a_sum_may_begin_with_what_another_value_owns():
    text = """
word_order = "high_first"
[registers]
active_power_w    = { address = 1, function = 3, type = "s16", scale = 1, unit = "W", plus = [2, 3] }
active_power_l1_w = { address = 1, function = 3, type = "s16", scale = 1, unit = "W" }
active_power_l3_w = { address = 3, function = 3, type = "s16", scale = 1, unit = "W" }
"""
    power = [Measurand(f"active_power{phase}_w") for phase in ("", "_l1", "_l3")]
    values = dict(zip(power, (600.0, -50.0, 400.0), strict=True))
    words, shown = read(parse_register_map("test", text), values, Read(3, 1, 3))
    assert struct.unpack(">3h", words) == (-50, 250, 400)
    assert shown[Measurand.ACTIVE_POWER_W] == 600.0


def test_values_share_the_finest_scale_that_holds_them_and_it_changes_with_them(hybrid):
    words, shown = read(hybrid, VALUES, Read(4, 30, 4))
    assert struct.unpack(">HHHh", words) == (23_017, 23_100, 0, -2)
    assert shown[Measurand.VOLTAGE_L1_V] == pytest.approx(230.17)
    words, shown = read(hybrid, {**VALUES, Measurand.VOLTAGE_L2_V: 700.0}, Read(4, 30, 4))
    assert struct.unpack(">HHHh", words) == (2302, 7000, 0, -1)
    assert shown[Measurand.VOLTAGE_L1_V] == pytest.approx(230.2)


def test_a_value_is_whole_only_with_all_that_it_needs(hybrid):
    window = hybrid.window(Read(4, 30, 2))
    assert not isinstance(window, ModbusException)
    assert window.measurands == ()
    window = hybrid.window(Read(3, 20, 3))
    assert not isinstance(window, ModbusException)
    assert window.measurands == (Measurand.PV_POWER_W, Measurand.PV2_POWER_W)


def test_a_block_holds_the_registers_that_lie_wholly_within():
    em340 = load_register_map("carlo_gavazzi_em340")
    both, second = em340.window(Read(4, 0, 4)), em340.window(Read(4, 1, 3))
    assert not isinstance(both, ModbusException)
    assert not isinstance(second, ModbusException)
    assert both.measurands == ("voltage_l1_v", "voltage_l2_v")
    assert second.measurands == ("voltage_l2_v",)


def test_words_are_turned_around_by_a_fault_and_single_ones_are_not(hybrid):
    words, shown = read(hybrid, VALUES, Read(3, 10, 6), ByteSwapped(**SPAN))
    assert struct.unpack(">6H", words) == (0, 0, 0, 0, 0, 5120)
    assert shown[Measurand.ACTIVE_POWER_W] == -512.0, "what was meant"
    assert read(hybrid, VALUES, Read(3, 20, 3), ByteSwapped(**SPAN)) == read(hybrid, VALUES, Read(3, 20, 3))


def test_no_value_is_shown_as_the_maker_writes_it(hybrid):
    words, shown = read(hybrid, VALUES, Read(3, 10, 6), Sentinel(**SPAN))
    assert words == b"\xff" * 4 + bytes(4) + struct.pack(">HH", 5120, 0)
    assert shown[Measurand.ACTIVE_POWER_W] is None
    assert shown[Measurand.PV_POWER_W] == 1001.0, "its type has no such value"
    assert hybrid.blanks == {Measurand.ACTIVE_POWER_W}
    assert read(hybrid, VALUES, Read(3, 10, 6), Sentinel(**SPAN, register=Measurand.PV_POWER_W))[1] is not None


def test_what_overflows_is_known():
    assert load_register_map("carlo_gavazzi_em340").wraps[Measurand.ENERGY_IMPORT_WH] == pytest.approx(2**31 * 100)
    assert load_register_map("eastron_sdm630").wraps == {}


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (Read(3, 0, 9), ModbusException.ILLEGAL_VALUE),
        (Read(3, 1, 2), ModbusException.ILLEGAL_ADDRESS),
        (Read(3, 0, 1), ModbusException.ILLEGAL_ADDRESS),
        (Read(3, 18, 4), ModbusException.ILLEGAL_ADDRESS),
        (Read(3, 22, 2), ModbusException.ILLEGAL_ADDRESS),
        (Read(3, 28, 4), ModbusException.ILLEGAL_ADDRESS),
        (Read(3, 16, 4), None),
        (Read(3, 24, 6), None),
        (Read(3, 30, 8), None),
    ],
)
def test_limits_refuse_what_the_device_does_not_answer(read, why):
    assert Limits(8, is_even=True, forbidden=((20, 22),), never_across=(30,)).refusal(read) == why


def test_a_code_of_one_register_is_shown_where_values_come_in_pairs():
    meter = load_register_map("eastron_sdm630")
    assert not isinstance(meter.window(Read(3, 0xFC02, 1)), ModbusException)
    assert meter.window(Read(4, 0x0046, 1)) is ModbusException.ILLEGAL_ADDRESS
