import math
import struct
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import RegisterType, WordOrder
from firmware_bridge.measurand import Measurand
from firmware_bridge.poll_plan import Block, plan
from firmware_bridge.profile import Register
from firmware_bridge.registers import BlockDecoder, decode

FRAMES = Path(__file__).parent.parent / "golden" / "frames"
# Half a unit in the last place of a f32.
F32_RELATIVE = 2.0**-24

TYPES = st.sampled_from(RegisterType)
ORDERS = st.sampled_from(WordOrder)
WORD = st.integers(0, 0xFFFF)
BLOCKS = [block for name in profile_names() for block in plan(load_profile(name))]


def golden_frames():
    for path in sorted(FRAMES.glob("*.toml")):
        tree = tomllib.loads(path.read_text())
        assert tree["source"], "a golden frame says where it is from"
        for frame in tree["frame"]:
            yield pytest.param(path.stem, frame, id=f"{path.stem}-{frame['address']:#06x}")


def a_register(
    kind: RegisterType, order: WordOrder, *, address: int = 0, scale: tuple[int, int] = (1, 1), invalid=(), **rest
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
        **rest,
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
        if register.function == frame["function"] and address <= register.start and register.end <= address + count
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
    for name in filter(lambda name: load_profile(name).registers, profile_names()):
        frames = tomllib.loads((FRAMES / f"{name}.toml").read_text())["frame"]
        shown = {measurand for frame in frames for measurand in [*frame["values"], *frame.get("missing", [])]}
        assert len(shown) >= 0.8 * len(load_profile(name).registers)


@given(st.sampled_from(BLOCKS), st.binary(min_size=250, max_size=250))
def test_any_words_of_any_block_of_a_known_meter_are_finite_numbers_or_none(block: Block, drawn: bytes):
    words = struct.unpack(">125H", drawn)[: block.count]
    values = BlockDecoder(block.registers, block.address, block.count).decode(words)
    assert len(values) == len(block.registers)
    assert all(value is None or math.isfinite(value) for value in values)


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


@pytest.mark.parametrize("kind", RegisterType)
def test_a_value_too_large_for_a_float_is_missing(kind: RegisterType):
    huge = a_register(kind, WordOrder.HIGH_FIRST, scale=(10**320, 1))
    tall = a_register(kind, WordOrder.HIGH_FIRST, scale=(10**300, 1), scale_address=kind.words)
    words = words_of(kind, WordOrder.HIGH_FIRST, 30_000)
    assert decode(huge, words) is None
    assert decode(tall, [*words, 10]) is None
    assert decode(tall, [*words, 0x10000 - 10]) == pytest.approx(3e294)


@pytest.mark.parametrize("order", WordOrder)
@pytest.mark.parametrize(
    ("exponent", "value"),
    [(0, 2301.0), (1, 23010.0), (0xFFFF, 230.1), (0xFFFE, 23.01), (10, 2301e10), (0xFFF6, 2301e-10)]
    + [(sentinel, None) for sentinel in (0x8000, 11, 0xFFF5, 0x7FFF)],
)
def test_a_scale_register_is_a_power_of_ten_wherever_it_lies(order: WordOrder, exponent: int, value: float | None):
    words = words_of(RegisterType.U32, order, 2301)
    after = a_register(RegisterType.U32, order, address=7, scale_address=10)
    before = a_register(RegisterType.U32, order, address=7, scale_address=5)
    assert decode(after, [*words, 0xAAAA, exponent]) == value
    assert decode(before, [exponent, 0xAAAA, *words]) == value


def test_a_counter_that_never_counted_is_missing_where_the_profile_says_so():
    counter = a_register(RegisterType.ACC32, WordOrder.HIGH_FIRST, invalid=(0,), scale_address=2)
    assert decode(counter, [0, 0, 0]) is None
    assert decode(counter, [0xFFFF, 0xFFFF, 0]) == 0xFFFF_FFFF
    assert decode(counter, [0x8000, 0, 0]) == 0x8000_0000


@pytest.mark.parametrize("order", WordOrder)
def test_net_power_is_what_comes_less_what_goes_and_missing_when_either_is(order: WordOrder):
    net = a_register(RegisterType.U32, order, scale=(1, 10), minus=(2,), invalid=(0xFFFF_FFFF,))
    come, go, nothing = (words_of(RegisterType.U32, order, raw) for raw in (12, 4_000_000_001, 0xFFFF_FFFF))
    assert decode(net, come + go) == -399_999_998.9
    assert decode(net, go + come) == 399_999_998.9
    assert decode(net, come + nothing) is None
    assert decode(net, nothing + go) is None


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000])
@pytest.mark.parametrize("place", [0, 1])
def test_a_sum_with_nan_or_infinity_is_missing(bits: int, place: int):
    parts = [[0x3F80, 0], [bits >> 16, bits & 0xFFFF]]
    total = a_register(RegisterType.F32, WordOrder.HIGH_FIRST, plus=(2,))
    assert decode(total, parts[place] + parts[1 - place]) is None
    assert decode(total, parts[0] * 2) == 2.0


def test_infinity_less_infinity_is_missing():
    difference = a_register(RegisterType.F32, WordOrder.HIGH_FIRST, minus=(2,))
    assert decode(difference, [0x7F80, 0, 0x7F80, 0]) is None


@pytest.mark.parametrize("kind", RegisterType)
@pytest.mark.parametrize("order", WordOrder)
def test_a_choice_is_its_place_and_an_unknown_one_is_missing(kind: RegisterType, order: WordOrder):
    state = a_register(kind, order, choices=((4, 3), (7, 6), (9, 0)), invalid=(9,))
    places = [decode(state, words_of(kind, order, raw)) for raw in (4, 7, 9, 5, 0)]
    assert places == [3.0, 6.0, None, None, None]
    assert all(isinstance(place, float) for place in places[:2])


class Memory:
    """A meter's registers under construction: values one behind another, with drawn holes between them."""

    def __init__(self, data, order: WordOrder) -> None:
        self.start, self.words, self.order = 200, list[int](), order
        self._data = data

    def put(self, kind: RegisterType, raw: float) -> int:
        """The address that the value got."""
        self.words += self._data.draw(st.lists(WORD, max_size=2))
        address = self.start + len(self.words)
        self.words += words_of(kind, self.order, raw)
        return address

    def of(self, register: Register) -> list[int]:
        """What `decode` wants of it."""
        return self.words[register.start - self.start : register.end - self.start]


def put_sum(data, memory: Memory, exponents: list[tuple[int | None, int]]) -> tuple[list[Register], list[object]]:
    """A register of some parts with one of the scales, now and then its last part by itself; what they give."""
    kind = data.draw(TYPES)
    raws = data.draw(st.lists(raw_values(kind), min_size=1, max_size=3))
    signs = [1, *data.draw(st.lists(st.sampled_from([1, -1]), min_size=len(raws) - 1, max_size=len(raws) - 1))]
    addresses = [memory.put(kind, raw) for raw in raws]
    scale_address, exponent = data.draw(st.sampled_from(exponents))
    scale = data.draw(st.sampled_from([(1, 1), (1, 1000), (-1, 10), (1000, 3)]))
    invalid = data.draw(st.sampled_from([(), (), raws[-1:]]))
    register = a_register(
        kind,
        memory.order,
        address=addresses[0],
        scale=scale,
        invalid=tuple(invalid),
        scale_address=scale_address,
        plus=tuple(address for address, sign in zip(addresses[1:], signs[1:], strict=True) if sign > 0),
        minus=tuple(address for address, sign in zip(addresses[1:], signs[1:], strict=True) if sign < 0),
    )
    factor = Fraction(*scale) * Fraction(10) ** exponent
    parts = [sign * Fraction(raw) * factor for sign, raw in zip(signs, raws, strict=True)]
    # whole numbers are exact; floats may cancel one another
    slack = 1e-12 * float(sum(map(abs, parts))) if kind is RegisterType.F32 else 0.0
    is_missing = invalid or not -10 <= exponent <= 10
    registers, expected = [register], [None if is_missing else pytest.approx(float(sum(parts)), rel=0, abs=slack)]
    if len(raws) > 1 and data.draw(st.booleans()):
        registers.append(a_register(kind, memory.order, address=addresses[-1]))
        expected.append(float(raws[-1]))
    return registers, expected


@given(st.data(), ORDERS)
def test_a_block_of_sums_and_shared_scales_is_what_the_meter_encoded(data, order: WordOrder):
    memory = Memory(data, order)
    exponents = data.draw(st.lists(st.integers(-12, 12) | st.just(-0x8000), min_size=1, max_size=3))
    scales = [(None, 0), *((memory.put(RegisterType.S16, exponent), exponent) for exponent in exponents)]
    registers, expected = [], []
    for _ in range(data.draw(st.integers(1, 4))):
        more, their_values = put_sum(data, memory, scales)
        registers, expected = registers + more, expected + their_values
    places = data.draw(st.permutations(range(len(registers))))
    decoder = BlockDecoder([registers[place] for place in places], memory.start, len(memory.words))
    assert decoder.decode(memory.words) == [expected[place] for place in places]
    assert [decode(register, memory.of(register)) for register in registers] == expected


@given(st.data(), TYPES, ORDERS)
def test_any_words_of_a_composite_give_a_finite_number_or_none(data, kind: RegisterType, order: WordOrder):
    two = 2 * kind.words
    register = a_register(kind, order, scale=(10**6, 1), minus=(kind.words,), scale_address=two)
    words = data.draw(st.lists(WORD, min_size=two + 1, max_size=two + 1))
    value = decode(register, words)
    assert value is None or math.isfinite(value)


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
