"""One value in its registers: whatever it is, the parts add up to what is told."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.raw_type import RAW_TYPES
from firmware_bridge.simulator.register import Register, exponent_for


def register(kind: str = "s32", **changes: object) -> Register:
    facts = {"measurand": Measurand.ACTIVE_POWER_W, "function": 3, "address": 0, "scale": 0.1, "is_low_first": False}
    return Register(**{**facts, "type": RAW_TYPES[kind], **changes})


@given(
    st.sampled_from(["s32", "u32", "f32"]),
    st.floats(-1e6, 1e6),
    st.lists(st.integers(1, 9), unique=True, max_size=4),
    st.lists(st.integers(10, 19), unique=True, max_size=3),
    st.dictionaries(st.integers(0, 19), st.integers(0, 30_000)),
)
def test_parts_add_up_to_what_is_shown(kind, value, plus, minus, borrowed):
    one = register(kind, plus=tuple(plus), minus=tuple(minus))
    others = {address: raw for address, raw in borrowed.items() if address in (0, *plus, *minus)}
    parts, shown = one.encode(value, 0, others)
    raws = {**others, **parts}
    assert set(raws) == {0, *plus, *minus}
    total = raws[0] + sum(raws[address] for address in plus) - sum(raws[address] for address in minus)
    assert abs(total * 0.1 - shown) <= 1e-6 * max(1.0, abs(shown))
    if not others and (kind == "s32" or value >= 0):
        assert abs(shown - value) <= 0.1


def test_the_borrowed_is_not_written_again():
    assert register(plus=(2, 4)).encode(100.0, 0, {2: 300}).parts == {0: 350, 4: 350}


def test_unsigned_registers_without_another_direction_stop_at_zero():
    assert register("u16").encode(-5.0) == ({0: 0}, 0.0)


def test_the_scale_is_the_finest_that_holds_all():
    small, large = register("s16", scale=1.0), register("s16", scale=1.0, measurand=Measurand.APPARENT_POWER_VA)
    for watts, exponent in ((3.0, -2), (327.0, -2), (328.0, -1), (4000.0, 0), (327_000.0, 1), (1e15, 4)):
        assert exponent_for([small, large], {small.measurand: 1.0, large.measurand: watts}) == exponent


def test_a_counter_never_loses_its_last_digit_to_a_scale():
    counter = register("acc32", scale=1.0, measurand=Measurand.ENERGY_TOTAL_WH, wrap=2**32)
    assert exponent_for([counter], {counter.measurand: 12.0}) == 0
    assert exponent_for([counter], {counter.measurand: 5e9}) == 0


def test_where_a_counter_ends_is_told_in_si():
    assert register("u32", wrap=2**32, scale=100.0).wraps_at == 2**32 * 100.0
    assert register().wraps_at is None
