"""A wire carries one frame at a time, and never more than fits into the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.uart import Framing
from firmware_bridge.simulator.wire import Wire

SLOW = Framing(1000)  # ten milliseconds a byte, 35 of silence


def test_a_transaction_takes_its_bytes_and_two_silences():
    wire = Wire()
    request = wire.begin_request(5.0, 8, SLOW)
    assert request == pytest.approx((5.0, 5.08))
    reply = wire.send(request.end_s + SLOW.silence_s, 10, SLOW)
    assert reply == pytest.approx((5.115, 5.215))
    counts = wire.counts
    assert (counts.bytes, counts.requests, counts.replies, counts.early) == (18, 1, 1, 0)
    assert counts.wire_s == pytest.approx(18 * 0.01 + 2 * 0.035)
    assert counts.elapsed_s == pytest.approx(counts.wire_s)


def test_a_request_within_the_silence_waits_and_is_counted():
    wire = Wire()
    wire.begin_request(0.0, 8, SLOW)
    reply = wire.send(0.0, 10, SLOW)
    second = wire.begin_request(reply.end_s + 0.01, 8, SLOW)
    assert second.start_s == pytest.approx(reply.end_s + SLOW.silence_s)
    assert wire.counts.early == 1
    wire.begin_request(second.end_s + SLOW.silence_s + 1e-6, 8, SLOW)
    assert wire.counts.early == 1


def test_what_goes_on_within_the_silence_is_the_same_request():
    wire = Wire()
    slot = wire.begin_request(0.0, 4, SLOW)
    assert wire.go_on(slot, 0.01, 4, SLOW) == pytest.approx((0.0, 0.08)), "written at once, sent in a row"
    assert wire.counts.requests == 1
    assert wire.counts.wire_s == pytest.approx(0.08 + SLOW.silence_s)


def test_a_late_reply_waits_for_the_request_that_is_on_the_wire():
    wire = Wire()
    request = wire.begin_request(0.0, 8, SLOW)
    assert wire.send(0.01, 5, SLOW).start_s == pytest.approx(request.end_s + SLOW.silence_s)


def test_counts_begin_anew():
    wire = Wire()
    wire.begin_request(0.0, 8, SLOW)
    wire.reset()
    wire.begin_request(100.0, 8, SLOW)
    assert wire.counts.bytes == 8
    assert wire.counts.elapsed_s == pytest.approx(0.115)


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "more", "send", "noise"]), st.floats(0, 0.3), st.integers(1, 256)),
        max_size=40,
    )
)
def test_no_master_gets_more_over_the_wire_than_fits(moves):
    wire, now_s, slot = Wire(), 10.0, None
    for move, pause_s, count in moves:
        now_s += pause_s
        if move == "send":
            wire.send(now_s, count, SLOW)
        elif move == "noise":
            wire.disturb(now_s, count, SLOW)
        elif move == "more" and slot is not None and now_s <= slot.end_s + SLOW.silence_s >= wire.free_at_s:
            slot = wire.go_on(slot, now_s, count, SLOW)
        else:
            slot = wire.begin_request(now_s, count, SLOW)
    assert wire.counts.wire_s <= wire.counts.elapsed_s + 1e-9
