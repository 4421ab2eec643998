"""Faults act on one meter, during their span, and in nothing else."""

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Fault, FaultTable, Silent, Spike, Stuck

GRID, SOLAR = MeterId("grid"), MeterId("solar")
SPAN = {"meter": GRID, "from_us": UtcUs(100), "until_us": UtcUs(200)}


def test_a_fault_acts_from_its_first_instant_until_before_its_last():
    stuck = Stuck(**SPAN)
    table = FaultTable([stuck])
    assert table.active(GRID, UtcUs(99)) == ()
    assert table.active(GRID, UtcUs(100)) == (stuck,)
    assert table.active(GRID, UtcUs(199)) == (stuck,)
    assert table.active(GRID, UtcUs(200)) == ()
    assert table.active(SOLAR, UtcUs(150)) == ()


def test_faults_of_one_meter_may_overlap():
    both = (Stuck(**SPAN), Silent(**SPAN))
    assert FaultTable(both).active(GRID, UtcUs(150)) == both


def test_a_stuck_meter_shows_the_beginning_of_its_fault():
    assert Stuck(**SPAN).shown_us(UtcUs(170)) == 100
    assert Spike(**SPAN, register=Measurand.VOLTAGE_V).shown_us(UtcUs(170)) == 170


def test_a_spike_sets_or_adds_to_one_register():
    values = {Measurand.ACTIVE_POWER_W: 500.0, Measurand.VOLTAGE_V: 230.0}
    Spike(**SPAN, register=Measurand.ACTIVE_POWER_W, add=1000).distort(values)
    Spike(**SPAN, register=Measurand.VOLTAGE_V, value=0).distort(values)
    assert values == {Measurand.ACTIVE_POWER_W: 1500.0, Measurand.VOLTAGE_V: 0}


def test_only_a_silent_meter_is_silent():
    assert Silent(**SPAN).is_silent
    assert not Stuck(**SPAN).is_silent


def test_a_fault_by_itself_changes_nothing():
    values = {Measurand.VOLTAGE_V: 230.0}
    Fault(**SPAN).distort(values)
    assert values == {Measurand.VOLTAGE_V: 230.0}


def test_the_log_tells_what_was_wrong_and_when():
    told = Spike(**SPAN, register=Measurand.ACTIVE_POWER_W, value=9.0).as_log()
    assert told == {
        "fault": "spike",
        "meter": "grid",
        "from_us": 100,
        "until_us": 200,
        "register": "active_power_w",
        "value": 9.0,
    }
    assert Spike(**SPAN, register=Measurand.ACTIVE_POWER_W, add=5.0).as_log()["add"] == 5.0
    assert Silent(**SPAN).as_log()["fault"] == "silent"
