"""Raw values that mean "no value", from how a map writes them. Pure."""

import struct

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import RegisterType
from firmware_bridge.settings import shown


def sentinels_of(kind: RegisterType, raws: list[int | str], where: str) -> tuple[float, ...]:
    """The raw values that mean "no value", as the decoder sees them; `where` names the file in errors.

    Raises:
        SettingError: one is no raw value of this type.
    """
    at = f"{where}: invalid.{kind}"
    values = []
    for raw in raws:
        try:
            values.append(_float_sentinel(raw) if kind is RegisterType.F32 else whole_sentinel(kind, raw))
        except (ValueError, OverflowError) as error:
            raise SettingError(
                at,
                shown(raw),
                f"is not a raw value of {kind.bits} bits",
                "write its bits, 0x7FFFFFFF, or for f32 also a number",
            ) from error
    return tuple(values)


def whole_sentinel(kind: RegisterType, raw: int | str) -> int:
    """The raw value with these bits.

    Raises:
        ValueError: it has more of them, or is no number.
    """
    bits = int(raw, 0) if isinstance(raw, str) else raw
    if not 0 <= bits < 1 << kind.bits:
        raise ValueError(raw)
    return bits - (1 << kind.bits) if kind.is_signed and bits >> (kind.bits - 1) else bits


def _float_sentinel(raw: int | str) -> float:
    """From bits (0x7F800000) or a number ("-1", "NaN"); rounded to f32, as the meter would send it."""
    is_bits = isinstance(raw, int) or raw.lower().startswith("0x")
    packed = whole_sentinel(RegisterType.U32, raw).to_bytes(4, "big") if is_bits else struct.pack(">f", float(raw))
    value: float = struct.unpack(">f", packed)[0]
    return value
