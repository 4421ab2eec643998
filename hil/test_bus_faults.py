"""Whatever a line does: never a wrong value, never an exception that is not ours, and soon all is well again."""

import struct
from itertools import cycle, islice

import pytest
from gateway_side import GatewaySide
from protocols import Line, ReferenceMeter, Rig

from firmware_bridge.measurand import Measurand

pytestmark = [pytest.mark.slow, pytest.mark.needs("reference-values", "line-faults")]

# Voltages and currents of the phases: input registers 0 to 11 of the reference meter, one float each.
# "Eastron SDM630 Modbus Protocol": 30001 phase 1 line to neutral volts ... 30011 phase 3 current.
MEASURANDS = [
    Measurand.VOLTAGE_L1_V,
    Measurand.VOLTAGE_L2_V,
    Measurand.VOLTAGE_L3_V,
    Measurand.CURRENT_L1_A,
    Measurand.CURRENT_L2_A,
    Measurand.CURRENT_L3_A,
]
# No two floats share a register.
TRUTH = {1: (231.5, 232.25, 233.125, 5.5, 6.25, 7.125), 2: (221.75, 222.375, 223.0625, 1.75, 2.375, 3.0625)}

# Address and number of registers. A late answer tells nothing but its length, so no length comes twice
# while one may still be on its way: that is the caller's part, and the gateway's bus keeps it.
READS = ((0, 6), (4, 4), (0, 12), (6, 2), (2, 8), (2, 10))
# Reads under a fault: short, because many of them wait to the end.
READS_COUNT, FAULTY_S = 6, 0.06
# When all is well again the next reads have the time that a gateway gives.
HEALTHY_S = 1.0
# How many reads may still fail then: what was under way, and what came late.
RECOVERY_READS_MAX = 3

# Faults that no reply survives, those that some do, and those that a good reader reads through.
FATAL = {
    "silence": {},
    "exception": {"code": 4},
    "wrong_unit": {},
    "wrong_function": {},
    "truncated": {"bytes_count": 1},
    "babble": {},
    "delay": {"delay_s": 0.2},
}
# A checksum notices these; Modbus TCP has none, and TCP carries no damaged bytes.
CHECKED = {"flips": {"rate": 0.01}, "drops": {"rate": 0.1}, "duplicates": {"rate": 0.1}}
SURVIVABLE = {
    "merged": {},
    "garbage_before": {"bytes_count": 5},
    "garbage_after": {"bytes_count": 5},
    "late_third": {"every": 3, "delay_s": 0.1},
}
FAULTS = FATAL | CHECKED | SURVIVABLE


@pytest.fixture
def meters(rig: Rig, bus_name: str) -> list[ReferenceMeter]:
    meters = list(rig.meters[bus_name])
    for meter in meters:
        meter.show(dict(zip(MEASURANDS, TRUTH[meter.unit], strict=True)))
    return meters


def true_words(unit: int, address: int, count: int) -> tuple[int, ...]:
    """What the reference meter shows, by the document of its maker: a float each, high word first."""
    return struct.unpack(">12H", struct.pack(">6f", *TRUTH[unit]))[address : address + count]


def read_all(gateway: GatewaySide, meters: list[ReferenceMeter], count: int, timeout_s: float) -> list[str]:
    """Read the meters in turn; the names of the errors, "" for a right answer. A wrong one fails the test."""
    errors = []
    for (address, words), meter in zip(islice(cycle(READS), count), cycle(meters), strict=False):
        got = gateway.read(meter.unit, address, words, timeout_s)
        if got.words is not None:
            assert got.words == true_words(meter.unit, address, words), "a wrong value came through"
        errors.append(got.error)
    return errors


def test_a_healthy_bus_gives_every_register_as_the_meter_shows_it(gateway, meters):
    assert set(read_all(gateway, meters, 12, HEALTHY_S)) == {""}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_never_gives_a_wrong_value_and_is_soon_over(gateway, meters, line: Line, rig: Rig, bus_name, fault):
    if fault in CHECKED and rig.buses[bus_name].config.url.startswith("tcp://"):
        pytest.skip("Modbus TCP has no checksum of its own")
    assert read_all(gateway, meters, 1, HEALTHY_S) == [""]
    line.inject("delay" if fault == "late_third" else fault, **FAULTS[fault])
    errors = read_all(gateway, meters, READS_COUNT, FAULTY_S)
    if fault in FATAL:
        assert "" not in errors, "the fault did not strike"
    line.heal()
    after = read_all(gateway, meters, RECOVERY_READS_MAX + 3, HEALTHY_S)
    assert after[RECOVERY_READS_MAX:] == [""] * 3


@pytest.mark.usefixtures("line")
def test_a_meter_that_dies_does_not_silence_its_neighbour(gateway, meters):
    dead, alive = meters
    dead.hush()
    for address, words in READS:
        assert gateway.read(dead.unit, address, words, FAULTY_S).error == "NoReplyError"
        assert gateway.read(alive.unit, address, words, HEALTHY_S).words == true_words(alive.unit, address, words)
