import struct

import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import WordOrder
from firmware_bridge.probe.asks import Identify, Read, Refused, Silence, Texts, Wire, Words
from firmware_bridge.probe.conclusion import Sureness, conclude
from firmware_bridge.probe.examination import SILENCES_MAX, TRIES, Answers, examine
from firmware_bridge.probe.plan import PATIENCE, WAIT_SERIAL_S, deadline_s
from tests.firmware_bridge.probe.devices import BUSY, Device, Rig, meter

WIRE = Wire(kind="serial")
PROFILES = [one for one in map(load_profile, profile_names()) if one.file.protocol == "modbus"]


def examined(device: Device, profiles=PROFILES, rig: Rig | None = None):
    rig = rig or Rig()
    rig.devices[WIRE, 1] = device
    steps = examine(WIRE, 1, profiles, WAIT_SERIAL_S)
    heard = None
    try:
        while True:
            heard = rig.hear(steps.send(heard))
    except StopIteration as end:
        return end.value


def read(address: int, count: int, function: int = 4) -> Read:
    return Read(WIRE, 1, function, address, count, 1.0)


def test_what_was_read_answers_every_part_of_it():
    answers = Answers()
    answers.put(read(10, 4), Words((1, 2, 3, 4)))
    assert answers.words(1, 4, 10, 4) == (1, 2, 3, 4)
    assert answers.words(1, 4, 11, 2) == (2, 3)
    for other in ((1, 4, 9, 2), (1, 4, 13, 2), (1, 3, 10, 4), (2, 4, 10, 4)):
        assert answers.words(*other) is None
        assert answers.get(*other) is None


def test_only_a_refusal_of_what_was_asked_is_a_lack():
    answers = Answers()
    answers.put(read(0, 2), Refused(2))
    answers.put(read(4, 2), Refused(BUSY))
    answers.put(read(8, 2), Silence())
    assert [answers.is_lacking(1, 4, address, 2) for address in (0, 4, 8, 12)] == [True, False, False, False]


def test_nothing_is_asked_twice_for_two_profiles():
    rig = Rig()
    examined(meter("eastron_sdm630"), rig=rig)
    assert len(rig.asked) == len(set(rig.asked))


def test_what_is_not_heard_is_asked_once_more():
    rig, seen = Rig(), set()

    def lose_the_first(ask, heard):
        if ask in seen:
            return heard
        seen.add(ask)
        return Silence()

    rig.fate = lose_the_first
    one = conclude(examined(meter("carlo_gavazzi_em340", says={"device_code": 341}), rig=rig))
    assert one.profile == "carlo_gavazzi_em340"
    assert one.sureness is Sureness.CERTAIN


def test_a_device_that_is_always_silent_is_not_asked_everything_twice():
    rig = Rig()
    examined(Device({}, is_quiet=True), rig=rig)
    assert len(rig.asked) == len(set(rig.asked)) + SILENCES_MAX * (TRIES - 1)


def test_a_busy_device_is_asked_again():
    rig, seen = Rig(), set()

    def busy_first(ask, heard):
        if ask in seen:
            return heard
        seen.add(ask)
        return Refused(BUSY)

    rig.fate = busy_first
    assert conclude(examined(meter("eastron_sdm630"), rig=rig)).profile == "eastron_sdm630"


def test_a_found_device_has_more_time_than_an_unknown_one():
    rig = Rig()
    examined(meter("eastron_sdm630"), rig=rig)
    shortest = min(ask.timeout_s for ask in rig.asked)
    assert shortest >= WAIT_SERIAL_S * PATIENCE
    for ask in rig.asked:
        if isinstance(ask, Read):
            assert ask.timeout_s == deadline_s(WIRE, ask.count, WAIT_SERIAL_S * PATIENCE)


def test_the_device_identification_is_asked_first():
    rig = Rig()
    device = Device({}, {0: "ACME", 1: "Toaster"})
    assert examined(device, rig=rig).texts == {0: "ACME", 1: "Toaster"}
    assert isinstance(rig.asked[0], Identify)
    assert device.hear(rig.asked[0]) == Texts({0: "ACME", 1: "Toaster"})


def test_a_read_never_exceeds_what_a_profile_allows():
    rig = Rig()
    examined(meter("carlo_gavazzi_em24_rtu"), [load_profile("carlo_gavazzi_em24_rtu")], rig)
    assert max(ask.count for ask in rig.asked if isinstance(ask, Read)) <= 11


def test_a_block_that_is_refused_is_asked_in_parts():
    device = meter("eastron_sdm120")
    examination = examined(device, [load_profile("eastron_sdm630")])
    (profile,) = examination.profiles.values()
    lacking = {register.measurand for register in examination.lacks(profile)}
    assert "voltage_l2_v" in lacking
    assert "voltage_l1_v" not in lacking


def sunspec(base: int, volts: float = 231.4) -> Device:
    """An inverter with a common model of 66, another model, and model 103."""
    text = {0: "ACME", 16: "Sun 5000", 40: "1.2", 48: "SN-123"}
    common = bytearray(132)
    for place, part in text.items():
        common[2 * place : 2 * place + len(part)] = part.encode()
    inverter = [0] * 50
    inverter[8:12] = [round(volts * 10)] * 3 + [0xFFFF]  # tenths of a volt
    inverter[12:14] = [2210, 0]
    inverter[14:16] = [5002, 0xFFFE]
    chain = struct.pack(">4sHH", b"SunS", 1, 66) + bytes(common) + struct.pack(">HH", 64110, 2) + bytes(4)
    chain += struct.pack(">HH50H", 103, 50, *inverter) + struct.pack(">HH", 0xFFFF, 0)
    words = struct.unpack(f">{len(chain) // 2}H", chain)
    return Device({(3, base + place): word for place, word in enumerate(words)})


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_a_sunspec_device_is_found_by_its_mark_wherever_its_chain_begins(base: int):
    one = conclude(examined(sunspec(base)))
    assert (one.profile, one.sureness) == ("sunspec_inverter", Sureness.CERTAIN)
    assert (one.model, one.serial_number) == ("Sun 5000", "SN-123")
    assert any("mark of SunSpec" in reason for reason in one.reasons)


def test_a_sunspec_device_at_night_is_still_known():
    assert conclude(examined(sunspec(40000, volts=0))).profile == "sunspec_inverter"


def test_words_are_read_in_the_order_in_which_they_make_sense():
    examination = examined(meter("eastron_sdm630", is_swapped=True))
    profile = examination.profiles["eastron_sdm630"]
    assert examination.signs(profile).word_order is WordOrder.LOW_FIRST
    assert profile.file.word_order is WordOrder.HIGH_FIRST
