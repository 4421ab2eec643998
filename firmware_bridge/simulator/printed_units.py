"""Units as makers print them, in those of ours; the simulator's own table. Pure."""

from firmware_bridge.measurand import Measurand

# What one of a unit is in the measurand's SI unit: with a prefix, or by a name of its own.
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "m": 1e-3}
_NAMED = {("%", "1"): 1e-2, ("ppm", "1"): 1e-6, ("hPa", "Pa"): 100.0, ("bar", "Pa"): 1e5, ("l", "m³"): 1e-3}


def si_per_unit(measurand: Measurand, unit: str) -> float:
    """What one of `unit` is in the SI unit of `measurand`; ValueError or KeyError when it is none of its units."""
    si_unit = measurand.facts.unit
    if (unit, si_unit) in _NAMED:
        return _NAMED[unit, si_unit]
    if not unit.endswith(si_unit):
        raise ValueError(f"unit of {measurand}")
    return _PREFIXES[unit.removesuffix(si_unit)]
