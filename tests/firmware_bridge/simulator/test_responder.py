"""The units of a line: who answers, who is counted, and what faults make of it."""

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.line_settings import WireFaultSettings
from firmware_bridge.simulator.responder import Reply, Responder
from firmware_bridge.simulator.rtu_frames import rtu_frame
from firmware_bridge.simulator.wire_faults import WireFaults

ASKED = bytes.fromhex("04 0000 0001")


def answer(unit: int, pdu: bytes) -> bytes | None:
    """Unit 2 is silent, the others answer with their number."""
    return None if unit == 2 else bytes((pdu[0], 2, 0, unit))


def responder(**fault) -> Responder:
    faults = WireFaults(1)
    if fault:
        faults.add(WireFaultSettings(**fault), 0.0)
    return Responder(answer, frozenset({1, 2}), lambda _, message: rtu_frame(*message), faults)


def test_who_is_there_answers_and_all_who_are_asked_are_counted():
    units = responder()
    assert units.reply(Request(0, 1, ASKED), 0.0) == Reply(rtu_frame(1, bytes((4, 2, 0, 1))), 0.0)
    assert units.reply(Request(0, 2, ASKED), 0.0) is None, "silent by itself"
    assert units.reply(Request(0, 3, ASKED), 0.0) is None, "not on this line"
    assert units.reply(Request(0, 0, ASKED), 0.0) is None, "to all, and nobody answers"
    assert units.requests == {1: 1, 2: 1}


def test_a_delayed_reply_says_by_how_much():
    assert responder(kind="delay", delay_s=2.0).reply(Request(0, 1, ASKED), 0.0).delay_s == 2.0


def test_a_reply_of_which_nothing_is_left_is_silence():
    assert responder(kind="drops", rate=1).reply(Request(0, 1, ASKED), 0.0) is None
    assert responder(kind="silence").reply(Request(0, 1, ASKED), 0.0) is None


def test_nobody_understands_a_request_in_babble():
    units = responder(kind="babble")
    assert units.reply(Request(0, 1, ASKED), 0.0) is None
    assert not units.requests
