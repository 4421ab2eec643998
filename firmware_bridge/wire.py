"""What kind of wire a line is: what a request costs on it, and whether an answer tells its request. Pure."""

from firmware_bridge.config import BusConfig
from firmware_bridge.poll_plan import WireCost
from firmware_bridge.rtu import LineTiming


def wire_cost(bus: BusConfig) -> WireCost:
    """Seconds that requests and registers take on this line; behind a converter as on the line itself."""
    return WireCost.of_serial(LineTiming.of(bus).character_s) if is_rtu(bus) else WireCost.of_tcp()


def is_rtu(bus: BusConfig) -> bool:
    """Whether frames are of Modbus RTU: without a number, so that a late answer looks like the next one."""
    return not bus.url.startswith("tcp://")
