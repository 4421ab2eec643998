"""How a scenario describes the lines that its meters hang on, and what goes wrong on them. Pure.

    [[line]]
    name = "rs485"
    kind = "serial"
    link = "dev/rs485"

    [[line.fault]]
    kind = "delay"
    unit = 2
    delay_s = 0.8

What befalls a meter, on whatever line it hangs, is a `[[fault]]` of the scenario instead.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.config import Name, Positive, UnitId
from firmware_bridge.errors import SettingError

# Each serial line is a terminal and each network line a socket; a site has a handful.
LINES_MAX = 32
# More at once than anybody can follow in a log.
FAULTS_MAX = 1_000

# PATH_MAX is 4096 for a whole path; no folder of a scenario is as deep as this.
Path = Annotated[
    str, Meta(pattern=r"^[^\x00]{1,200}\Z", description="path below the scenario", examples=["dev/rs485"])
]
LineKind = Literal["tcp", "rtu_over_tcp", "serial"]
Parity = Literal["N", "E", "O"]
FaultKind = Literal[
    "silence",
    "delay",
    "exception",
    "wrong_unit",
    "wrong_function",
    "truncated",
    "merged",
    "garbage_before",
    "garbage_after",
    "flips",
    "drops",
    "duplicates",
    "babble",
    "unplugged",
]
# These befall the whole line, whoever is asked.
OF_THE_LINE = frozenset[FaultKind]({"babble", "unplugged"})


class WireFaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One misbehaviour of a line: of its replies, or of the line itself."""

    # what goes wrong; hil/README.md explains each
    kind: FaultKind
    # only replies of this unit; left out: of all
    unit: UnitId | None = None
    # real seconds after the line was opened: lines live in real time, as deadlines of a master do
    at_s: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    # how long, real seconds; left out: until it is taken back
    for_s: Positive | None = None
    # each reply is struck, or every second one, third one, ...
    every: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    # of "delay": how much later the reply comes; later than the master waits makes it a late one
    delay_s: Annotated[float, Meta(gt=0, le=60)] = 0.5
    # of "flips" for each bit, of "drops" and "duplicates" for each byte: how probable it is
    rate: Annotated[float, Meta(gt=0, le=1)] = 0.01
    # of "exception": which; 4 is a device that failed
    code: Annotated[int, Meta(ge=1, le=255)] = 4
    # of "truncated" how many bytes are missing, of garbage how many there are too many
    bytes_count: Annotated[int, Meta(ge=1, le=256)] = 3


class LineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"faults": "fault"}):
    """One line with meters on it, and the way to it."""

    # how control and log call it
    name: Name
    # "tcp" is Modbus TCP, as of a gateway with the meters behind it; "rtu_over_tcp" a plain converter;
    # "serial" a terminal of this machine, as an adapter would give
    kind: LineKind
    # which meters hang on it, by unit id; left out: all
    units: Annotated[list[UnitId], Meta(max_length=247)] = []
    # of a network line; port 0 lets the system choose, and control tells
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    # of a serial line: the name to give the terminal, relative to the scenario; its folder is made
    link: Path | None = None
    # a second name for it, which stays when the cable comes back under another one, as in /dev/serial/by-id
    id_link: Path | None = None
    # speed of the wire; left out: 9600 on a serial line, and no wire time at all on a network line
    baud: Annotated[int, Meta(ge=300, le=1_000_000)] | None = None
    parity: Parity = "N"
    stop_bits: Literal[1, 2] = 1
    # from the silence that ends a request to the first byte of the reply; real meters take 2 to 50 ms
    turnaround_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    # how often an adapter hands on what has arrived; 1 ms is the beat of USB
    bunch_s: Annotated[float, Meta(ge=0.0001, le=1)] = 0.001
    # whether the adapter hears what its master sends, as some half-duplex ones do
    echo: bool = False
    # folder where hil/parity_notes.c tells which parity a master asked for, relative to the scenario
    parity_notes: Path | None = None
    # what a gateway says for a unit that is not there, and for one that stays silent:
    # exception 0x0B, or nothing
    unknown_unit: Literal["exception", "silence"] = "exception"
    silent_unit: Literal["exception", "silence"] = "silence"
    # how long a gateway waits for a unit that does not answer; nobody else is served meanwhile
    silent_unit_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    # chance on this line; another seed is another garbage
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 1
    # what goes wrong on it, from [[line.fault]]
    faults: Annotated[list[WireFaultSettings], Meta(max_length=FAULTS_MAX)] = []


def check_lines(lines: Sequence[LineSettings], units: Sequence[int]) -> None:
    """Refuse lines that cannot be: `units` are those of the scenario's meters.

    Raises:
        SettingError: a name or a link twice, a link missing or out of place, a unit that is no meter's.
    """
    _refuse_twins("line.name", [line.name for line in lines])
    _refuse_twins("line.link", [link for line in lines for link in (line.link, line.id_link) if link])
    for place, line in enumerate(lines):
        _check_line(f"line[{place}]", line, units)


def _refuse_twins(field: str, values: Sequence[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SettingError(field, repr(value), "is given twice", "give each its own")


def _check_line(field: str, line: LineSettings, units: Sequence[int]) -> None:
    if line.kind == "serial" and line.link is None:
        raise SettingError(f"{field}.link", "(none)", "is needed for a serial line", 'write link = "rs485"')
    if line.kind != "serial" and line.link is not None:
        raise SettingError(f"{field}.link", repr(line.link), "is for serial lines only", "remove it")
    for unit in line.units:
        if unit not in units:
            known = ", ".join(str(one) for one in units)
            raise SettingError(f"{field}.units", str(unit), "is no meter's unit here", f"use some of: {known}")
    for number, fault in enumerate(line.faults):
        check_wire_fault(f"{field}.fault[{number}]", fault)


def check_wire_fault(field: str, fault: WireFaultSettings) -> None:
    """Refuse a unit where the whole line is struck.

    Raises:
        SettingError: so it is.
    """
    if fault.kind in OF_THE_LINE and fault.unit is not None:
        raise SettingError(f"{field}.unit", str(fault.unit), f"{fault.kind} befalls the whole line", "remove it")
