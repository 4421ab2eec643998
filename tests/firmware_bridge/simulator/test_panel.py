"""All meters behind one address: who answers what, and what the log says of it."""

import struct

import msgspec
import pytest

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage

VOLTS = struct.pack(">BHH", 4, 0, 2)
S_US = 1_000_000


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "log.jsonl"


@pytest.fixture
def panel(stage, hand_clock, log_path):
    log = ValueLog(log_path)
    yield stage.panel(hand_clock, log), log
    log.close()


def lines(log, path):
    log.flush()
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_each_unit_answers_for_itself(panel):
    board, _ = panel
    assert board.reply(Request(1, 1, VOLTS))[6:9] == bytes((1, 4, 4))
    assert board.reply(Request(1, 1, VOLTS))[9:] != board.reply(Request(1, 2, VOLTS))[9:]


@pytest.mark.parametrize("unit", [0, 3, 247, 255])
def test_a_unit_that_is_not_there_is_told_by_exception_eleven(panel, unit):
    assert panel[0].reply(Request(9, unit, VOLTS)) == struct.pack(">HHHBBB", 9, 0, 3, unit, 0x84, 0x0B)


@pytest.mark.parametrize(
    ("pdu", "why"),
    [(struct.pack(">BHH", 6, 0, 1), 1), (struct.pack(">BHH", 4, 0x300, 2), 2), (struct.pack(">BHH", 4, 0, 0), 3)],
)
def test_refusals_carry_their_exception_and_are_not_logged(panel, log_path, pdu, why):
    board, log = panel
    assert board.reply(Request(1, 1, pdu))[-2:] == bytes((pdu[0] | 0x80, why))
    assert lines(log, log_path) == []


def test_the_log_has_a_line_for_each_answer(panel, log_path, hand_clock):
    board, log = panel
    reply = board.reply(Request(1, 1, VOLTS))
    told = lines(log, log_path)
    assert told == [
        {
            "at_us": hand_clock.at_us,
            "meter": "grid",
            "unit": 1,
            "function": 4,
            "address": 0,
            "count": 2,
            "values": {"voltage_l1_v": struct.unpack(">f", reply[9:])[0]},
        }
    ]


def test_a_value_that_was_read_in_half_is_not_in_the_log(panel, log_path):
    board, log = panel
    board.reply(Request(1, 2, struct.pack(">BHH", 4, 1, 3)))
    assert list(lines(log, log_path)[0]["values"]) == ["voltage_l2_v"]


def test_faults_show_at_their_instants_and_are_told_once(panel, log_path, hand_clock, stage):
    board, log = panel
    power = Request(1, 1, struct.pack(">BHH", 4, 0x34, 2))
    seen = []
    for second in (3599, 3600, 3719, 3720):
        hand_clock.at_us = stage.start_us + second * S_US
        seen.append(struct.unpack(">f", board.reply(power)[9:])[0] == 60_000)
    assert seen == [False, True, True, False]
    told = [line for line in lines(log, log_path) if "fault" in line]
    assert told == [
        {
            "fault": "spike",
            "meter": "grid",
            "from_us": stage.start_us + 3600 * S_US,
            "until_us": stage.start_us + 3720 * S_US,
            "register": "active_power_w",
            "value": 60_000.0,
        }
    ]


def test_a_silent_meter_says_nothing_and_others_go_on(panel, log_path, hand_clock, stage):
    board, log = panel
    hand_clock.at_us = stage.start_us + 6 * 3600 * S_US
    assert board.reply(Request(1, 1, VOLTS)) is None
    assert board.reply(Request(1, 2, VOLTS)) is not None
    assert [line.get("fault") for line in lines(log, log_path)] == ["silent", None]


def test_a_stuck_meter_repeats_itself(panel, hand_clock, stage):
    board, _ = panel
    everything = Request(1, 2, struct.pack(">BHH", 4, 0, 50))
    replies = []
    for second in (0, 300, 599, 600):
        hand_clock.at_us = stage.start_us + (12 * 3600 + second) * S_US
        replies.append(board.reply(everything))
    assert replies[0] == replies[1] == replies[2]
    assert replies[3] != replies[0]


def test_a_meter_answers_without_a_frame_and_who_is_not_there_says_nothing(panel):
    board, _ = panel
    assert board.reply(Request(1, 1, VOLTS))[7:] == board.answer(1, VOLTS)
    assert board.answer(3, VOLTS) is None


IDENTIFY = bytes((43, 14, 1, 0))
PLATES = """
[site]
start = 2026-01-05T00:00:00Z
[[meter]]
name = "grid"
unit = 5
profile = "victron_gx"
quantity = "grid"
[[meter]]
name = "roof"
unit = 6
profile = "schneider_iem3155"
quantity = "solar"
[[fault]]
kind = "exception"
meter = "roof"
at = 60
for_s = 60
code = 6
[[fault]]
kind = "swapped_meter"
meter = "roof"
at = 180
for_s = 60
"""


@pytest.fixture
def plates(hand_clock, log_path, tmp_path):
    stage = set_stage(parse_scenario(PLATES), tmp_path)
    hand_clock.at_us = stage.start_us
    log = ValueLog(log_path)
    yield stage.panel(hand_clock, log), log
    log.close()


def test_a_meter_says_at_another_unit_who_it_is_and_nothing_more(plates, log_path):
    board, log = plates
    serial = board.answer(100, struct.pack(">BHH", 3, 800, 6))
    assert serial[:2] == bytes((3, 12))
    assert serial[2:10].isdigit()
    assert board.answer(100, struct.pack(">BHH", 3, 802, 2))[2:] == serial[6:10]
    assert board.answer(100, struct.pack(">BHH", 3, 820, 1)) == bytes((0x83, 2))
    assert board.answer(5, struct.pack(">BHH", 3, 800, 6)) == bytes((0x83, 2))
    assert board.units == [5, 6, 100]
    assert lines(log, log_path) == []


def test_device_identification_names_maker_and_model(plates, log_path):
    board, log = plates
    assert board.answer(6, IDENTIFY)[7:].startswith(b"\0\x12Schneider Electric\1\7iEM3150")
    assert board.answer(5, IDENTIFY) == bytes((0xAB, 1))
    assert lines(log, log_path) == []


def test_a_refusing_meter_answers_everything_with_its_exception(plates, log_path, hand_clock):
    board, log = plates
    hand_clock.at_us += 90 * S_US
    assert board.answer(6, struct.pack(">BHH", 3, 0x0BF3, 2)) == bytes((0x83, 6))
    assert board.answer(6, IDENTIFY) == bytes((0xAB, 6))
    assert [line["code"] for line in lines(log, log_path)] == [6]


def test_a_swapped_meter_has_another_serial_number(plates, hand_clock):
    board, _ = plates
    serial = struct.pack(">BHH", 3, 129, 2)
    before = board.answer(6, serial)
    hand_clock.at_us += 190 * S_US
    assert board.answer(6, serial)[:2] == before[:2]
    assert board.answer(6, serial) != before


def test_without_a_log_it_answers_all_the_same(stage, hand_clock):
    log = ValueLog(None)
    assert stage.panel(hand_clock, log).reply(Request(1, 1, VOLTS)) is not None
    log.flush()
    log.close()
