"""What a meter on three phases shows for a given power: volts, amperes, factors, all consistent. Pure."""

from math import hypot, sqrt
from typing import NamedTuple

from firmware_bridge.measurand import Measurand

# A meter shows this factor when nothing flows.
_IDLE_FACTOR = 1.0
_RIGHT = float(Measurand.PHASE_SEQUENCE.facts.choices.index("right"))


class Mains(NamedTuple):
    """The grid at the meter's terminals; all 0 while it is out."""

    volts: tuple[float, float, float]
    hertz: float


class Split(NamedTuple):
    """How a load lies on the phases."""

    shares: tuple[float, float, float]  # sum up to 1
    power_factors: tuple[float, float, float]  # magnitudes


def three_phase(power_w: float, mains: Mains, split: Split) -> dict[Measurand, float]:
    """All momentary measurands, SI; power is positive when drawn, currents are magnitudes."""
    powers = [power_w * share for share in split.shares]
    apparent = [abs(watts) / factor for watts, factor in zip(powers, split.power_factors, strict=True)]
    amperes = [va / volt if volt else 0.0 for va, volt in zip(apparent, mains.volts, strict=True)]
    reactive = sum(sqrt(max(va * va - watts * watts, 0.0)) for va, watts in zip(apparent, powers, strict=True))
    total_va = hypot(power_w, reactive)
    v1, v2, v3 = mains.volts
    return {
        Measurand.ACTIVE_POWER_W: power_w,
        Measurand.ACTIVE_POWER_L1_W: powers[0],
        Measurand.ACTIVE_POWER_L2_W: powers[1],
        Measurand.ACTIVE_POWER_L3_W: powers[2],
        Measurand.REACTIVE_POWER_VAR: reactive,
        Measurand.APPARENT_POWER_VA: total_va,
        Measurand.POWER_FACTOR: _factor(power_w, total_va),
        Measurand.POWER_FACTOR_L1: _factor(powers[0], apparent[0]),
        Measurand.VOLTAGE_V: v1,
        Measurand.VOLTAGE_L1_V: v1,
        Measurand.VOLTAGE_L2_V: v2,
        Measurand.VOLTAGE_L3_V: v3,
        Measurand.CURRENT_A: total_va / v1 if v1 else 0.0,
        Measurand.CURRENT_L1_A: amperes[0],
        Measurand.CURRENT_L2_A: amperes[1],
        Measurand.CURRENT_L3_A: amperes[2],
        Measurand.FREQUENCY_HZ: mains.hertz,
        Measurand.PHASE_SEQUENCE: _RIGHT,
    }


def _factor(watts: float, va: float) -> float:
    return watts / va if va else _IDLE_FACTOR
