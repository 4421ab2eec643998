import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.probe.asks import FUNCTIONS, Hail, Listen, Wire
from firmware_bridge.probe.plan import (
    BAUDS,
    QUESTIONS,
    UNIT_MAX,
    Options,
    all_wires,
    deadline_s,
    likely_wires,
    plan,
    seconds,
)

PROFILES = [load_profile(name) for name in profile_names()]
NINETY_SIX = Wire(kind="serial", baud=9600)


def test_the_settings_most_devices_are_delivered_with_come_first():
    likely = likely_wires(PROFILES)
    assert likely[0] == NINETY_SIX
    assert Wire(kind="serial", baud=19200, parity="E") in likely[:2]
    assert Wire(kind="serial", baud=2400) in likely  # of a default, and of a note


def test_speeds_in_the_notes_of_a_profile_are_likely():
    eastron = load_profile("eastron_sdm630")
    assert "2400" in eastron.file.serial_notes
    assert [wire.baud for wire in likely_wires([eastron])] == [9600, 19200, 2400]


def test_every_speed_is_tried_with_every_parity():
    tried = {knock.wire for knock in plan(PROFILES, Options()).knocks()}
    assert tried >= {Wire(kind="serial", baud=baud, parity=parity) for baud in BAUDS for parity in ("N", "E", "O")}
    assert tried >= {Wire(kind="serial", baud=baud, stop_bits=2) for baud in BAUDS}
    assert len(all_wires()) == len(set(all_wires())) == 32


def test_unit_1_is_asked_first_and_all_up_to_247_when_that_is_wanted():
    first = next(plan(PROFILES, Options()).knocks())
    assert (first.unit, first.wire) == (1, NINETY_SIX)
    near = {knock.unit for knock in plan(PROFILES, Options()).knocks()}
    assert near == set(range(1, 33))
    every = {knock.unit for knock in plan(PROFILES, Options(all_units=True)).knocks()}
    assert every == set(range(1, UNIT_MAX + 1))


def test_a_unit_that_a_profile_is_delivered_with_is_near():
    assert 100 in plan(PROFILES, Options(is_serial=False)).units[:12]  # Victron's system


def test_likely_units_at_likely_settings_are_tried_before_anything_else():
    wires = likely_wires(PROFILES)
    knocks = list(plan(PROFILES, Options()).knocks())
    first = len(wires) * 10 * len(QUESTIONS)
    assert {knock.wire for knock in knocks[:first]} == set(wires)
    assert {knock.unit for knock in knocks[:first]} == set(range(1, 11))
    assert knocks[first].wire not in wires


@pytest.mark.parametrize("is_serial", [True, False])
def test_the_estimate_is_the_sum_of_all_deadlines(is_serial: bool):
    search = plan(PROFILES, Options(is_serial=is_serial))
    asks = [*search.listens, *search.hails, *search.knocks()]
    assert search.longest_s == pytest.approx(sum(seconds(ask) for ask in asks))
    assert search.likely_s < search.longest_s / 2


def test_nobody_is_asked_with_a_function_that_writes():
    search = plan(PROFILES, Options(all_units=True, thorough=True))
    assert {knock.function for knock in search.knocks()} <= FUNCTIONS


def test_a_thorough_search_asks_what_the_devices_we_know_answer_with_a_value():
    questions = {(one.function, one.address, one.count) for one in plan(PROFILES, Options(thorough=True)).knocks()}
    assert questions > set(QUESTIONS)
    assert (4, 0, 2) in questions  # volts of an Eastron
    shelly = load_profile("shelly_pro_3em").registers[0]
    assert (shelly.function, shelly.start, shelly.end - shelly.start) in questions


def test_a_deadline_has_room_for_the_reply_at_this_speed():
    slow, fast = Wire(kind="serial", baud=1200, parity="E"), Wire(kind="serial", baud=115200)
    assert deadline_s(slow, 2, 0.25) == pytest.approx(0.25 + 17 * 11 / 1200)
    assert deadline_s(fast, 2, 0.25) < 0.252
    assert deadline_s(Wire(kind="tcp"), 100, 1.5) == 1.5


def test_the_installers_wait_goes_before_the_usual_one():
    assert plan(PROFILES, Options(wait_s=1.0)).wait_s == 1.0
    assert plan(PROFILES, Options(is_serial=False)).wait_s > plan(PROFILES, Options()).wait_s


def test_devices_that_send_by_themselves_are_heard_at_their_settings_first():
    listens = plan(PROFILES, Options(listen_s=3)).listens
    usual = {one.file.serial_defaults.baud for one in PROFILES if one.file.protocol != "modbus"}
    assert {one.wire.baud for one in listens} == usual
    assert all(one.duration_s == 3 for one in listens)
    assert plan(PROFILES, Options(listen_s=0)).listens == ()


def test_an_address_is_hailed_in_both_protocols():
    search = plan(PROFILES, Options(is_serial=False))
    assert search.hails[0].unit == 1
    assert list(search.knocks()) == []
    assert seconds(Hail(1, 1.5)) == 3.0
    assert seconds(Listen(Wire(kind="tcp"), 4.0)) == 4.0
