"""Which meter is it? What its identity registers and its device identification say of it. Pure.

The words of an answer come from outside: any list of them is a text, a code, or nothing. Whoever asks
learns where to read from `question`; whoever was answered gives everything to `recognise`.
"""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_letters, digits, punctuation

import msgspec

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import Confidence, Identity, MapFile, WordOrder
from firmware_bridge.profile import Profile
from firmware_bridge.read_limits import ADDRESSES
from firmware_bridge.settings import shown

# The entry with this name tells one meter from another of its kind.
SERIAL_NUMBER = "serial_number"
# An entry with this name and no known values gives the model as the meter writes it.
MODEL = "model"
# Function 43, Read Device Identification; Modbus Application Protocol V1.1b3, 6.21: vendor, product, revision.
READ_DEVICE_IDENTIFICATION = 43
_BASIC_OBJECTS = (0, 1, 2)
# What is shown of a text; those of our maps have 40 characters at most.
_TEXT_CHARACTERS_MAX = 64
_PRINTABLE = frozenset(ascii_letters + digits + punctuation + " ")
# What makers fill up a text with, and what flash memory holds before anything was written to it.
_FILLING = b"\x00 \xff"
_CODE_BITS = {"u16": 16, "u32": 32}
_LEVELS: dict[Confidence, int] = {"low": 1, "medium": 2, "high": 3}


class Recognition(msgspec.Struct, frozen=True):
    """What the answers to a profile's identity entries say.

    `confidence` is None where nothing speaks for the profile, and where `is_refuted`: an answer that is
    sure of itself speaks against it. `reasons` are sentences for a person, one for each answer that said something.
    """

    model: str | None
    serial_number: str | None
    confidence: Confidence | None
    reasons: tuple[str, ...]
    is_refuted: bool = False


class _Finding(msgspec.Struct, frozen=True):
    """What one entry says: a model, a contradiction (`is_against`), or only something to tell."""

    reason: str
    model: str | None = None
    # how strongly it speaks for the profile
    confidence: Confidence | None = None
    is_against: bool = False
    # the maker's own words for the model go before ours for a code
    is_own_words: bool = False


def question(identity: Identity, shift: int = 0) -> tuple[int, int, int] | None:
    """Function, first address and count to read for this entry; None where it lies in no registers.

    In a SunSpec profile, addresses are those of a chain that begins at the first of `bases`: `shift` is
    how far from there it begins in this device. An entry is read alone and as it stands: `even` is not
    minded, because makers give single registers of this kind.
    """
    if identity.address is None or identity.type is None or identity.function not in (3, 4):
        return None
    count = identity.registers or _CODE_BITS.get(identity.type, 16) // 16
    return identity.function, identity.address + shift, count


def recognise(
    profile: Profile,
    words: Mapping[str, Sequence[int]],
    *,
    objects: Mapping[int, str] | None = None,
    unit: int | None = None,
) -> Recognition:
    """What a device that may be of this profile says of itself.

    Args:
        profile: whose entries were asked.
        words: name of an entry -> the registers that came; entries that were refused are left out.
        objects: number -> text of Read Device Identification.
        unit: the Modbus unit that was asked.
    """
    serial_number, findings = None, []
    for identity in profile.file.identify:
        answer = _answer(identity, words.get(identity.name), objects or {}, profile.file)
        if answer is None:
            continue
        if identity.name == SERIAL_NUMBER:
            serial_number = _serial_number(answer) or serial_number
        else:
            findings.append(_finding(identity, answer, unit))
    supporting = [finding for finding in findings if finding.confidence is not None]
    supporting.sort(key=lambda finding: -_LEVELS[finding.confidence or "low"])
    if is_refuted := any(finding.is_against for finding in findings):
        supporting = []
    by_words = sorted(supporting, key=lambda finding: not finding.is_own_words)
    return Recognition(
        model=next((finding.model for finding in by_words if finding.model), None),
        serial_number=serial_number,
        confidence=supporting[0].confidence if supporting else None,
        reasons=tuple(finding.reason for finding in findings),
        is_refuted=is_refuted,
    )


def text_of(words: Sequence[int], *, is_byte_swapped: bool = False) -> str | None:
    """The text in registers, two characters each or one; None where they hold none.

    It ends at the first NUL, spaces around it go; anything unprintable makes it no text at all, because
    half a serial number is a wrong one.
    """
    packed = b"".join((word & 0xFFFF).to_bytes(2, "little" if is_byte_swapped else "big") for word in words)
    high, low = packed[::2], packed[1::2]
    if len(words) > 1 and not (any(high) and any(low)):
        packed = high if any(high) else low
    text = packed.partition(b"\x00")[0].strip(_FILLING).decode("latin-1")
    return text if text and _PRINTABLE.issuperset(text) else None


def code_of(words: Sequence[int], order: WordOrder) -> int:
    """The unsigned number in registers."""
    high_first = words if order is WordOrder.HIGH_FIRST else reversed(words)
    return int.from_bytes(b"".join((word & 0xFFFF).to_bytes(2, "big") for word in high_first), "big")


def check(identity: Identity, file: MapFile, at: str) -> None:
    """Refuse an entry that cannot be asked or understood; `at` names it in errors.

    Raises:
        SettingError: its keys do not fit together.
    """
    if file.protocol == "modbus" and identity.function is None:
        raise SettingError(f"{at}.function", "(missing)", "is needed", "add it: 3, 4 or 43")
    if identity.function in (3, 4):
        _check_place(identity, file, at)
    else:
        for key in ("address", "type", "registers"):
            if (value := getattr(identity, key)) is not None:
                raise SettingError(f"{at}.{key}", shown(value), "goes with function 3 or 4", "remove it")
    if identity.type == "str" or identity.function == READ_DEVICE_IDENTIFICATION:
        _check_text(identity, at)
    else:
        _check_code(identity, at)


def _check_place(identity: Identity, file: MapFile, at: str) -> None:
    if identity.address is None or identity.type is None:
        key = "address" if identity.address is None else "type"
        raise SettingError(f"{at}.{key}", "(missing)", "is needed with function 3 or 4", "add it")
    is_text = identity.type == "str"
    if is_text != (identity.registers is not None):
        raise SettingError(
            f"{at}.registers",
            shown(identity.registers),
            "is the length of a text, and of nothing else",
            "add it" if is_text else "remove it",
        )
    _, address, count = question(identity) or (0, 0, 0)
    if address + count > ADDRESSES:
        raise SettingError(f"{at}.address", hex(address), "leaves no room below 0x10000", "correct the address")
    if count > file.max_read:
        raise SettingError(f"{at}.registers", str(count), f"does not fit max_read = {file.max_read}", "shorten it")


def _check_text(identity: Identity, at: str) -> None:
    if identity.ranges or identity.is_unit:
        key = "ranges" if identity.ranges else "is_unit"
        raise SettingError(f"{at}.{key}", shown(getattr(identity, key)), "goes with a code", "use contains or values")
    for part in identity.contains:
        if part != part.lower() or not part.strip():
            raise SettingError(f"{at}.contains", shown(part), "is compared in small letters", "write small letters")


def _check_code(identity: Identity, at: str) -> None:
    if identity.contains:
        raise SettingError(f"{at}.contains", shown(identity.contains), "goes with a text", "use values or ranges")
    bits = _CODE_BITS.get(identity.type or "u16", 16)
    for raw in identity.values:
        if _number(raw) not in range(1 << bits):
            raise SettingError(f"{at}.values", shown(raw), f"is no code of {bits} bits", "write 341 or 0x0155")
    for family in identity.ranges:
        if not family.first <= family.last < 1 << bits:
            value = f"{family.first}..{family.last}"
            raise SettingError(f"{at}.ranges", value, f"is no range of codes of {bits} bits", "mind first and last")


def _number(raw: str) -> int | None:
    try:
        return int(raw, 0)
    except ValueError:
        return None


def _answer(
    identity: Identity, words: Sequence[int] | None, objects: Mapping[int, str], file: MapFile
) -> str | int | None:
    """What came for this entry, as a text or a code; None when nothing usable did."""
    if identity.function == READ_DEVICE_IDENTIFICATION:
        return _joined(objects.get(number, "") for number in _BASIC_OBJECTS)
    place = question(identity)
    if place is None or words is None or len(words) != place[2]:
        return None
    if identity.type == "str":
        return text_of(words, is_byte_swapped=file.byte_swapped_text)
    return code_of(words, file.word_order)


def _joined(texts: Iterable[str]) -> str | None:
    parts = ("".join(one for one in text[:_TEXT_CHARACTERS_MAX] if one in _PRINTABLE).strip() for text in texts)
    return " ".join(part for part in parts if part) or None


def _serial_number(answer: str | int) -> str | None:
    """As text; None for what memory holds before a number was written: all bits, or one digit repeated."""
    text = str(answer)
    is_blank = answer in (0xFFFF, 0xFFFFFFFF) or len(set(text)) == 1
    return None if is_blank else text


def _finding(identity: Identity, answer: str | int, unit: int | None) -> _Finding:
    said = f"{identity.name} reads {shown(answer) if isinstance(answer, str) else f'{answer} ({answer:#x})'}"
    is_sure = identity.confidence == "high"
    if identity.is_unit and unit is not None:
        if answer == unit:
            return _Finding(f"{said}, the unit that was asked", confidence=identity.confidence)
        return _Finding(f"{said}, not the unit that was asked", is_against=is_sure)
    if not (identity.values or identity.ranges or identity.contains):
        is_model = identity.name == MODEL and isinstance(answer, str)
        return _Finding(said, str(answer), "low", is_own_words=True) if is_model else _Finding(said)
    model = _model(identity, answer)
    if model is None:
        # A table of little confidence may just be short.
        return _Finding(f"{said}, which is no model of this profile", is_against=is_sure)
    return _Finding(f"{said}: {model} ({identity.confidence} confidence)", model, identity.confidence)


def _model(identity: Identity, answer: str | int) -> str | None:
    """The model that the entry's tables have for this answer."""
    if isinstance(answer, str):
        small = answer.lower()
        whole = (model for text, model in identity.values.items() if text == answer)
        return next(whole, next((model for part, model in identity.contains.items() if part in small), None))
    known = (model for raw, model in identity.values.items() if _number(raw) == answer)
    return next(known, next((one.model for one in identity.ranges if one.first <= answer <= one.last), None))
