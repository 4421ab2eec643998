"""Whether registers, read as one profile says, look like a device in service. Pure.

A mains frequency is between 45 and 65 Hz, a phase has 80 to 300 V: what decodes to such values in one
word order and not in the other tells the order, and each such value is evidence for the profile, as
much as it is improbable by chance.
"""

import struct
from collections.abc import Callable, Sequence
from math import log2

import msgspec

from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile, Register
from firmware_bridge.registers import decode

# Where a device in service is. A profile whose values lie elsewhere is not this device's.
FREQUENCY_HZ = (45.0, 65.0)
# From 100 V grids in brown-out to 277 V phases in excess; nothing else of a home lies there.
VOLTAGE_V = (80.0, 300.0)
# The largest sites behind one meter, from where nearly every random float lies away.
POWER_W = (-400_000.0, 400_000.0)
BATTERY_VOLTAGE_V = (10.0, 1000.0)
TEMPERATURE_C = (-40.0, 100.0)
# One value may be met by chance however improbable its bits: registers are not random.
BITS_PER_VALUE_MAX = 8.0
# Below this a float that is not 0 is no measurement but integers read as a float.
_SMALLEST = 1e-6

_F32_BITS, _F32_SIGN = 1 << 32, 1 << 31

_VOLTAGES = (Measurand.VOLTAGE_V, Measurand.VOLTAGE_L1_V, Measurand.VOLTAGE_L2_V, Measurand.VOLTAGE_L3_V)
_POWERS = (
    Measurand.ACTIVE_POWER_W,
    Measurand.ACTIVE_POWER_L1_W,
    Measurand.ACTIVE_POWER_L2_W,
    Measurand.ACTIVE_POWER_L3_W,
)
_EXPECTED = {
    Measurand.FREQUENCY_HZ: FREQUENCY_HZ,
    **dict.fromkeys(_VOLTAGES, VOLTAGE_V),
    **dict.fromkeys(_POWERS, POWER_W),
    Measurand.PV_POWER_W: POWER_W,
    Measurand.DC_POWER_W: POWER_W,
    Measurand.BATTERY_VOLTAGE_V: BATTERY_VOLTAGE_V,
    Measurand.STATE_OF_CHARGE: (0.0, 1.0),
    Measurand.TEMPERATURE_C: TEMPERATURE_C,
    Measurand.RELATIVE_HUMIDITY: (0.0, 1.0),
}
# What is read first: where a profile is wrong, it is wrong here already.
GROUPS = (
    frozenset({Measurand.FREQUENCY_HZ}),
    frozenset(_VOLTAGES),
    frozenset(_EXPECTED) - {Measurand.FREQUENCY_HZ, *_VOLTAGES},
)


class VitalSigns(msgspec.Struct, frozen=True, kw_only=True):
    """What the registers of one profile say when they are read in one word order."""

    word_order: WordOrder
    # measurand -> value, in SI units
    plausible: dict[Measurand, float]
    implausible: dict[Measurand, float]
    # "no value", or exactly 0: a phase or a grid that is out, or a register that means nothing
    blank: tuple[Measurand, ...]
    # how improbable it is to meet the plausible ones by chance, less what the implausible ones take away
    bits: float

    @property
    def frequency_hz(self) -> float | None:
        """The mains frequency, where it is one."""
        return self.plausible.get(Measurand.FREQUENCY_HZ)

    @property
    def volts(self) -> list[float]:
        """The phases that are under voltage; of a meter that tells no phases apart, its one voltage."""
        phases = [self.plausible[one] for one in _VOLTAGES[1:] if one in self.plausible]
        return phases or [self.plausible[one] for one in _VOLTAGES[:1] if one in self.plausible]


def vital_registers(profile: Profile) -> list[list[Register]]:
    """The registers to look at, group by group; at least one where the profile has any we know."""
    return [[one for one in profile.registers if one.measurand in group] for group in GROUPS]


# The words from register.start to register.end, or None where they did not come.
WordsOf = Callable[[Register], Sequence[int] | None]


def vital_signs(registers: Sequence[Register], words_of: WordsOf, word_order: WordOrder) -> VitalSigns:
    """What those of `registers` that came say, read in `word_order`."""
    plausible: dict[Measurand, float] = {}
    implausible: dict[Measurand, float] = {}
    blank: list[Measurand] = []
    bits = 0.0
    for register in registers:
        words = words_of(register)
        if words is None:
            continue
        value = decode(msgspec.structs.replace(register, word_order=word_order), words)
        if value is None or value == 0:
            blank.append(register.measurand)
        elif _is_plausible(register.measurand, value):
            plausible[register.measurand] = value
            bits += evidence_bits(register)
        else:
            implausible[register.measurand] = value
            bits -= BITS_PER_VALUE_MAX
    return VitalSigns(
        word_order=word_order, plausible=plausible, implausible=implausible, blank=tuple(blank), bits=bits
    )


def evidence_bits(register: Register) -> float:
    """How improbable a plausible value in this register is by chance: the negative logarithm to base 2.

    Chance is taken to know no scale: a number between 1 and 10 is as probable as one between 10 and 100
    (Benford), for that is how registers are filled whose meaning is not known.
    """
    low, high = sorted(bound * register.denominator / register.numerator for bound in _EXPECTED[register.measurand])
    if register.type is RegisterType.F32:
        share = (_float_place(high) - _float_place(low)) / _F32_BITS
    else:
        magnitudes = register.type.bits - register.type.is_signed
        share = _octaves(low, high) / magnitudes / (2 if register.type.is_signed else 1)
    return -log2(min(1.0, max(share, 2**-BITS_PER_VALUE_MAX)))


def _octaves(low: float, high: float) -> float:
    """Doublings between two raw values, on both sides of 0 where they lie there."""
    if low < 0 < high:
        return _octaves(0, -low) + _octaves(0, high)
    return abs(log2(max(abs(high), 1.0)) - log2(max(abs(low), 1.0)))


def _is_plausible(measurand: Measurand, value: float) -> bool:
    low, high = _EXPECTED[measurand]
    return low <= value <= high and abs(value) >= _SMALLEST


def _float_place(value: float) -> int:
    """The place of a float among all floats in order, so that shares of them can be counted."""
    bits: int = struct.unpack(">I", struct.pack(">f", value))[0]
    return _F32_SIGN - bits if bits >= _F32_SIGN else bits
