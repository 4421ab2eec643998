"""What can be measured: name, unit, plausible range and stored resolution of each quantity.

Pure. Names end in their unit; active power is positive when drawn from the grid (passive sign
convention, see GLOSSARY.md). `Measurand.code` is written to disk and to the wire: never reuse one.
"""

from dataclasses import dataclass
from enum import StrEnum


class Measurand(StrEnum):
    """A quantity with its phase, direction and SI unit."""

    ACTIVE_POWER_W = "active_power_w"
    ACTIVE_POWER_L1_W = "active_power_l1_w"
    ACTIVE_POWER_L2_W = "active_power_l2_w"
    ACTIVE_POWER_L3_W = "active_power_l3_w"
    REACTIVE_POWER_VAR = "reactive_power_var"
    APPARENT_POWER_VA = "apparent_power_va"
    POWER_FACTOR = "power_factor"
    POWER_FACTOR_L1 = "power_factor_l1"
    VOLTAGE_V = "voltage_v"
    VOLTAGE_L1_V = "voltage_l1_v"
    VOLTAGE_L2_V = "voltage_l2_v"
    VOLTAGE_L3_V = "voltage_l3_v"
    CURRENT_A = "current_a"
    CURRENT_L1_A = "current_l1_a"
    CURRENT_L2_A = "current_l2_a"
    CURRENT_L3_A = "current_l3_a"
    FREQUENCY_HZ = "frequency_hz"
    ENERGY_IMPORT_WH = "energy_import_wh"
    ENERGY_EXPORT_WH = "energy_export_wh"
    ENERGY_TOTAL_WH = "energy_total_wh"
    ENERGY_IMPORT_L1_WH = "energy_import_l1_wh"

    @property
    def facts(self) -> "MeasurandFacts":
        """Unit, range and resolution of this quantity."""
        return _FACTS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurandFacts:
    """What is known of a quantity before any meter is read.

    `plausible_low` and `plausible_high` bound what any site of ours can show: a value outside is
    suspect, whatever the meter says. A value is stored as a whole number of quanta.
    """

    code: int
    unit: str
    plausible_low: float
    plausible_high: float
    quanta_per_unit: int
    is_counter: bool = False

    @property
    def resolution(self) -> float:
        """The smallest stored difference, in `unit`."""
        return 1 / self.quanta_per_unit


def _power(code: int, unit: str) -> MeasurandFacts:
    # 2 MW is far above any site behind one meter of the sizes we read.
    return MeasurandFacts(code=code, unit=unit, plausible_low=-2e6, plausible_high=2e6, quanta_per_unit=10)


def _voltage(code: int) -> MeasurandFacts:
    # 0 V is a grid that failed, not a fault of the meter; 500 V covers line-to-line readings.
    return MeasurandFacts(code=code, unit="V", plausible_low=0, plausible_high=500, quanta_per_unit=100)


def _current(code: int) -> MeasurandFacts:
    return MeasurandFacts(code=code, unit="A", plausible_low=-6000, plausible_high=6000, quanta_per_unit=1000)


def _energy(code: int) -> MeasurandFacts:
    # 1 TWh: more than a 2 MW site moves in 50 years.
    return MeasurandFacts(
        code=code, unit="Wh", plausible_low=0, plausible_high=1e12, quanta_per_unit=1, is_counter=True
    )


def _factor(code: int) -> MeasurandFacts:
    return MeasurandFacts(code=code, unit="1", plausible_low=-1, plausible_high=1, quanta_per_unit=10_000)


_FACTS: dict[Measurand, MeasurandFacts] = {
    Measurand.ACTIVE_POWER_W: _power(1, "W"),
    Measurand.ACTIVE_POWER_L1_W: _power(2, "W"),
    Measurand.ACTIVE_POWER_L2_W: _power(3, "W"),
    Measurand.ACTIVE_POWER_L3_W: _power(4, "W"),
    Measurand.REACTIVE_POWER_VAR: _power(5, "var"),
    Measurand.APPARENT_POWER_VA: _power(6, "VA"),
    Measurand.POWER_FACTOR: _factor(7),
    Measurand.POWER_FACTOR_L1: _factor(8),
    Measurand.VOLTAGE_V: _voltage(9),
    Measurand.VOLTAGE_L1_V: _voltage(10),
    Measurand.VOLTAGE_L2_V: _voltage(11),
    Measurand.VOLTAGE_L3_V: _voltage(12),
    Measurand.CURRENT_A: _current(13),
    Measurand.CURRENT_L1_A: _current(14),
    Measurand.CURRENT_L2_A: _current(15),
    Measurand.CURRENT_L3_A: _current(16),
    # 0 Hz goes with 0 V when the grid is out; 70 covers a badly governed generator.
    Measurand.FREQUENCY_HZ: MeasurandFacts(
        code=17, unit="Hz", plausible_low=0, plausible_high=70, quanta_per_unit=1000
    ),
    Measurand.ENERGY_IMPORT_WH: _energy(18),
    Measurand.ENERGY_EXPORT_WH: _energy(19),
    Measurand.ENERGY_TOTAL_WH: _energy(20),
    Measurand.ENERGY_IMPORT_L1_WH: _energy(21),
}

BY_CODE: dict[int, Measurand] = {facts.code: measurand for measurand, facts in _FACTS.items()}

assert len(BY_CODE) == len(Measurand), "each measurand needs facts and a code of its own"
