"""What kind of wire a line is, by its address."""

import pytest

from firmware_bridge.config import BusConfig
from firmware_bridge.poll_plan import WireCost
from firmware_bridge.wire import is_rtu, wire_cost

SERIAL = "serial:///dev/serial/by-id/usb-adapter-port0"
CONVERTER = "rtu+tcp://192.168.1.20:4196"
NETWORK = "tcp://192.168.1.20:502"


@pytest.mark.parametrize(("url", "expected"), [(SERIAL, True), (CONVERTER, True), (NETWORK, False)])
def test_frames_without_a_number_are_those_of_rtu(url: str, expected: bool):
    assert is_rtu(BusConfig("line", url)) is expected


def test_on_a_network_registers_cost_next_to_nothing():
    cost = wire_cost(BusConfig("line", NETWORK, baud=300))
    assert cost == WireCost.of_tcp()
    assert 125 * cost.register_s < 0.01 * cost.request_s


@pytest.mark.parametrize("url", [SERIAL, CONVERTER])
@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "register_s"),
    [
        (9600, "N", 1, 20 / 9600),
        (9600, "E", 1, 22 / 9600),
        (2400, "O", 2, 24 / 2400),
        (115_200, "N", 1, 20 / 115_200),
    ],
)
def test_on_a_serial_line_and_behind_a_converter_a_register_is_two_characters(
    url: str, baud: int, parity: str, stop_bits: int, register_s: float
):
    cost = wire_cost(BusConfig("line", url, baud=baud, parity=parity, stop_bits=stop_bits))
    assert cost.register_s == pytest.approx(register_s)
    # 13 characters of request and reply, two silences, and what a device needs to begin
    silence_s = max(3.5 * register_s / 2, 0.00175)
    assert cost.request_s == pytest.approx(13 * register_s / 2 + 2 * silence_s + 0.02)
