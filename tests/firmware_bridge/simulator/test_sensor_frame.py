"""Frames of sensors against those that the specification writes out byte by byte."""

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Sentinel
from firmware_bridge.simulator.map_reader import load_profile_tree
from firmware_bridge.simulator.sensor_frame import SensorForm, frame
from firmware_bridge.simulator.telegram import Moment

ONE = {"fields": {"temperature_c": {"code": "temperature_c", "unit": "°C", "scale": 1}}}
ALL = load_profile_tree("serial_sensor")
VALUES = {
    Measurand.TEMPERATURE_C: -3.4567,
    Measurand.RELATIVE_HUMIDITY: 0.554,
    Measurand.ILLUMINANCE_LX: 98_765.4321,
    Measurand.IRRADIANCE_W_PER_M2: 858.8,
    Measurand.PRESSURE_PA: 101_325.0,
    Measurand.VIBRATION_M_PER_S: 0.00181,
    Measurand.GAS_CONCENTRATION: 812e-6,
    Measurand.CONTACT: 1.0,
    Measurand.PULSE_COUNT: 1_234_567.0,
}
JSON = "2a 7b22 6964 223a 372c 2273 6571 223a 312c 2274 656d 7065 7261 7475 7265 5f63 223a 3231 2e35 7d f52971db 00"
CBOR = "1c a3 62 6964 07 63 736571 02 6d 74656d70657261747572655f63 fa 41ac 01 05 b260fba8 00"


def moment(at_s: int, faults: tuple[Sentinel, ...] = (), **changes: float) -> Moment:
    values = {**VALUES, **{Measurand(name): value for name, value in changes.items()}}
    return Moment(at_s, UtcUs(0), 1, faults, lambda second: values)


@pytest.mark.parametrize(("body", "second", "wanted"), [("json", 1, JSON), ("cbor", 2, CBOR)])
def test_the_frames_of_the_specification_are_ours(body, second, wanted):
    form = SensorForm("test", ONE, 7, body)
    assert form.telegram(moment(second, temperature_c=21.5)).data == bytes.fromhex(wanted)


def test_the_number_of_a_frame_begins_again():
    form = SensorForm("test", ONE, 7)
    assert b'"seq":0,' in form.telegram(moment(65_536)).data


@pytest.mark.parametrize("body", ["json", "cbor"])
def test_every_value_of_the_profile_fits_one_frame_and_is_told(body):
    form = SensorForm("serial_sensor", ALL, 200, body)
    telegram = form.telegram(moment(65_535))
    assert len(telegram.data) <= 246
    assert telegram.data.count(0) == 1
    assert telegram.shown.keys() == form.measurands == form.blanks
    for measurand, value in VALUES.items():
        assert telegram.shown[measurand] == pytest.approx(value, abs=5e-3, rel=1e-5)
    assert telegram.shown[Measurand.PULSE_COUNT] == 1_234_567


def test_what_was_not_measured_is_null():
    fault = Sentinel(meter=MeterId("x"), from_us=UtcUs(0), until_us=UtcUs(1), register=Measurand.CONTACT)
    telegram = SensorForm("serial_sensor", ALL, 7).telegram(moment(1, (fault,)))
    assert b'"contact":null' in telegram.data
    assert telegram.shown[Measurand.CONTACT] is None
    assert SensorForm("serial_sensor", ALL, 7, "cbor").telegram(moment(1, (fault,))).data


def test_zeros_become_distances():
    assert frame(b"\0\0")[:3] == b"\1\1\5"


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"fields": 3},
        {"fields": {"happiness": {"code": "x", "unit": "1", "scale": 1}}},
        {"fields": {"temperature_c": {"code": "x", "unit": "furlong", "scale": 1}}},
        {
            "fields": {
                name: {"code": "x" * 30 + name, "unit": "W", "scale": 1} for name in Measurand if name[-2:] == "_w"
            }
        },
    ],
)
def test_a_profile_that_cannot_be_sent_is_named(tree):
    with pytest.raises(SettingError, match=r"meter\.profile = mine"):
        SensorForm("mine", tree, 1)
