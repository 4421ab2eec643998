import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.conclusion import Sureness, conclude, conclude_all
from firmware_bridge.probe.examination import examine
from firmware_bridge.probe.plan import WAIT_SERIAL_S
from tests.firmware_bridge.probe.devices import EVENING, Device, Rig, meter

PROFILES = [one for one in map(load_profile, profile_names()) if one.file.protocol == "modbus"]
WIRE = Wire(kind="serial")
# The marker, the common model and an end stand in registers, not in a map: see test_examination.py.
PLAIN = [one.name for one in PROFILES if one.file.sunspec is None]
# What each says of itself when it says all it can.
NAMES = {
    "abb_b23": {"type_code": 0x42323320},
    "carlo_gavazzi_em24_e1": {"device_code": 1651},
    "carlo_gavazzi_em24_rtu": {"device_code": 71},
    "carlo_gavazzi_em340": {"device_code": 341},
    "deye_hybrid_3p": {"device_type": 5},
    "deye_hybrid_3p_hv": {"device_type": 6},
    "eastron_sdm120": {"meter_code": 0x20},
    "eastron_sdm630": {"meter_code": 0x89},
    "huawei_sun2000": {"model": "SUN2000-8KTL-M1"},
    "schneider_iem3155": {"model": "iEM3155"},
    "shelly_pro_3em": {},
}
SINGLE = {key: value for key, value in EVENING.items() if "_l2_" not in key and "_l3_" not in key}


def told(device: Device, unit: int = 1):
    rig, steps = Rig({(WIRE, unit): device}), examine(WIRE, unit, PROFILES, WAIT_SERIAL_S)
    heard = None
    try:
        while True:
            heard = rig.hear(steps.send(heard))
    except StopIteration as end:
        return conclude(end.value)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("is_quiet", [False, True])
@pytest.mark.parametrize("is_named", [False, True])
def test_no_device_is_taken_for_another(name: str, is_quiet: bool, is_named: bool):
    says = NAMES.get(name, {}) if is_named else {}
    one = told(meter(name, says=says, is_quiet=is_quiet))
    if one.sureness in (Sureness.CERTAIN, Sureness.LIKELY):
        assert one.profile == name
    else:
        assert name in {one.profile, *one.rivals}
    assert one.reasons


@pytest.mark.parametrize("name", ["carlo_gavazzi_em340", "carlo_gavazzi_em24_e1", "carlo_gavazzi_em24_rtu"])
def test_a_device_that_says_its_name_is_certain(name: str):
    one = told(meter(name, says=NAMES[name]))
    assert (one.sureness, one.profile) == (Sureness.CERTAIN, name)
    assert one.model in one.reasons[0]


def test_a_device_identification_is_a_name():
    device = meter("schneider_iem3155")
    device.texts = {0: "Schneider Electric", 1: "iEM3155", 2: "001.003"}
    one = told(device)
    assert (one.sureness, one.model) == (Sureness.CERTAIN, "iEM3155")


def test_the_serial_number_is_told():
    assert told(meter("eastron_sdm630", says={"serial_number": 20_123_456})).serial_number == "20123456"
    assert told(meter("carlo_gavazzi_em340", says={"serial_number": "BY1234"})).serial_number == "BY1234"


def test_swapped_words_are_noticed_and_told():
    one = told(meter("eastron_sdm630", is_swapped=True))
    assert (one.profile, one.is_swapped) == ("eastron_sdm630", True)
    assert any("low word first" in reason and "swapped words" in reason for reason in one.reasons)
    assert not told(meter("eastron_sdm630")).is_swapped


def test_two_profiles_that_fit_as_well_are_both_told():
    quiet = told(meter("eastron_sdm120", SINGLE, is_quiet=True))
    assert quiet.sureness is Sureness.UNSURE
    assert {quiet.profile, *quiet.rivals} >= {"eastron_sdm120", "eastron_sdm630"}
    (reason,) = [one for one in quiet.reasons if one.startswith("either")]
    assert "cannot be told apart" in reason
    assert "is assumed because" in reason


def test_one_phase_under_voltage_speaks_for_the_meter_with_one_phase():
    three_phase = meter("eastron_sdm630", {**SINGLE, "voltage_l1_v": 230.0})
    one = told(three_phase)
    assert {one.profile, *one.rivals} >= {"eastron_sdm120", "eastron_sdm630"}
    assert one.sureness is Sureness.UNSURE
    assert one.profile == "eastron_sdm120"
    assert any("1 phase under voltage" in reason for reason in one.reasons)


def test_a_device_of_no_profile_is_unknown_and_told_what_it_calls_itself():
    one = told(Device({(3, 5): 7}, {0: "ACME", 1: "Toaster"}))
    assert (one.profile, one.sureness) == (None, Sureness.UNKNOWN)
    assert "ACME Toaster" in one.reasons[0]
    assert "profile new" in one.reasons[-1]


def test_a_name_without_a_value_that_agrees_is_not_enough():
    outage = dict.fromkeys(EVENING, 0.0)
    one = told(meter("carlo_gavazzi_em340", outage, says=NAMES["carlo_gavazzi_em340"]))
    assert (one.profile, one.sureness) == ("carlo_gavazzi_em340", Sureness.UNSURE)
    assert any("no values" in reason for reason in one.reasons)


def test_a_named_device_with_an_odd_value_is_still_named_and_the_value_told():
    # some firmware of the EM340 shows a decimal more
    one = told(meter("carlo_gavazzi_em340", {**EVENING, "frequency_hz": 500.2}, says=NAMES["carlo_gavazzi_em340"]))
    assert (one.profile, one.sureness) == ("carlo_gavazzi_em340", Sureness.LIKELY)
    assert any("implausible: frequency_hz = 500" in reason for reason in one.reasons)


def test_a_power_alone_does_not_make_words_swapped():
    device = meter("victron_gx", {**EVENING, "active_power_w": 1e-30})
    assert not told(device).is_swapped


def test_registers_that_are_all_zero_are_nobody():
    zeros = Device({(function, address): 0 for function in (3, 4) for address in range(0x10000)})
    assert told(zeros).sureness in (Sureness.UNKNOWN, Sureness.UNSURE)


def test_registers_that_all_hold_the_same_are_nobody():
    for word in (1, 0x1234, 0xFFFF, 500, 2301):
        same = Device({(function, address): word for function in (3, 4) for address in range(0x10000)})
        assert told(same).sureness in (Sureness.UNKNOWN, Sureness.UNSURE)


def test_twins_with_serial_numbers_of_their_own_stay_two():
    assert conclude_all([]) == []
