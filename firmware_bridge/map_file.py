"""The shape of a meter map: the keys of the TOML file, their types and ranges. Pure.

What the keys mean together (units, overlaps, sentinels) is checked in map_parser.py.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.errors import SettingError
from firmware_bridge.settings import read_toml

# Modbus Application Protocol V1.1b3, 6.3 and 6.4: one request reads 1 to 125 registers.
READ_REGISTERS_MAX = 125
# The largest maps known to us have 30 registers and 6 kB.
MAP_CHARACTERS_MAX = 64 * 1024


class WordOrder(StrEnum):
    """Which register of a value of several registers comes first; bytes inside one are big endian."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class RegisterType(StrEnum):
    """How a raw value lies in its registers."""

    U16 = "u16"
    S16 = "s16"
    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    F32 = "f32"
    # unsigned counter of SunSpec: wraps at 2^32, 0 means "never counted"
    ACC32 = "acc32"

    @property
    def bits(self) -> int:
        """Size of the raw value."""
        return int(self[-2:])

    @property
    def is_signed(self) -> bool:
        """Whether its first bit is a sign."""
        return self in (RegisterType.S16, RegisterType.S32, RegisterType.S64)

    @property
    def words(self) -> int:
        """Registers of 16 bits that hold one value."""
        return self.bits // 16


Text = Annotated[str, Meta(min_length=1, max_length=400)]
Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
Confidence = Literal["high", "medium", "low"]
Protocol = Literal["modbus", "sensor", "p1", "sml"]
# What a positive value means to the maker; to us, drawn from the grid and charging are positive.
Sign = Literal["import_positive", "generation_positive", "charge_positive", "discharge_positive"]
Scale = Annotated[float, Meta(ge=1e-9, le=1e6)]
RawValue = Annotated[int | str, Meta(description="raw value", examples=[0xFFFF, "0x7FFFFFFF"])]
# A minute between reads is seldom enough for anything that is measured.
SLOW_PERIOD_S_MAX = 60
PeriodS = Annotated[float, Meta(ge=0, le=SLOW_PERIOD_S_MAX)]


class SerialDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the meter's serial port leaves the factory."""

    baud: Annotated[int, Meta(ge=300, le=1_000_000)]
    data_bits: Literal[7, 8]
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]
    unit: Annotated[int, Meta(ge=1, le=247)]


class TcpDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the meter listens when it leaves the factory."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    unit: Annotated[int, Meta(ge=0, le=255)]


class CodeRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Codes of one family of models, both ends included."""

    first: Annotated[int, Meta(ge=0, lt=2**32)]
    last: Annotated[int, Meta(ge=0, lt=2**32)]
    model: Text


class SunSpecChain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A SunSpec device: its registers lie in a model, which is found by walking a chain of them."""

    # models with these registers; the first one found in the chain is taken
    models: Annotated[list[Annotated[int, Meta(ge=1, le=0xFFFE)]], Meta(min_length=1, max_length=16)]
    # where the chain may begin, likeliest first
    bases: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=8)] = (40000, 50000, 0)


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to read that tells which meter it is.

    The one named "serial_number" tells which one of its kind; the one named "model" may have no values:
    then it is the model in the maker's own words. In a SunSpec profile, the address is that of a chain
    which begins at the first of `bases`.
    """

    name: Text
    # 43 is Read Device Identification, which has no address
    function: Literal[3, 4, 43] | None = None
    address: Address | None = None
    type: Literal["u16", "u32", "str"] | None = None
    # length of a text
    registers: Annotated[int, Meta(ge=1, le=READ_REGISTERS_MAX)] | None = None
    # unit that answers it, where that is not the meter's own
    unit: Annotated[int, Meta(ge=0, le=255)] | None = None
    # raw value as it stands in the maker's document -> model
    values: dict[str, Text] = {}
    # the same for families of codes
    ranges: list[CodeRange] = []
    # part of the text that is read, in small letters -> model
    contains: dict[str, Text] = {}
    # the value is the unit id that was asked: a check, no name
    is_unit: bool = False
    note: str = ""
    confidence: Confidence = "medium"


class MapFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file as it is written; `registers` are checked one by one, so that errors name them."""

    schema: Literal[1]
    key: Text
    vendor: Text
    models: Annotated[list[Text], Meta(min_length=1)]
    kind: Literal["meter", "inverter", "hybrid_inverter", "system", "sensor"]
    # the maker's document first, then independent implementations
    sources: Annotated[list[Text], Meta(min_length=1)]
    # high = two independent sources agree, medium = one good source, low = check before use
    confidence: Confidence
    # what it speaks: "modbus" is asked for registers, the others send frames with fields by themselves
    protocol: Protocol = "modbus"
    # measurand -> where it lies; for Modbus
    registers: dict[str, Any] = {}
    # measurand -> what carries it in a frame; for the others
    fields: dict[str, Any] = {}
    # 0 where nothing is about mains
    phases: Literal[0, 1, 3] = 0
    word_order: WordOrder = WordOrder.HIGH_FIRST
    # the largest count of registers known to be safe in one request
    max_read: Annotated[int, Meta(ge=1, le=READ_REGISTERS_MAX)] = READ_REGISTERS_MAX
    # what a positive active power means to the meter; to us it is drawn from the grid
    sign: Literal["import_positive", "generation_positive"] = "import_positive"
    # the meter refuses reads of values that begin at an odd address or have an odd count; what identifies it
    # is read as it stands
    even: bool = False
    # [first, last] addresses that must not be read, not even on the way
    forbidden: list[tuple[Address, Address]] = []
    # a read must not reach from below one of these addresses across it
    never_across: list[Address] = []
    # seconds of rest this device needs between two requests, and after a connection is made
    pause_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    connect_pause_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    # seconds after which the last frame of a device that sends by itself no longer stands
    stale_s: Annotated[float, Meta(gt=0, le=600)] = 15.0
    # addresses of registers are offsets from the id register of one of these models
    sunspec: SunSpecChain | None = None
    transport: list[Literal["rtu", "rtu_over_tcp", "tcp", "serial"]] = []
    serial_defaults: SerialDefaults | None = None
    serial_notes: str = ""
    tcp_defaults: TcpDefaults | None = None
    byte_swapped_text: bool = False
    quirks: list[Text] = []
    identify: list[Identity] = []
    # type -> raw values that mean "no value"; 64 bits and f32 as text, because TOML cannot write them
    invalid: dict[str, list[RawValue]] = {}


class RegisterEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One register as it is written; `raw * scale` is in `unit`.

    `plus` and `minus` are addresses of registers of the same type that are added and taken off: net
    power of a meter that shows each direction by itself. All of them come from one request.
    """

    address: Address
    function: Literal[3, 4]
    type: RegisterType
    # both are needed, but for an enumeration
    unit: str = ""
    scale: Scale | None = None
    plus: list[Address] = []
    minus: list[Address] = []
    # address of a signed register with the power of ten that the value is multiplied by as well
    scale_address: Address | None = None
    # where the maker counts this value's direction otherwise than `sign` of the file says
    sign: Sign | None = None
    # raw value -> choice of an enumerated measurand
    values: dict[str, Text] = {}
    # raw value at which a counter begins again at 0, where it is not 2 to the power of its bits
    wraps_at: Annotated[float, Meta(gt=0, le=1e18)] | None = None
    # seconds between reads; 0 for each sweep
    period_s: PeriodS | None = None
    note: str = ""
    confidence: Confidence | None = None


class FieldEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value in the frames of a device that sends by itself; `value * scale` is in `unit`."""

    # OBIS code (P1, SML) or key (sensor)
    code: Text
    # unit that the frame must name, or that its key stands for
    unit: str = ""
    scale: Scale | None = None
    plus: list[Text] = []
    minus: list[Text] = []
    values: dict[str, Text] = {}
    note: str = ""
    confidence: Confidence | None = None


def read_map_tree(text: str, where: str) -> dict[str, Any]:
    """The keys and values of the map in `text`, not looked at yet; `where` names the file in errors.

    Raises:
        SettingError: not TOML, or too long to be a map.
    """
    if len(text) > MAP_CHARACTERS_MAX:
        raise SettingError(where, f"{len(text)} characters", f"is more than {MAP_CHARACTERS_MAX}", "shorten it")
    return read_toml(text, where, "text")
