"""How buses and meters are described by the installer. Pure: the reading of files is the caller's.

Ranges stand in the types, so that an error names the field; a pattern has its words and an example
beside it, which settings.py tells. Each field says its unit and why the default is what it is.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.map_file import Protocol

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z",
        description='name of small letters, digits, "-" and "_", at most 32 of them',
        examples=["main-2"],
    ),
]
ProfileName = Annotated[Name, Meta(description="name of a profile", examples=["eastron_sdm630"])]
UnitId = Annotated[int, Meta(ge=1, le=247)]
# Thirty years in seconds, a power station in watts: beyond is a slip, and infinity stops the clock.
POSITIVE_MAX = 1e9
Positive = Annotated[float, Meta(gt=0, le=POSITIVE_MAX)]

Role = Literal["grid", "solar", "load", "other"]


class BusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line with meters on it."""

    # how meters and logs call this line
    name: Name
    # tcp:// is Modbus TCP, rtu+tcp:// a serial line behind a converter, serial:// an adapter of this machine;
    # an adapter is best named by id, because ttyUSB0 may be ttyUSB1 after the next thunderstorm
    url: Annotated[
        str,
        Meta(
            # a path may have spaces inside, as the link of a simulated line in somebody's folder
            pattern=r"^((tcp|rtu\+tcp)://[^/:\s]+:[0-9]{1,5}|serial:///\S([^\x00-\x1f\x7f]{0,198}\S)?)\Z",
            description="address of a line",
            examples=["tcp://192.168.1.20:502", "serial:///dev/serial/by-id/usb-adapter-port0"],
        ),
    ]
    # seconds a meter may take to answer; Modbus gateways over Wi-Fi need most of it
    timeout_s: Annotated[float, Meta(gt=0, le=30)] = 1.0
    # what is spoken on it: devices of the other protocols send by themselves
    protocol: Protocol = "modbus"
    # bits per second of a serial line, and of one behind a converter, so that its time can be planned
    baud: Annotated[int, Meta(ge=300, le=1_000_000)] = 9600
    # none, even or odd; the standard wants even, most meters leave the factory with none
    parity: Literal["N", "E", "O"] = "N"
    # 7 is for meters that send telegrams of text
    data_bits: Literal[7, 8] = 8
    # the standard wants 2 without parity, most meters have 1
    stop_bits: Literal[1, 2] = 1


class MeterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One meter on a bus."""

    # how series, records and the page call this meter; a new name begins new series
    name: Name
    # the line it is wired to
    bus: Name
    # Modbus unit id, or the number of a sensor on its line; 0 is broadcast and 248..255 are reserved
    unit: UnitId
    # name of a profile in firmware_bridge/maps
    profile: ProfileName
    # where the meter sits; "grid" and "solar" add up to the site's consumption
    role: Role = "other"
    # the most the main breaker lets through, W: what is beyond cannot be true
    rated_power_w: Positive = 22_000.0
