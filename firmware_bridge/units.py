"""Units as makers print them, and what makes an SI value of them. Pure."""

from fractions import Fraction

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand

# unit in the maker's document -> SI unit of ours, how many of ours are in one
_UNITS: dict[str, tuple[str, Fraction]] = {
    "W": ("W", Fraction(1)),
    "kW": ("W", Fraction(1000)),
    "MW": ("W", Fraction(1_000_000)),
    "var": ("var", Fraction(1)),
    "kvar": ("var", Fraction(1000)),
    "VA": ("VA", Fraction(1)),
    "kVA": ("VA", Fraction(1000)),
    "V": ("V", Fraction(1)),
    "mV": ("V", Fraction(1, 1000)),
    "kV": ("V", Fraction(1000)),
    "A": ("A", Fraction(1)),
    "mA": ("A", Fraction(1, 1000)),
    "Hz": ("Hz", Fraction(1)),
    "mHz": ("Hz", Fraction(1, 1000)),
    "Wh": ("Wh", Fraction(1)),
    "kWh": ("Wh", Fraction(1000)),
    "MWh": ("Wh", Fraction(1_000_000)),
    "1": ("1", Fraction(1)),
    "%": ("1", Fraction(1, 100)),
    "ppm": ("1", Fraction(1, 1_000_000)),
    "°C": ("°C", Fraction(1)),
    "lx": ("lx", Fraction(1)),
    "klx": ("lx", Fraction(1000)),
    "W/m²": ("W/m²", Fraction(1)),
    "Pa": ("Pa", Fraction(1)),
    "hPa": ("Pa", Fraction(100)),
    "kPa": ("Pa", Fraction(1000)),
    "bar": ("Pa", Fraction(100_000)),
    "m/s": ("m/s", Fraction(1)),
    "mm/s": ("m/s", Fraction(1, 1000)),
    "m³": ("m³", Fraction(1)),
    "l": ("m³", Fraction(1, 1000)),
    "pulses": ("pulses", Fraction(1)),
}


def factor_of(measurand: Measurand, unit: str, scale: float, where: str) -> Fraction:
    """What `raw` is multiplied by to be in the SI unit of `measurand`; `where` names the entry in errors.

    The scale is the decimal that was written, not its nearest float: 0.1 is one tenth.

    Raises:
        SettingError: the unit is not one of this measurand.
    """
    si_unit, per_unit = _UNITS.get(unit, ("", Fraction(1)))
    if si_unit != measurand.facts.unit:
        fitting = " or ".join(name for name, (si, _) in _UNITS.items() if si == measurand.facts.unit)
        raise SettingError(
            f"{where}.unit", repr(unit), f"does not fit {measurand}", f"use {fitting}, and set scale to match"
        )
    return Fraction(str(scale)) * per_unit


def si_unit_of(unit: str) -> str | None:
    """The SI unit that `unit` is a multiple of; None when we do not know it."""
    return _UNITS[unit][0] if unit in _UNITS else None
