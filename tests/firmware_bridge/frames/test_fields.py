from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile
from firmware_bridge.frames.fields import FieldDecoder
from firmware_bridge.frames.frame import Frame, Value
from firmware_bridge.frames.reader import reader_of
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Field
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.sensor_encoder import json_frame

POWER = Field(
    measurand=Measurand.ACTIVE_POWER_W,
    code="in",
    unit="kW",
    numerator=1000,
    denominator=1,
    plus=("more",),
    minus=("out",),
)
WATER = Field(measurand=Measurand.GAS_VOLUME_M3, code="v", unit="m³", numerator=1, denominator=1)
CONTACT = Field(
    measurand=Measurand.CONTACT,
    code="c",
    unit="",
    numerator=1,
    denominator=1,
    choices=(("0", 0), ("shut", 1), ("1", 1)),
)


def decoded(field: Field, **values: Value) -> float | None:
    (value,) = FieldDecoder([field]).decode(Frame("x", values))
    return value


def by_name(profile: str, protocol: str, data: bytes) -> dict[str, float | None]:
    fields = load_profile(profile).fields
    frame = reader_of(protocol).feed(data)[-1]
    values = FieldDecoder(fields).decode(frame)
    assert len(values) == len(fields)
    return {str(field.measurand): value for field, value in zip(fields, values, strict=True)}


def test_what_a_p1_meter_says_in_our_units():
    assert by_name("dsmr_p1", "p1", golden.DSMR_5) == pytest.approx(
        {
            "active_power_w": -1234.0,
            "active_power_l1_w": -234.0,
            "active_power_l2_w": -400.0,
            "active_power_l3_w": -600.0,
            "voltage_l1_v": 230.1,
            "voltage_l2_v": 229.8,
            "voltage_l3_v": 231.4,
            "current_l1_a": 1.0,
            "current_l2_a": 2.0,
            "current_l3_a": 3.0,
            "energy_import_wh": 7532110.0,
            "energy_export_wh": 358023.0,
            "gas_volume_m3": 1234.567,
        }
    )


def test_what_an_old_p1_meter_does_not_say_is_missing():
    values = by_name("dsmr_p1", "p1", golden.DSMR_2 * 2)
    said = {name: value for name, value in values.items() if value is not None}
    assert said == pytest.approx(
        {"active_power_w": 980.0, "energy_import_wh": 358023.0, "energy_export_wh": 1000.0, "gas_volume_m3": 437.631}
    )


def test_what_an_sml_meter_says_in_our_units():
    said = {name: value for name, value in by_name("sml_meter", "sml", golden.SML).items() if value is not None}
    assert said == pytest.approx(
        {
            "active_power_w": -123.4,
            "voltage_l1_v": 231.1,
            "energy_import_wh": 12345678.9,
            "energy_export_wh": 1234.5,
        }
    )


def test_what_a_sensor_says_in_our_units():
    data = json_frame(
        id=1,
        temperature_c=-3.5,
        humidity_pct=55,
        light_lx=120,
        solar_w_m2=800,
        pressure_hpa=1013.25,
        vibration_mm_s=2.5,
        gas_ppm=400,
        contact=True,
        pulses=12345,
    )
    assert by_name("serial_sensor", "sensor", data) == pytest.approx(
        {
            "temperature_c": -3.5,
            "relative_humidity": 0.55,
            "illuminance_lx": 120.0,
            "irradiance_w_per_m2": 800.0,
            "pressure_pa": 101325.0,
            "vibration_m_per_s": 0.0025,
            "gas_concentration": 0.0004,
            "contact": 1.0,
            "pulse_count": 12345.0,
        }
    )


def test_parts_are_added_and_taken_off():
    assert decoded(POWER, **{"in": (5.0, "kW"), "more": (1.0, "kW"), "out": (2.0, "kW")}) == 4000.0


@pytest.mark.parametrize("lost", ["in", "more", "out"])
def test_a_sum_without_one_of_its_parts_is_missing(lost: str):
    parts: dict[str, Value] = {"in": (5.0, "kW"), "more": (1.0, "kW"), "out": (2.0, "kW")}
    assert decoded(POWER, **{code: value for code, value in parts.items() if code != lost}) is None
    assert decoded(POWER, **parts | {lost: (1.0, "W")}) is None
    assert decoded(POWER, **parts | {lost: ("no", "")}) is None


def test_a_frame_may_name_the_unit_as_meters_write_it_or_none():
    assert decoded(WATER, v=(7.0, "m3")) == 7.0
    assert decoded(WATER, v=(7.0, "m³")) == 7.0
    assert decoded(WATER, v=(7.0, "")) == 7.0
    assert decoded(WATER, v=(7.0, "l")) is None


def test_a_number_without_a_unit_may_come_as_a_text():
    assert decoded(WATER, v=("00042", "")) == 42.0
    for text in ("", "no", "1e5", "nan", "inf", "0x10", "1_0", " 1", "٣", "1" * 400):
        assert decoded(WATER, v=(text, "")) is None


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e308 * 10])
def test_what_is_not_finite_is_missing(value: float):
    assert decoded(WATER, v=(value, "")) is None
    assert decoded(POWER, **{"in": (1e308, "kW"), "more": (0.0, "kW"), "out": (0.0, "kW")}) is None


@pytest.mark.parametrize(
    ("value", "place"), [(0.0, 0.0), (1.0, 1.0), ("shut", 1.0), (0.5, None), (2.0, None), ("open", None), (nan, None)]
)
def test_a_choice_is_named_by_a_text_or_a_whole_number(value: float | str, place: float | None):
    assert decoded(CONTACT, c=(value, "")) == place
    assert decoded(CONTACT) is None


@given(st.dictionaries(st.sampled_from(["in", "more", "out"]), st.tuples(st.floats() | st.text(), st.just("kW"))))
def test_any_frame_is_decoded(values: dict[str, Value]):
    value = decoded(POWER, **values)
    assert value is None or abs(value) < inf
