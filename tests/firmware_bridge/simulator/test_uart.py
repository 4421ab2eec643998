"""Bits on a wire: what is heard with the right settings, and with others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulator.rtu_frames import read_rtu, rtu_frame
from firmware_bridge.simulator.uart import Framing, Heard, hear

REQUEST = rtu_frame(1, bytes.fromhex("04 0000 0006"))
SPEEDS = [1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]
FRAMINGS = st.builds(Framing, st.sampled_from(SPEEDS), st.sampled_from(["N", "E", "O"]), st.sampled_from([1, 2]))


@pytest.mark.parametrize(
    ("framing", "bits"), [(Framing(9600), 10), (Framing(9600, "E"), 11), (Framing(9600, "N", 2), 11)]
)
def test_a_character_is_as_long_as_its_bits(framing, bits):
    assert framing.bits == bits
    assert framing.character_s == pytest.approx(bits / 9600)
    assert framing.silence_s == pytest.approx(3.5 * bits / 9600)


def test_above_19200_baud_the_silence_is_fixed():
    assert Framing(38400).silence_s == Framing(115200, "E").silence_s == 0.00175


@given(st.binary(max_size=50), FRAMINGS)
def test_the_same_settings_hear_what_was_said(data, framing):
    assert hear(data, framing, framing) == Heard(data, is_clean=True)


@given(st.binary(min_size=1, max_size=50), st.sampled_from(["N", "E", "O"]))
def test_a_speed_two_percent_off_does_no_harm(data, parity):
    """By bits and not by the short cut: crystals differ by less."""
    assert hear(data, Framing(9600, parity), Framing(9700, parity)) == Heard(data, is_clean=True)


@pytest.mark.parametrize("heard_at", [speed for speed in SPEEDS if speed != 9600])
def test_another_speed_hears_no_request(heard_at):
    heard = hear(REQUEST, Framing(9600), Framing(heard_at))
    assert heard.data != REQUEST
    assert read_rtu(heard.data) is None
    assert heard == hear(REQUEST, Framing(9600), Framing(heard_at)), "the same in every run"


@pytest.mark.parametrize(("spoken", "heard"), [("N", "E"), ("E", "N"), ("E", "O"), ("O", "N"), ("N", "O")])
def test_another_parity_is_noticed(spoken, heard):
    assert not hear(REQUEST, Framing(9600, spoken), Framing(9600, heard)).is_clean


def test_a_second_stop_bit_is_taken_for_idle():
    assert hear(REQUEST, Framing(9600, "N", 2), Framing(9600)) == Heard(REQUEST, is_clean=True)


@given(st.binary(max_size=60), FRAMINGS, FRAMINGS)
def test_whatever_is_heard_is_bounded_by_the_time_it_took(data, spoken, listening):
    heard = hear(data, spoken, listening)
    longest_s = len(data) * spoken.character_s + listening.character_s
    assert len(heard.data) * (listening.bits - listening.stop_bits) * 0.95 <= longest_s * listening.baud + 1
