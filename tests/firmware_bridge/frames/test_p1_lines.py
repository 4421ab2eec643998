from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frames.frame import Frame, Refusal, RefusedError
from firmware_bridge.frames.p1 import P1Reader
from firmware_bridge.frames.p1_lines import frame_of
from firmware_bridge.reading import US_PER_S
from tests.firmware_bridge.frames import golden


def of(*lines: str, name: str = "/XMX5SWE1") -> Frame:
    return frame_of([line.encode() for line in (name, "", *lines)])


def refusal(*lines: str) -> Refusal:
    with pytest.raises(RefusedError) as caught:
        of(*lines)
    return caught.value.reason


def utc(year: int, *rest: int) -> int:
    return int(datetime(year, *rest, tzinfo=UTC).timestamp()) * US_PER_S


def test_the_values_of_a_dsmr_5_meter():
    (frame,) = P1Reader().feed(golden.DSMR_5)
    assert frame.sender == "SWE00000000000001"
    assert frame.meter_clock_us == utc(2025, 7, 14, 16, 30, 45)
    expected = {
        "1-0:1.8.1": (4321.987, "kWh"),
        "1-0:1.8.2": (3210.123, "kWh"),
        "1-0:2.8.1": (12.345, "kWh"),
        "1-0:2.8.2": (345.678, "kWh"),
        "1-0:1.7.0": (0.0, "kW"),
        "1-0:2.7.0": (1.234, "kW"),
        "0-0:96.14.0": ("0002", ""),
        "1-0:32.7.0": (230.1, "V"),
        "1-0:71.7.0": (3.0, "A"),
        "1-0:62.7.0": (0.6, "kW"),
        "0-0:96.7.21": ("00004", ""),
        "0-0:96.13.0": ("", ""),
        "0-1:24.2.1": (47.11, "m3"),
        "0-2:24.2.1": (1234.567, "m3"),
        "0-n:24.2.1": (1234.567, "m3"),
    }
    assert {code: frame.values[code] for code in expected} == expected


def test_the_gas_of_a_dsmr_2_meter_stands_on_two_lines():
    (frame,) = P1Reader().feed(golden.DSMR_2 * 2)
    assert frame.sender == "SWE2"
    assert frame.meter_clock_us is None
    assert frame.values["0-1:24.2.1"] == frame.values["0-n:24.2.1"] == (437.631, "m3")


def test_a_swedish_meter_without_an_identifier_is_known_by_its_first_line():
    (frame,) = P1Reader().feed(golden.SWEDISH)
    assert frame.sender == "SWE5\\253833635_A"
    assert frame.values["1-0:1.8.0"] == (6678.394, "kWh")


def test_an_identifier_that_is_no_text_stays_as_it_is_written():
    assert of("0-0:96.1.1(4B38)").sender == "K8"
    assert of("0-0:96.1.1(0001)").sender == "0001"
    assert of("0-0:96.1.1(E9)").sender == "E9"
    assert of("0-0:96.1.1(K8)").sender == "K8"
    assert of("0-0:96.1.0(4B38)").sender == "K8"


@pytest.mark.parametrize(
    "line",
    [
        "1-0:1.7.0",
        "1-0:1.7.0()x",
        "1-0:1.7.0(1",
        "1-0:1.7.0 (1)",
        "1-0:1.7(1)",
        "-0:1.7.0(1)",
        "1-0:1.7.0((1))",
        "1-0:1.7.0(\x01)",
        "1-0:1.7.0(é)",
        "1-0:1.7.0(1))",
        "1-0:1.7.0(\r1)",
        "1234-0:1.7.0(1)",
        "hello",
    ],
)
def test_what_is_no_data_line_is_refused(line: str):
    assert refusal(line) is Refusal.BODY


def test_a_value_before_any_code_is_refused():
    assert refusal("(00437.631)") is Refusal.BODY


def test_a_code_that_stands_twice_is_refused_though_the_values_are_the_same():
    assert refusal("1-0:1.7.0(1*kW)", "1-0:1.7.0(1*kW)") is Refusal.DUPLICATE
    assert refusal("0-1:24.3.0(0)(0)(0)(0)(0-1:24.2.1)(m3)(1)", "0-1:24.2.1(2*m3)") is Refusal.DUPLICATE


def test_what_stands_for_a_unit_and_is_too_long_for_one_is_text():
    assert of("1-0:1.8.1(7*kWh)").values["1-0:1.8.1"] == (7.0, "kWh")
    assert of(f"1-0:1.8.1(7*{'V' * 17})").values["1-0:1.8.1"] == (f"7*{'V' * 17}", "")


def test_what_is_no_number_stays_a_text():
    for text in (
        "*kWh",
        "1.*kWh",
        "1e5*kWh",
        "nan*kWh",
        "0x10*kWh",
        "1_0*kWh",
        "１*kWh"[1:],
        "--1*kW",
        "1234567890*s",
    ):
        assert of(f"1-0:1.7.0({text})").values["1-0:1.7.0"] == (text, "")
    assert of("1-0:1.7.0(-1.5*kW)").values["1-0:1.7.0"] == (-1.5, "kW")


@pytest.mark.parametrize(
    ("kinds", "gas"), [(("003", "007"), 1.0), (("007", "3"), 2.0), (("003", "003"), None), (("007", "007"), None)]
)
def test_gas_is_found_on_its_channel_and_only_when_there_is_one(kinds: tuple[str, str], gas: float | None):
    lines = [f"0-{n}:24.1.0({kind})" for n, kind in enumerate(kinds, 1)]
    lines += [f"0-{n}:24.2.1(250714180000S)(0000{n}.000*m3)" for n in (1, 2)]
    assert of(*lines).values.get("0-n:24.2.1", (None,))[0] == gas


def test_the_hour_that_comes_twice_in_autumn_is_told_apart_by_its_letter():
    """2025-10-26: at 3:00 summer time clocks go back to 2:00."""

    def clock(text: str) -> int | None:
        return of(f"0-0:1.0.0({text})").meter_clock_us

    assert clock("251026023000S") == utc(2025, 10, 26, 0, 30)
    assert clock("251026023000W") == utc(2025, 10, 26, 1, 30)
    night = ["251026015959S", "251026020000S", "251026025959S", "251026020000W", "251026025959W", "251026030000W"]
    instants = [clock(text) for text in night]
    assert instants == sorted(instants)
    assert len(set(instants)) == len(night)


def test_the_hour_that_is_left_out_in_spring():
    """2025-03-30: at 2:00 clocks go on to 3:00."""
    before = of("0-0:1.0.0(250330015959W)").meter_clock_us
    after = of("0-0:1.0.0(250330030000S)").meter_clock_us
    assert after - before == US_PER_S


def test_a_clock_that_was_never_set_or_is_none():
    assert of("0-0:1.0.0(000101010000W)").meter_clock_us == utc(2000, 1, 1)
    for wrong in ("251301000000W", "250230000000W", "250101240000W", "250101000060W", "250101000000", "X", ""):
        assert of(f"0-0:1.0.0({wrong})").meter_clock_us is None


@given(st.integers(utc(2000, 1, 2) // US_PER_S, utc(2099, 12, 30) // US_PER_S), st.sampled_from("SW"))
def test_every_time_of_the_century_is_read(at_s: int, letter: str):
    local = datetime.fromtimestamp(at_s, UTC) + timedelta(hours=2 if letter == "S" else 1)
    assert of(f"0-0:1.0.0({local:%y%m%d%H%M%S}{letter})").meter_clock_us == at_s * US_PER_S
