"""P1 telegrams, line by line."""

import re
from datetime import UTC, datetime

import pytest

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, UtcUs
from firmware_bridge.simulator.p1_telegram import P1Form
from firmware_bridge.simulator.reflected_crc import crc16_arc
from firmware_bridge.simulator.tariffs import TwoTariffs
from firmware_bridge.simulator.telegram import Moment

ZONE = "Europe/Amsterdam"
NIGHT_S = int(datetime(2026, 10, 25, tzinfo=UTC).timestamp())
VALUES = {
    Measurand.ENERGY_IMPORT_WH: 123_456_789.0,
    Measurand.ENERGY_EXPORT_WH: 4_321.4,
    Measurand.ACTIVE_POWER_W: -1193.4,
    Measurand.ACTIVE_POWER_L1_W: 400.0,
    Measurand.ACTIVE_POWER_L2_W: -1111.0,
    Measurand.ACTIVE_POWER_L3_W: -482.4,
    Measurand.VOLTAGE_L1_V: 220.14,
    Measurand.VOLTAGE_L2_V: 0.0,
    Measurand.VOLTAGE_L3_V: 231.0,
    Measurand.CURRENT_L1_A: 1.9,
    Measurand.CURRENT_L2_A: 0.4,
    Measurand.CURRENT_L3_A: 12.0,
    Measurand.GAS_VOLUME_M3: 12_785.1234,
}


def form() -> P1Form:
    energy = (VALUES[Measurand.ENERGY_IMPORT_WH], VALUES[Measurand.ENERGY_EXPORT_WH])
    return P1Form(TwoTariffs(lambda at_s: energy, NIGHT_S - 86_400, ZONE), ZONE)


def moment(at_s: int = NIGHT_S, clock_us: int | None = None, **changes: float) -> Moment:
    values = {**VALUES, **{Measurand(name): value for name, value in changes.items()}}
    return Moment(
        at_s, UtcUs(at_s * US_PER_S if clock_us is None else clock_us), 12_345_678, (), lambda second: values
    )


def lines(one: Moment) -> dict[str, str]:
    text = form().telegram(one).data.decode("ascii")
    return dict(re.findall(r"^([0-9-]+:[0-9.]+)(\(.*\))\r$", text, re.MULTILINE))


def test_it_begins_and_ends_as_the_standard_says():
    data = form().telegram(moment()).data
    assert data.startswith(b"/SWE5\\2SIMULATED\r\n\r\n1-3:0.2.8(50)\r\n")
    telegram, mark, crc = data.rpartition(b"!")
    assert crc == b"%04X\r\n" % crc16_arc(telegram + mark)
    assert data.count(b"!") == 1


def test_values_have_the_digits_and_units_of_the_standard():
    told = lines(moment())
    assert told["1-0:1.8.1"] == "(049382.716*kWh)"
    assert told["1-0:1.8.2"] == "(074074.073*kWh)"
    assert (told["1-0:2.8.1"], told["1-0:2.8.2"]) == ("(000001.729*kWh)", "(000002.593*kWh)")
    assert (told["1-0:1.7.0"], told["1-0:2.7.0"]) == ("(00.000*kW)", "(01.193*kW)")
    assert (told["1-0:21.7.0"], told["1-0:22.7.0"]) == ("(00.400*kW)", "(00.000*kW)")
    assert (told["1-0:32.7.0"], told["1-0:52.7.0"]) == ("(220.1*V)", "(000.0*V)")
    assert (told["1-0:31.7.0"], told["1-0:51.7.0"]) == ("(002*A)", "(000*A)")
    assert told["0-0:96.1.1"] == f"({b'E12345678'.hex().upper()})"
    assert told["0-0:96.14.0"] == "(0001)"


def test_what_is_shown_is_what_is_told():
    shown = form().telegram(moment()).shown
    assert shown.keys() == P1Form.measurands
    assert shown[Measurand.ENERGY_IMPORT_WH] == 123_456_789
    assert shown[Measurand.ENERGY_EXPORT_WH] == 4_322
    assert shown[Measurand.ACTIVE_POWER_W] == -1193
    assert shown[Measurand.VOLTAGE_L1_V] == 220.1
    assert shown[Measurand.CURRENT_L1_A] == 2
    assert shown[Measurand.GAS_VOLUME_M3] == 12_785.123


def test_gas_is_told_every_five_minutes_with_its_own_time():
    told = lines(moment(NIGHT_S + 299))
    assert told["0-1:24.1.0"] == "(003)"
    assert told["0-1:24.2.1"] == "(261025020000S)(12785.123*m3)"
    asked = []
    values = lambda second: asked.append(second) or VALUES  # noqa: E731 - two lines would hide what it does
    form().telegram(Moment(NIGHT_S + 299, UtcUs(0), 1, (), values))
    assert asked == [NIGHT_S + 299, NIGHT_S]


def test_the_night_of_winter_time_has_an_hour_twice_and_the_letter_tells_which():
    stamps = [lines(moment(NIGHT_S + minutes * 60))["0-0:1.0.0"] for minutes in (0, 59, 60, 120)]
    assert stamps == ["(261025020000S)", "(261025025900S)", "(261025020000W)", "(261025030000W)"]


def test_a_wrong_clock_shows_in_the_stamp():
    assert lines(moment(clock_us=NIGHT_S * US_PER_S - 86_400 * US_PER_S))["0-0:1.0.0"] == "(261024020000S)"


@pytest.mark.parametrize(
    ("counter", "parts"), [(0.0, ("000000.000", "000000.000")), (10.0, ("000000.004", "000000.006"))]
)
def test_counters_that_a_fault_has_touched_are_split_all_the_same(counter, parts):
    told = lines(moment(energy_import_wh=counter))
    assert (told["1-0:1.8.1"], told["1-0:1.8.2"]) == tuple(f"({part}*kWh)" for part in parts)


def test_a_counter_begins_again_after_six_digits():
    assert lines(moment(energy_import_wh=2.5e9 + 10))["1-0:1.8.1"] == "(000000.004*kWh)"
