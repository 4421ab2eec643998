"""Raw values and their words."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.map_file import RegisterType
from firmware_bridge.simulator.raw_type import RAW_TYPES, swap_words


def test_every_type_of_a_map_is_known():
    assert set(RAW_TYPES) == set(RegisterType)
    assert {name: kind.words for name, kind in RAW_TYPES.items()} == {name: name.words for name in RegisterType}


@given(st.sampled_from(sorted(RAW_TYPES)), st.floats(-1e40, 1e40))
def test_anything_fits_once_it_was_made_to(name, raw):
    kind = RAW_TYPES[name]
    fitting = kind.fit(raw)
    assert kind.fit(fitting) == fitting
    assert kind.pack(fitting, is_low_first=True) == swap_words(kind.pack(fitting, is_low_first=False))


def test_only_signed_types_go_below_zero():
    assert {name for name, kind in RAW_TYPES.items() if kind.is_signed} == {"s16", "s32", "s64", "f32"}


def test_words_change_places_and_bytes_do_not():
    assert swap_words(bytes.fromhex("0123 4567 89ab cdef")) == bytes.fromhex("cdef 89ab 4567 0123")
    assert RAW_TYPES["f32"].pack_bits(0x7FC00000, is_low_first=True) == struct.pack(">HH", 0, 0x7FC0)
