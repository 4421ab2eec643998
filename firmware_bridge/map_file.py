"""The shape of a meter map: the keys of the TOML file, their types and ranges. Pure.

What the keys mean together (units, overlaps, sentinels) is checked in profile.py.
"""

import tomllib
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from firmware_bridge.errors import SettingError

T = TypeVar("T")

# Modbus Application Protocol V1.1b3, 6.3 and 6.4: one request reads 1 to 125 registers.
READ_REGISTERS_MAX = 125
# The largest maps known to us have 30 registers and 6 kB.
_MAP_CHARACTERS_MAX = 64 * 1024
_SHOWN_CHARACTERS_MAX = 80


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

    @property
    def bits(self) -> int:
        """Size of the raw value."""
        return int(self[1:])

    @property
    def words(self) -> int:
        """Registers of 16 bits that hold one value."""
        return self.bits // 16


Text = Annotated[str, Meta(min_length=1, max_length=400)]
Address = Annotated[int, Meta(ge=0, le=0xFFFF)]
Confidence = Literal["high", "medium", "low"]


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


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to read that tells which meter it is."""

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
    note: str = ""
    confidence: Confidence = "medium"


class MapFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file as it is written; `registers` are checked one by one, so that errors name them."""

    schema: Literal[1]
    key: Text
    vendor: Text
    models: Annotated[list[Text], Meta(min_length=1)]
    kind: Literal["meter", "inverter", "hybrid_inverter", "system"]
    phases: Literal[1, 3]
    word_order: WordOrder
    # the largest count of registers known to be safe in one request
    max_read: Annotated[int, Meta(ge=1, le=READ_REGISTERS_MAX)]
    # what a positive active power means to the meter; to us it is drawn from the grid
    sign: Literal["import_positive", "generation_positive"]
    # the maker's document first, then independent implementations
    sources: Annotated[list[Text], Meta(min_length=1)]
    # high = two independent sources agree, medium = one good source, low = check before use
    confidence: Confidence
    registers: Annotated[dict[str, Any], Meta(min_length=1)]
    transport: list[Literal["rtu", "rtu_over_tcp", "tcp"]] = []
    serial_defaults: SerialDefaults | None = None
    serial_notes: str = ""
    tcp_defaults: TcpDefaults | None = None
    byte_swapped_text: bool = False
    quirks: list[Text] = []
    identify: list[Identity] = []
    # raw sentinels per type; 64 bits and f32 as text, because TOML cannot write them
    invalid: dict[RegisterType, list[int | str]] = {}


class RegisterEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One register as it is written; `raw * scale` is in `unit`."""

    address: Address
    function: Literal[3, 4]
    type: RegisterType
    scale: Annotated[float, Meta(ge=1e-9, le=1e6)]
    unit: str
    note: str = ""
    confidence: Confidence | None = None


def read_map_file(text: str, where: str) -> MapFile:
    """The keys of the map in `text`; `where` names the file in errors.

    Raises:
        SettingError: not TOML, an unknown or missing key, a value out of range.
    """
    if len(text) > _MAP_CHARACTERS_MAX:
        raise SettingError(where, f"{len(text)} characters", f"is more than {_MAP_CHARACTERS_MAX}", "shorten it")
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5000 digits
        raise SettingError(where, "text", f"is not TOML: {error}", "correct that line") from error
    return convert(tree, MapFile, where)


def convert(tree: object, kind: type[T], where: str) -> T:
    """`tree` as `kind`.

    Raises:
        SettingError: it does not fit; names the key.
    """
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at ")
        path = place.rpartition("$")[2].strip("`.")
        next_step = "correct it"
        if " field `" in problem:
            path = f"{path}.{problem.split('`')[1]}".strip(".")
            problem = "is missing" if "missing" in problem else "is not a key of a map"
            next_step = "add it" if problem == "is missing" else "remove it or mind its spelling"
        field = f"{where}: {path}" if path else where
        raise SettingError(field, _value_at(tree, path), problem.lower(), next_step) from error


def _value_at(tree: object, path: str) -> str:
    for part in filter(None, path.split(".")):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return shown(tree)


def shown(value: object) -> str:
    """The value for an error message: one line of bounded length."""
    return repr(value)[:_SHOWN_CHARACTERS_MAX]
