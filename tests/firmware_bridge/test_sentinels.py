import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import SettingError
from firmware_bridge.map_file import RegisterType
from firmware_bridge.sentinels import sentinels_of, whole_sentinel

WHOLE = [kind for kind in RegisterType if kind is not RegisterType.F32]


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (RegisterType.U16, 0xFFFF, 65535),
        (RegisterType.S16, 0x7FFF, 32767),
        (RegisterType.S16, 0x8000, -32768),
        (RegisterType.S32, "0xFFFFFFFF", -1),
        (RegisterType.ACC32, 0, 0),
        (RegisterType.U64, "0xFFFFFFFFFFFFFFFF", 2**64 - 1),
        (RegisterType.S64, "0x8000000000000000", -(2**63)),
        (RegisterType.F32, "-1", -1.0),
        (RegisterType.F32, "0xC1200000", -10.0),
        (RegisterType.F32, 0x7F800000, math.inf),
        (RegisterType.F32, "0.1", struct.unpack(">f", struct.pack(">f", 0.1))[0]),
    ],
)
def test_a_sentinel_is_the_value_that_the_decoder_sees(kind: RegisterType, raw: int | str, value: float):
    assert sentinels_of(kind, [raw], "x.toml") == (value,)


def test_nan_may_be_written_as_a_word_or_in_bits():
    assert all(math.isnan(one) for one in sentinels_of(RegisterType.F32, ["NaN", "0x7FC00000"], "x.toml"))


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("raw", [-1, "-1", "many", "", "1.5", "0x"])
def test_what_is_no_raw_value_is_named(kind: RegisterType, raw: int | str):
    with pytest.raises(SettingError) as caught:
        sentinels_of(kind, [0, raw], "x.toml")
    assert caught.value.field == f"x.toml: invalid.{kind}"
    assert f"is not a raw value of {kind.bits} bits" in str(caught.value)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_value_of_more_bits_is_none(kind: RegisterType):
    with pytest.raises(ValueError):
        whole_sentinel(kind, 1 << kind.bits)


@given(st.sampled_from(RegisterType), st.text(max_size=30) | st.integers())
def test_any_text_or_number_is_a_raw_value_or_a_named_mistake(kind: RegisterType, raw: int | str):
    low = -(1 << (kind.bits - 1)) if kind.is_signed else 0
    value, field = float(low), f"x.toml: invalid.{kind}"
    try:
        (value,) = sentinels_of(kind, [raw], "x.toml")
    except SettingError as error:
        field = error.field
    assert field == f"x.toml: invalid.{kind}"
    assert kind is RegisterType.F32 or low <= value < low + (1 << kind.bits)
