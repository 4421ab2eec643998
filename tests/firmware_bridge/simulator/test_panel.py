"""All meters behind one address: who answers what, and what the log says of it."""

import struct

import msgspec
import pytest

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.log import ValueLog

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


def test_without_a_log_it_answers_all_the_same(stage, hand_clock):
    log = ValueLog(None)
    assert stage.panel(hand_clock, log).reply(Request(1, 1, VOLTS)) is not None
    log.flush()
    log.close()
