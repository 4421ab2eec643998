"""Which meter it is, how sure that is, and why. Pure.

Two kinds of evidence: what a device says of itself (codes and names), and what its registers look like
when they are read as a profile says. Both are weighed in bits: how improbable they are by chance. A
profile is named without a doubt only when the device itself said so and nothing speaks for another.
"""

from collections.abc import Sequence
from enum import StrEnum
from math import log2

import msgspec

from firmware_bridge.identity import Recognition
from firmware_bridge.map_file import Confidence, Protocol, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.examination import Examination
from firmware_bridge.probe.vital_signs import VitalSigns
from firmware_bridge.profile import Profile


class Sureness(StrEnum):
    """How sure a conclusion is."""

    # the device said so itself, and its values agree
    CERTAIN = "certain"
    # it fits this profile far better than any other
    LIKELY = "likely"
    # it may as well be another; which ones is said
    UNSURE = "unsure"
    # it answers, but like no profile we have
    UNKNOWN = "unknown"


# What a name is worth: a table that two independent sources agree on, one good source, a guess.
_NAME_BITS: dict[Confidence, float] = {"high": 24.0, "medium": 12.0, "low": 4.0}
# A register that holds the unit id that was asked; most registers hold small numbers, most units are 1.
_UNIT_BITS, _UNIT_1_BITS = 8.0, 4.0
# The marker at the head of a chain has 32 bits, and the model stood in the chain.
_SUNSPEC_BITS = 24.0
# A group of registers that is there, where most others of the same device are not.
_THERE_BITS_MAX = 4.0
# A register that the device says it does not have, though the profile does.
_LACKING_BITS = -4.0
# Without a name: two floats that are what they should be, or four whole numbers.
LIKELY_BITS = 16.0
# With one: a value that agrees. A code may be met by chance, and a device may say more than it is.
CERTAIN_SIGNS_BITS = 4.0
# Less than this is met in any registers: one in sixteen devices would be taken for another.
POSSIBLE_BITS = 4.0
# Who comes as near to the best as one value can, cannot be told from it.
LEAD_BITS = 8.0


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How well one profile fits."""

    profile: Profile
    recognition: Recognition
    signs: VitalSigns
    # how much it says that registers of this profile are there at all
    there_bits: float
    lacking: int
    is_sunspec: bool
    unit: int

    @property
    def name_bits(self) -> float:
        """How much the device's own words speak for it."""
        confidence = self.recognition.confidence
        named = _NAME_BITS[confidence] if confidence is not None else 0.0
        if self.recognition.model is None:
            named = min(named, _UNIT_1_BITS if self.unit == 1 else _UNIT_BITS)
        return named + (_SUNSPEC_BITS if self.is_sunspec else 0.0)

    @property
    def bits(self) -> float:
        """How much all evidence speaks for it."""
        return self.name_bits + self.signs.bits + self.there_bits + _LACKING_BITS * self.lacking

    @property
    def is_possible(self) -> bool:
        """Whether it may be the one at all."""
        is_nonsense = Measurand.FREQUENCY_HZ in self.signs.implausible and not self.is_named
        return not (self.recognition.is_refuted or is_nonsense) and self.bits >= POSSIBLE_BITS

    @property
    def is_named(self) -> bool:
        """Whether the device itself said so, in a way that two sources agree on."""
        return self.is_sunspec or (self.recognition.confidence == "high" and self.recognition.model is not None)

    @property
    def is_swapped(self) -> bool:
        """Whether its words come in the other order than the profile says."""
        return self.signs.bits > 0 and self.signs.word_order != self.profile.file.word_order

    @property
    def is_phase_count_right(self) -> bool:
        """Whether as many phases are under voltage as the profile has; a hint where nothing else helps."""
        return len(self.signs.volts) == self.profile.file.phases


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """What the probe says of one device that answers."""

    wire: Wire
    unit: int
    sureness: Sureness
    # of the profile that is named or assumed; None when unknown
    profile: str | None
    model: str | None
    serial_number: str | None
    # sentences
    reasons: tuple[str, ...]
    # other profiles that fit as well
    rivals: tuple[str, ...] = ()
    # its words come in the other order than the profile says
    is_swapped: bool = False
    # what it speaks; "modbus" is asked, the others send by themselves
    protocol: Protocol = "modbus"
    # the device answers at these settings too
    also_at: tuple[Wire, ...] = ()


def conclude(examination: Examination) -> Conclusion:
    """What all that one device said comes to."""
    fits = [_fit(examination, profile) for profile in examination.profiles.values()]
    possible = sorted(
        (one for one in fits if one.is_possible),
        key=lambda one: (-one.bits, not one.is_phase_count_right, one.profile.name),
    )
    if not possible:
        return _unknown(examination)
    near = [one for one in possible if one.bits > possible[0].bits - LEAD_BITS]
    best = min(near, key=lambda one: (-one.name_bits, not one.is_phase_count_right, near.index(one)))
    rivals = [one for one in near if one is not best]
    reasons = [*_evidence(best), *_doubts(best, rivals)]
    return Conclusion(
        wire=examination.wire,
        unit=examination.unit,
        sureness=_sureness(best, rivals),
        profile=best.profile.name,
        model=best.recognition.model or (best.profile.file.models[0] if len(best.profile.file.models) == 1 else None),
        serial_number=best.recognition.serial_number,
        reasons=tuple(reasons),
        rivals=tuple(one.profile.name for one in rivals),
        is_swapped=best.is_swapped,
    )


def conclude_all(examinations: Sequence[Examination]) -> list[Conclusion]:
    """One conclusion for each device; one that answered at several settings is told once."""
    conclusions: list[Conclusion] = []
    for examination in examinations:
        new = conclude(examination)
        twin = next((place for place, one in enumerate(conclusions) if _is_same(one, new)), None)
        if twin is None:
            conclusions.append(new)
        else:
            known = conclusions[twin]
            conclusions[twin] = msgspec.structs.replace(known, also_at=(*known.also_at, new.wire))
    return conclusions


def _fit(examination: Examination, profile: Profile) -> Fit:
    there_bits = min(_THERE_BITS_MAX, -log2(examination.answers.share_answered))
    return Fit(
        profile=profile,
        recognition=examination.recognition(profile),
        signs=examination.signs(profile),
        there_bits=there_bits * examination.groups_there(profile),
        lacking=len(examination.lacks(profile)),
        is_sunspec=profile.file.sunspec is not None,
        unit=examination.unit,
    )


def _sureness(best: Fit, rivals: Sequence[Fit]) -> Sureness:
    if rivals or not (best.signs.plausible or best.is_sunspec):
        return Sureness.UNSURE
    is_agreed = best.signs.bits >= (0.0 if best.is_sunspec else CERTAIN_SIGNS_BITS)
    if best.is_named and is_agreed and not best.signs.implausible:
        return Sureness.CERTAIN
    return Sureness.LIKELY if best.bits >= LIKELY_BITS else Sureness.UNSURE


def _evidence(best: Fit) -> list[str]:
    reasons = list(best.recognition.reasons)
    if best.is_sunspec:
        reasons.append("it carries the mark of SunSpec, and this model in its chain")
    if said := _values_said(best.signs):
        reasons.append(f"read as {best.profile.name}, it shows {said}")
    if best.signs.implausible:
        wrong = ", ".join(f"{measurand} = {value:g}" for measurand, value in best.signs.implausible.items())
        reasons.append(f"but implausible: {wrong}")
    if best.is_swapped:
        reasons.append(_swapped_sentence(best))
    if best.lacking:
        reasons.append(f"it lacks {best.lacking} of the registers that were looked at")
    return reasons


def _doubts(best: Fit, rivals: Sequence[Fit]) -> list[str]:
    if not rivals:
        if not best.signs.plausible:
            return ["it shows no values that tell anything at the moment"]
        if best.is_named:
            return []
        if best.bits >= LIKELY_BITS:
            return [
                "no other profile fits nearly as well, but it does not say its name in a way that is beyond doubt"
            ]
        return ["few of its values tell anything: compare them with its display"]
    names = " or ".join([best.profile.name, *(one.profile.name for one in rivals)])
    if best.name_bits > max(one.name_bits for one in rivals):
        why = "what it says of itself speaks for it"
    elif best.is_phase_count_right and not all(one.is_phase_count_right for one in rivals):
        why = f"it has {_count(len(best.signs.volts), 'phase')} under voltage"
    elif best.bits > max(one.bits for one in rivals):
        why = "a little more of it fits"
    else:
        why = "it comes first in the alphabet, which means nothing"
    return [
        f"either {names}: they cannot be told apart by what it answers; {best.profile.name} is assumed because {why}"
    ]


def _unknown(examination: Examination) -> Conclusion:
    said = [f"it calls itself {' '.join(examination.texts.values())!r}"] if examination.texts else []
    return Conclusion(
        wire=examination.wire,
        unit=examination.unit,
        sureness=Sureness.UNKNOWN,
        profile=None,
        model=None,
        serial_number=None,
        reasons=(
            *said,
            "it answers Modbus, but like none of our profiles",
            "make one from its maker's document: smartwatts-provision profile new",
        ),
    )


def _values_said(signs: VitalSigns) -> str:
    parts = []
    if signs.frequency_hz is not None:
        parts.append(f"{signs.frequency_hz:.4g} Hz")
    if volts := signs.volts:
        parts.append(f"{_count(len(volts), 'phase')} of {' / '.join(f'{one:.4g}' for one in volts)} V")
    if (power_w := signs.plausible.get(Measurand.ACTIVE_POWER_W)) is not None:
        parts.append(f"{power_w:.4g} W")
    if not parts:
        parts = [f"{measurand} = {value:.4g}" for measurand, value in signs.plausible.items()]
    return ", ".join(parts)


def _swapped_sentence(best: Fit) -> str:
    order = "low" if best.signs.word_order is WordOrder.LOW_FIRST else "high"
    return (
        f"it answers {order} word first: the meter was set to swapped words, set it back to what its maker delivers "
        f'or copy the profile with word_order = "{best.signs.word_order}"'
    )


def _is_same(one: Conclusion, other: Conclusion) -> bool:
    return (one.unit, one.profile, one.serial_number) == (other.unit, other.profile, other.serial_number)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
