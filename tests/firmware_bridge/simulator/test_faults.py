"""Faults act on one meter, during their span, and in nothing else."""

from collections.abc import Mapping

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.simulator.faults import (
    KINDS,
    ByteSwapped,
    Fault,
    FaultTable,
    Refusing,
    RollOver,
    Sentinel,
    SignFlip,
    Silent,
    Spike,
    Stuck,
    SwappedMeter,
    WrongClock,
    ZeroDip,
)

GRID, SOLAR = MeterId("grid"), MeterId("solar")
SPAN = {"meter": GRID, "from_us": UtcUs(100 * US_PER_S), "until_us": UtcUs(200 * US_PER_S)}
POWER, VOLTS, IMPORT, EXPORT = (
    Measurand.ACTIVE_POWER_W,
    Measurand.VOLTAGE_V,
    Measurand.ENERGY_IMPORT_WH,
    Measurand.ENERGY_EXPORT_WH,
)


class Ramp:
    """A meter whose counters rise by one a second."""

    measurands = frozenset({POWER, VOLTS, IMPORT, EXPORT})
    blanks = frozenset({POWER})
    wraps: Mapping[Measurand, float] = {IMPORT: 1000.0}
    is_asked, has_clock = True, False

    def values(self, at_s: int) -> dict[Measurand, float]:
        return {POWER: 500.0, VOLTS: 230.0, IMPORT: 5000.0 + at_s, EXPORT: 7000.0 + at_s}

    def shown(self, fault: Fault, at_s: int) -> dict[Measurand, float]:
        values = self.values(at_s)
        fault.distort(values, self)
        return values


class Sender(Ramp):
    """One that sends telegrams with the time."""

    blanks = frozenset()
    wraps: Mapping[Measurand, float] = {}
    is_asked, has_clock = False, True


class Thermometer(Ramp):
    """One that counts nothing."""

    measurands = frozenset({VOLTS})
    blanks = frozenset()
    wraps: Mapping[Measurand, float] = {}


def test_a_fault_acts_from_its_first_instant_until_before_its_last():
    stuck = Stuck(**SPAN)
    table = FaultTable([stuck])
    assert table.active(GRID, UtcUs(stuck.from_us - 1)) == ()
    assert table.active(GRID, stuck.from_us) == (stuck,)
    assert table.active(GRID, UtcUs(stuck.until_us - 1)) == (stuck,)
    assert table.active(GRID, stuck.until_us) == ()
    assert table.active(SOLAR, stuck.from_us) == ()


def test_faults_of_one_meter_may_overlap():
    both = (Stuck(**SPAN), Silent(**SPAN))
    assert FaultTable(both).active(GRID, SPAN["from_us"]) == both


def test_a_stuck_meter_shows_the_beginning_of_its_fault():
    assert Stuck(**SPAN).shown_us(UtcUs(170 * US_PER_S)) == SPAN["from_us"]
    assert Spike(**SPAN, register=VOLTS).shown_us(UtcUs(170)) == 170


def test_a_spike_sets_or_adds_to_one_register():
    assert Ramp().shown(Spike(**SPAN, register=POWER, add=1000), 150) == {**Ramp().values(150), POWER: 1500.0}
    assert Ramp().shown(Spike(**SPAN, register=VOLTS, value=0), 150) == {**Ramp().values(150), VOLTS: 0}


def test_a_zero_dip_takes_counters_and_leaves_the_rest():
    assert Ramp().shown(ZeroDip(**SPAN), 150) == {POWER: 500.0, VOLTS: 230.0, IMPORT: 0.0, EXPORT: 0.0}
    assert Ramp().shown(ZeroDip(**SPAN, register=EXPORT), 150) == {**Ramp().values(150), EXPORT: 0.0}


def test_a_counter_reaches_its_end_in_the_middle_of_a_roll_over():
    fault, truth = RollOver(**SPAN), Ramp().values(150)
    assert Ramp().shown(fault, 150) == {**truth, IMPORT: 1000.0}
    assert Ramp().shown(fault, 149)[IMPORT] == 999.0
    assert Ramp().shown(fault, 152)[IMPORT] == 1002.0, "the registers take off what is too much"


def test_a_swapped_meter_counts_from_nothing_under_another_number():
    fault = SwappedMeter(**SPAN)
    assert Ramp().shown(fault, 130) == {POWER: 500.0, VOLTS: 230.0, IMPORT: 30.0, EXPORT: 30.0}
    assert fault.swaps_meter()
    assert not Stuck(**SPAN).swaps_meter()


def test_a_sign_flip_turns_power_and_nothing_else():
    assert Ramp().shown(SignFlip(**SPAN), 150) == {**Ramp().values(150), POWER: -500.0}


def test_a_wrong_clock_is_wrong_by_what_was_said():
    assert WrongClock(**SPAN, shift_s=-1.5).clock_us(UtcUs(10 * US_PER_S)) == 8_500_000
    assert Stuck(**SPAN).clock_us(UtcUs(7)) == 7


def test_only_the_kinds_that_say_so_are_silent_refuse_hide_or_swap_words():
    every = [
        kind(**SPAN, **{"spike": {"register": VOLTS}, "wrong_clock": {"shift_s": 1}}.get(name, {}))
        for name, kind in KINDS.items()
    ]
    assert [one.kind for one in every if one.is_silent] == ["silent"]
    assert [one.kind for one in every if one.is_byte_swapped] == ["byte_swapped"]
    assert [one.kind for one in every if one.refusal() is not None] == ["exception"]
    assert [one.kind for one in every if one.hides(VOLTS)] == ["sentinel"]
    assert Refusing(**SPAN).refusal() == 4
    assert Refusing(**SPAN, code=6).refusal() == 6
    assert not Sentinel(**SPAN, register=POWER).hides(VOLTS)


def test_a_fault_by_itself_changes_nothing():
    assert Ramp().shown(Fault(**SPAN), 150) == Ramp().values(150)
    assert Fault(**SPAN).misfit(Thermometer()) is None


@pytest.mark.parametrize(
    ("fault", "fits", "misfits"),
    [
        (ZeroDip(**SPAN), Ramp(), Thermometer()),
        (RollOver(**SPAN), Ramp(), Sender()),
        (RollOver(**SPAN, register=IMPORT), Ramp(), Sender()),
        (Sentinel(**SPAN), Ramp(), Thermometer()),
        (Sentinel(**SPAN, register=POWER), Ramp(), Sender()),
        (ByteSwapped(**SPAN), Ramp(), Sender()),
        (Refusing(**SPAN), Thermometer(), Sender()),
        (WrongClock(**SPAN, shift_s=1), Sender(), Ramp()),
    ],
    ids=lambda one: one.kind if isinstance(one, Fault) else "",
)
def test_a_fault_says_which_meter_it_cannot_befall(fault, fits, misfits):
    assert fault.misfit(fits) is None
    assert fault.misfit(misfits)


def test_the_log_tells_what_was_wrong_and_when():
    told = Spike(**SPAN, register=POWER, value=9.0).as_log()
    assert told == {
        "fault": "spike",
        "meter": "grid",
        "from_us": SPAN["from_us"],
        "until_us": SPAN["until_us"],
        "register": "active_power_w",
        "value": 9.0,
    }
    assert Spike(**SPAN, register=POWER, add=5.0).as_log()["add"] == 5.0
    assert Silent(**SPAN).as_log()["fault"] == "silent"
    assert Refusing(**SPAN).as_log()["code"] == 4
