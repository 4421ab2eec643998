"""The moment of a telegram."""

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Sentinel, Stuck
from firmware_bridge.simulator.telegram import Moment

SPAN = {"meter": MeterId("x"), "from_us": UtcUs(0), "until_us": UtcUs(1)}


def test_a_value_is_hidden_by_the_faults_that_hide_it():
    faults = (Stuck(**SPAN), Sentinel(**SPAN, register=Measurand.CONTACT))
    moment = Moment(0, UtcUs(0), 1, faults, lambda second: {})
    assert moment.hides(Measurand.CONTACT)
    assert not moment.hides(Measurand.TEMPERATURE_C)
