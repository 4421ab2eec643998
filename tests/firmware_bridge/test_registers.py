import math
import struct
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Register
from firmware_bridge.registers import BlockDecoder, decode

FRAMES = Path(__file__).parent.parent / "golden" / "frames"
# Half a unit in the last place of a f32.
F32_RELATIVE = 2.0**-24

TYPES = st.sampled_from(RegisterType)
ORDERS = st.sampled_from(WordOrder)
WORD = st.integers(0, 0xFFFF)


def golden_frames():
    for path in sorted(FRAMES.glob("*.toml")):
        tree = tomllib.loads(path.read_text())
        assert tree["source"], "a golden frame says where it is from"
        for frame in tree["frame"]:
            yield pytest.param(path.stem, frame, id=f"{path.stem}-{frame['address']:#06x}")


def a_register(
    kind: RegisterType, order: WordOrder, *, address: int = 0, scale: tuple[int, int] = (1, 1), invalid=()
) -> Register:
    return Register(
        measurand=Measurand.ACTIVE_POWER_W,
        function=4,
        address=address,
        type=kind,
        word_order=order,
        numerator=scale[0],
        denominator=scale[1],
        invalid=invalid,
    )


def words_of(kind: RegisterType, order: WordOrder, raw: float) -> list[int]:
    """Written without struct's help for whole numbers, so that it is not the decoder turned round."""
    bits = int.from_bytes(struct.pack(">f", raw), "big") if kind is RegisterType.F32 else int(raw) % (1 << kind.bits)
    low_first = [(bits >> (16 * place)) & 0xFFFF for place in range(kind.words)]
    return low_first if order is WordOrder.LOW_FIRST else low_first[::-1]


@st.composite
def raw_values(draw, kind: RegisterType) -> float:
    if kind is RegisterType.F32:
        return draw(st.floats(width=32, allow_nan=False, allow_infinity=False))
    low = -(1 << (kind.bits - 1)) if kind.startswith("s") else 0
    return draw(st.integers(low, low + (1 << kind.bits) - 1))


@pytest.mark.parametrize(("name", "frame"), list(golden_frames()))
def test_golden_frame(name: str, frame: dict):
    address, count = frame["address"], len(frame["words"])
    registers = [
        register
        for register in load_profile(name).registers
        if register.function == frame["function"] and address <= register.address and register.end <= address + count
    ]
    decoded = BlockDecoder(registers, address, count).decode(frame["words"])
    values = {str(register.measurand): value for register, value in zip(registers, decoded, strict=True)}
    expected = frame["values"] | dict.fromkeys(frame.get("missing", []))
    assert values.keys() == expected.keys()
    for register in registers:
        value, right = values[register.measurand], expected[register.measurand]
        if register.type is RegisterType.F32 and right is not None:
            assert value == pytest.approx(right, rel=F32_RELATIVE)
        else:
            assert value == right


def test_every_profile_has_golden_frames_for_most_of_its_registers():
    for name in profile_names():
        frames = tomllib.loads((FRAMES / f"{name}.toml").read_text())["frame"]
        shown = {measurand for frame in frames for measurand in [*frame["values"], *frame.get("missing", [])]}
        assert len(shown) >= 0.8 * len(load_profile(name).registers)


@given(st.data(), TYPES, ORDERS)
def test_what_a_meter_encodes_is_what_we_read(data, kind: RegisterType, order: WordOrder):
    raw = data.draw(raw_values(kind))
    value = decode(a_register(kind, order), words_of(kind, order, raw))
    assert value == float(raw)


@given(st.data(), ORDERS, st.sampled_from([(1, 10), (1, 1000), (100, 1), (-1, 10), (1000, 1)]))
def test_a_scaled_whole_number_is_the_nearest_float_to_its_decimal(data, order: WordOrder, scale: tuple[int, int]):
    raw = data.draw(raw_values(RegisterType.S32))
    value = decode(a_register(RegisterType.S32, order, scale=scale), words_of(RegisterType.S32, order, raw))
    assert value == int(raw) * scale[0] / scale[1]
    assert str(decode(a_register(RegisterType.U16, order, scale=(1, 10)), [2301])) == "230.1"


@given(st.data(), TYPES, ORDERS)
def test_any_words_give_a_finite_number_or_none(data, kind: RegisterType, order: WordOrder):
    words = data.draw(st.lists(WORD, min_size=kind.words, max_size=kind.words))
    value = decode(a_register(kind, order, scale=(1_000_000_000, 1)), words)
    assert value is None or math.isfinite(value)
    assert value is not None or kind is RegisterType.F32


@given(st.data(), TYPES, ORDERS)
def test_a_sentinel_is_missing_and_its_neighbour_is_not(data, kind: RegisterType, order: WordOrder):
    raw = data.draw(raw_values(kind))
    register = a_register(kind, order, invalid=(raw,))
    assert decode(register, words_of(kind, order, raw)) is None
    if kind is not RegisterType.F32:
        assert decode(register, words_of(kind, order, int(raw) ^ 1)) is not None


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000])
@pytest.mark.parametrize("order", WordOrder)
def test_nan_and_infinity_are_missing(bits: int, order: WordOrder):
    words = [bits >> 16, bits & 0xFFFF]
    turned = words[::-1] if order is WordOrder.LOW_FIRST else words
    assert decode(a_register(RegisterType.F32, order), turned) is None


@given(st.data(), ORDERS, st.integers(0, 3), st.integers(0, 3))
def test_a_block_gives_what_its_registers_give_one_by_one_whatever_lies_between(
    data, order: WordOrder, before: int, after: int
):
    address = 100 + before
    registers, words = [], data.draw(st.lists(WORD, min_size=before, max_size=before))
    for kind in data.draw(st.lists(TYPES, min_size=1, max_size=6)):
        hole = data.draw(st.lists(WORD, max_size=2))
        words += hole + data.draw(st.lists(WORD, min_size=kind.words, max_size=kind.words))
        registers.append(a_register(kind, order, address=address + len(hole)))
        address = registers[-1].end
    words += [0xAAAA] * after
    shuffled = data.draw(st.permutations(registers))
    decoded = BlockDecoder(shuffled, 100, len(words)).decode(words)
    assert decoded == [decode(one, words[one.address - 100 : one.end - 100]) for one in shuffled]
