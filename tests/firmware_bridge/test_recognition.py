"""Every simulated device is asked what every profile asks: it names itself, and is not taken for another."""

from collections.abc import Sequence

import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.identity import Recognition, question, recognise
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.map_reader import load_register_map

PROFILES = {name: load_profile(name) for name in profile_names() if load_profile(name).file.protocol == "modbus"}
SERIAL_NUMBER, UNIT = 12_345_678, 5
TYPICAL = {"Hz": 50.0, "V": 230.0, "1": 0.5}
# Chint gives nothing but the unit, where other makers have something else.
WITHOUT_A_CODE = {"chint_ddsu666", "chint_dtsu666", "xy_md02"}


def value_of(measurand: Measurand) -> float:
    return 1.0 if measurand.facts.choices else TYPICAL.get(measurand.facts.unit, 1234.0)


class Device:
    """A simulated meter at one instant."""

    def __init__(self, name: str) -> None:
        self.map = load_register_map(name)
        still = self.map.still(SERIAL_NUMBER, UNIT)
        self.snapshot = self.map.snapshot({one: value_of(one) for one in Measurand}, still)
        self.objects = {key: text.decode() for key, text in self.map.nameplate.objects(SERIAL_NUMBER).items()}

    def read(self, function: int, address: int, count: int) -> Sequence[int] | None:
        window = self.map.window(Read(function, address, count))
        if isinstance(window, ModbusException):
            return None
        data = self.snapshot.images[window.place.bank][window.place.start : window.place.end]
        return [high << 8 | low for high, low in zip(data[::2], data[1::2], strict=True)]

    def say(self, profile: Profile) -> Recognition:
        """What comes of asking this device everything that this profile asks."""
        answers = {}
        for identity in profile.file.identify:
            place = question(identity)
            if place is not None and (words := self.read(*place)) is not None:
                answers[identity.name] = words
        return recognise(profile, answers, objects=self.objects, unit=UNIT)


DEVICES = {name: Device(name) for name in PROFILES}


@pytest.mark.parametrize("name", PROFILES)
def test_a_device_says_its_serial_number_and_nothing_against_its_profile(name: str):
    said = DEVICES[name].say(PROFILES[name])
    assert not said.is_refuted
    own_unit = {one.name for one in PROFILES[name].file.identify if one.unit is None}
    assert said.serial_number == (str(SERIAL_NUMBER) if "serial_number" in own_unit else None)


@pytest.mark.parametrize("name", sorted(set(PROFILES) - WITHOUT_A_CODE))
def test_no_device_is_surely_taken_for_another(name: str):
    device = DEVICES[name]
    for other, profile in PROFILES.items():
        if other not in (name, *WITHOUT_A_CODE):
            said = device.say(profile)
            assert said.confidence in (None, "low"), (other, said)
