"""What can be measured: name, unit, plausible range and stored resolution of each quantity.

Pure. Names end in their unit; active power is positive when drawn from the grid, battery power when it
charges (passive sign convention, see GLOSSARY.md). `Measurand.code` is written to disk and to the wire:
never reuse one.
"""

from dataclasses import dataclass, replace
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
    ENERGY_IMPORT_L2_WH = "energy_import_l2_wh"
    ENERGY_IMPORT_L3_WH = "energy_import_l3_wh"
    ENERGY_EXPORT_L1_WH = "energy_export_l1_wh"
    PHASE_SEQUENCE = "phase_sequence"
    OPERATING_STATE = "operating_state"
    DC_POWER_W = "dc_power_w"
    PV_POWER_W = "pv_power_w"
    PV1_POWER_W = "pv1_power_w"
    PV2_POWER_W = "pv2_power_w"
    PV_ENERGY_WH = "pv_energy_wh"
    LOAD_POWER_L1_W = "load_power_l1_w"
    BATTERY_POWER_W = "battery_power_w"
    BATTERY_VOLTAGE_V = "battery_voltage_v"
    BATTERY_CURRENT_A = "battery_current_a"
    BATTERY_DISCHARGE_WH = "battery_discharge_wh"
    STATE_OF_CHARGE = "state_of_charge"
    TEMPERATURE_C = "temperature_c"
    RELATIVE_HUMIDITY = "relative_humidity"
    ILLUMINANCE_LX = "illuminance_lx"
    IRRADIANCE_W_PER_M2 = "irradiance_w_per_m2"
    PRESSURE_PA = "pressure_pa"
    VIBRATION_M_PER_S = "vibration_m_per_s"
    GAS_VOLUME_M3 = "gas_volume_m3"
    GAS_CONCENTRATION = "gas_concentration"
    CONTACT = "contact"
    PULSE_COUNT = "pulse_count"

    @property
    def facts(self) -> "MeasurandFacts":
        """Unit, range and resolution of this quantity."""
        return _FACTS[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurandFacts:
    """What is known of a quantity before any meter is read.

    `plausible_low` and `plausible_high` bound what any site of ours can show: a value outside is
    suspect, whatever the meter says. `rate_max_per_s` bounds how fast it can change: a faster step is
    suspect until the next read confirms it; None where any step can be true. A value is stored as a
    whole number of quanta. `choices` are the names of an enumerated value, which is their place.
    """

    code: int
    unit: str
    plausible_low: float
    plausible_high: float
    quanta_per_unit: int
    rate_max_per_s: float | None = None
    is_counter: bool = False
    choices: tuple[str, ...] = ()

    @property
    def resolution(self) -> float:
        """The smallest stored difference, in `unit`."""
        return 1 / self.quanta_per_unit


# SunSpec models 101 to 103, register St, as one list of states for all makers.
OPERATING_STATES = ("off", "sleeping", "starting", "running", "throttled", "stopping", "fault", "standby")


def _power(code: int, unit: str) -> MeasurandFacts:
    # 2 MW is far above any site behind one meter of the sizes we read.
    return MeasurandFacts(code=code, unit=unit, plausible_low=-2e6, plausible_high=2e6, quanta_per_unit=10)


def _voltage(code: int) -> MeasurandFacts:
    # 0 V is a grid that failed, not a fault of the meter; 500 V covers line-to-line readings. A mains
    # voltage moves by a few volts a second; 100 leaves room for a generator that takes over a load.
    return MeasurandFacts(
        code=code, unit="V", plausible_low=0, plausible_high=500, quanta_per_unit=100, rate_max_per_s=100
    )


def _current(code: int) -> MeasurandFacts:
    return MeasurandFacts(code=code, unit="A", plausible_low=-6000, plausible_high=6000, quanta_per_unit=1000)


def _counter(code: int, unit: str, high: float, quanta_per_unit: int = 1) -> MeasurandFacts:
    return MeasurandFacts(
        code=code, unit=unit, plausible_low=0, plausible_high=high, quanta_per_unit=quanta_per_unit, is_counter=True
    )


def _energy(code: int) -> MeasurandFacts:
    # 1 TWh: more than a 2 MW site moves in 50 years.
    return _counter(code, "Wh", 1e12)


def _fraction(code: int, low: float, rate_max_per_s: float | None = None) -> MeasurandFacts:
    return MeasurandFacts(
        code=code,
        unit="1",
        plausible_low=low,
        plausible_high=1,
        quanta_per_unit=10_000,
        rate_max_per_s=rate_max_per_s,
    )


def _choice(code: int, *choices: str) -> MeasurandFacts:
    return MeasurandFacts(
        code=code, unit="1", plausible_low=0, plausible_high=len(choices) - 1, quanta_per_unit=1, choices=choices
    )


def _sensed(
    code: int, unit: str, low: float, high: float, quanta_per_unit: int, rate_max_per_s: float | None = None
) -> MeasurandFacts:
    return MeasurandFacts(
        code=code,
        unit=unit,
        plausible_low=low,
        plausible_high=high,
        quanta_per_unit=quanta_per_unit,
        rate_max_per_s=rate_max_per_s,
    )


_FACTS: dict[Measurand, MeasurandFacts] = {
    Measurand.ACTIVE_POWER_W: _power(1, "W"),
    Measurand.ACTIVE_POWER_L1_W: _power(2, "W"),
    Measurand.ACTIVE_POWER_L2_W: _power(3, "W"),
    Measurand.ACTIVE_POWER_L3_W: _power(4, "W"),
    Measurand.REACTIVE_POWER_VAR: _power(5, "var"),
    Measurand.APPARENT_POWER_VA: _power(6, "VA"),
    Measurand.POWER_FACTOR: _fraction(7, -1),
    Measurand.POWER_FACTOR_L1: _fraction(8, -1),
    Measurand.VOLTAGE_V: _voltage(9),
    Measurand.VOLTAGE_L1_V: _voltage(10),
    Measurand.VOLTAGE_L2_V: _voltage(11),
    Measurand.VOLTAGE_L3_V: _voltage(12),
    Measurand.CURRENT_A: _current(13),
    Measurand.CURRENT_L1_A: _current(14),
    Measurand.CURRENT_L2_A: _current(15),
    Measurand.CURRENT_L3_A: _current(16),
    # 0 Hz goes with 0 V when the grid is out; 70 covers a badly governed generator, which swings by a
    # few hertz when a load comes.
    Measurand.FREQUENCY_HZ: _sensed(17, "Hz", 0, 70, 1000, 5),
    Measurand.ENERGY_IMPORT_WH: _energy(18),
    Measurand.ENERGY_EXPORT_WH: _energy(19),
    Measurand.ENERGY_TOTAL_WH: _energy(20),
    Measurand.ENERGY_IMPORT_L1_WH: _energy(21),
    Measurand.ENERGY_IMPORT_L2_WH: _energy(22),
    Measurand.ENERGY_IMPORT_L3_WH: _energy(23),
    Measurand.ENERGY_EXPORT_L1_WH: _energy(24),
    Measurand.PHASE_SEQUENCE: _choice(25, "reversed", "right"),
    Measurand.OPERATING_STATE: _choice(26, *OPERATING_STATES),
    Measurand.DC_POWER_W: _power(27, "W"),
    Measurand.PV_POWER_W: _power(28, "W"),
    Measurand.PV1_POWER_W: _power(29, "W"),
    Measurand.PV2_POWER_W: _power(30, "W"),
    Measurand.PV_ENERGY_WH: _energy(31),
    Measurand.LOAD_POWER_L1_W: _power(32, "W"),
    Measurand.BATTERY_POWER_W: _power(33, "W"),
    # 1000 V: the highest stacks of high-voltage home batteries.
    Measurand.BATTERY_VOLTAGE_V: replace(_voltage(34), plausible_high=1000),
    Measurand.BATTERY_CURRENT_A: _current(35),
    Measurand.BATTERY_DISCHARGE_WH: _energy(36),
    # 20C, the fastest pack there is, fills in three minutes.
    Measurand.STATE_OF_CHARGE: _fraction(37, 0, 0.01),
    # The coldest air on Earth; the inside of a kiln is no site of ours, that of an inverter is.
    Measurand.TEMPERATURE_C: _sensed(38, "°C", -90, 200, 100, 2),
    Measurand.RELATIVE_HUMIDITY: _fraction(39, 0, 0.2),
    # Full sun is 120,000 lx; a cloud takes most of it in a second.
    Measurand.ILLUMINANCE_LX: _sensed(40, "lx", 0, 200_000, 10),
    # The sun outside the atmosphere is 1361 W/m²; edges of clouds reach 1500 for seconds.
    Measurand.IRRADIANCE_W_PER_M2: _sensed(41, "W/m²", -20, 1600, 10),
    # From a vacuum to hydraulics of 100 MPa; weather moves by some pascals a second, a pump by much more.
    Measurand.PRESSURE_PA: _sensed(42, "Pa", 0, 1e8, 1),
    # Root mean square velocity, ISO 20816; above 0.1 m/s a machine destroys itself.
    Measurand.VIBRATION_M_PER_S: _sensed(43, "m/s", 0, 1, 1_000_000),
    Measurand.GAS_VOLUME_M3: _counter(44, "m³", 1e9, 1000),
    # Volume fraction; ppm times 1e-6.
    Measurand.GAS_CONCENTRATION: _sensed(45, "1", 0, 1, 10_000_000),
    Measurand.CONTACT: _choice(46, "open", "closed"),
    Measurand.PULSE_COUNT: _counter(47, "pulses", 1e12),
}

BY_CODE: dict[int, Measurand] = {facts.code: measurand for measurand, facts in _FACTS.items()}

assert len(BY_CODE) == len(Measurand), "each measurand needs facts and a code of its own"
