import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.probe.asks import Sender, Wire
from firmware_bridge.probe.conclusion import Sureness
from firmware_bridge.probe.search import Broadcast
from firmware_bridge.probe.sender_conclusion import conclude_sender

PROFILES = [load_profile(name) for name in profile_names()]
WIRE = Wire(kind="serial", baud=115200)


def heard(protocol: str, name: str, *codes: str):
    return conclude_sender(Broadcast(WIRE, Sender(protocol, name, codes)), PROFILES)


@pytest.mark.parametrize("name", ["dsmr_p1", "sml_meter", "serial_sensor"])
def test_every_profile_of_a_device_that_sends_is_named_by_its_fields(name: str):
    profile = load_profile(name)
    told = heard(profile.file.protocol, "12345", *(field.code for field in profile.fields))
    assert (told.profile, told.sureness, told.rivals) == (name, Sureness.CERTAIN, ())
    assert told.protocol == profile.file.protocol
    assert told.serial_number == "12345"


def test_a_sensor_with_a_few_of_the_values_is_one_too():
    told = heard("sensor", "7", "temperature_c", "my_own")
    assert (told.profile, told.unit) == ("serial_sensor", 7)
    assert "1 of them" in told.reasons[1]


def test_a_sender_whose_values_nobody_knows_is_unknown():
    told = heard("sensor", "7", "my_own")
    assert (told.profile, told.sureness) == (None, Sureness.UNKNOWN)
    assert "profile new" in told.reasons[-1]


def test_two_profiles_that_know_as_many_cannot_be_told_apart():
    twice = [load_profile("dsmr_p1"), load_profile("dsmr_p1")]
    code = twice[0].fields[0].code
    twins = [twice[0], type(twice[0])("a_twin", twice[1].file, (), twice[1].fields)]
    told = conclude_sender(Broadcast(WIRE, Sender("p1", "x", (code,))), twins)
    assert told.sureness is Sureness.UNSURE
    assert {told.profile, *told.rivals} == {"dsmr_p1", "a_twin"}


@pytest.mark.parametrize("name", ["", "0", "248", "99999999999999999999", "²", "XMX5LGF0010453445050"])
def test_a_name_that_is_no_number_of_a_sensor_leaves_unit_1(name: str):
    assert heard("p1", name, "1-0:1.7.0").unit == 1
