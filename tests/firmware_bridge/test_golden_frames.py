"""Golden frames of every meter: the bytes on the wire, and the values that come out of the decoder."""

import struct
import tomllib

import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import RegisterType
from firmware_bridge.profile import Profile, Register, placed
from firmware_bridge.registers import BlockDecoder
from tests.golden.meter_frames import BY_HAND, FRAMES, crc, golden_frames, modbus_maps, unit_of

MAPS = dict(modbus_maps())
TREES = {name: tomllib.loads((FRAMES / f"{name}.toml").read_text()) for name in MAPS}
EXCHANGES = [
    pytest.param(name, tree.get("base", 0), frame, id=f"{name}-{place}")
    for name, tree in TREES.items()
    for place, frame in enumerate(tree["frame"])
    if "request" in frame
]
# Half a unit in the last place of a f32.
F32_RELATIVE = 2.0**-24


def pdu_of(text: str, unit: int) -> bytes:
    """What is between header and checksum, both of which must be right."""
    adu = bytes.fromhex(text)
    if adu[0] == unit:
        assert crc(adu[:-2]) == adu[-2:]
        return adu[1:-2]
    assert struct.unpack(">HHHB", adu[:7]) == (1, 0, len(adu) - 6, unit)
    return adu[7:]


def inside(profile: Profile, function: int, address: int, count: int) -> list[Register]:
    return [
        one
        for one in profile.registers
        if one.function == function and address <= one.start and one.end <= address + count
    ]


def test_every_profile_has_its_frames_on_the_wire():
    there = {name for name, tree in TREES.items() if any("request" in frame for frame in tree["frame"])}
    assert there == {name for name in profile_names() if load_profile(name).file.protocol == "modbus"}


@pytest.mark.parametrize("name", MAPS)
def test_frames_name_the_makers_document(name: str):
    assert TREES[name]["source"]
    if name not in BY_HAND:
        assert TREES[name]["source"] == load_profile(name).file.sources[0]


@pytest.mark.parametrize("name", sorted(set(MAPS) - BY_HAND))
def test_the_frames_in_the_tree_are_those_that_the_maps_make_today(name: str):
    assert (FRAMES / f"{name}.toml").read_text(encoding="utf-8") == golden_frames(MAPS[name])


@pytest.mark.parametrize("name", sorted(set(MAPS) - BY_HAND))
def test_every_register_is_in_a_frame(name: str):
    shown = {measurand for frame in TREES[name]["frame"] for measurand in frame["values"]}
    assert shown == set(MAPS[name]["registers"])


@pytest.mark.parametrize(("name", "base", "frame"), EXCHANGES)
def test_the_bytes_of_a_reply_become_the_values_it_means(name: str, base: int, frame: dict):
    unit = unit_of(MAPS[name])
    function, first, count = struct.unpack(">BHH", pdu_of(frame["request"], unit))
    reply = pdu_of(frame["reply"], unit)
    assert (reply[0], reply[1]) == (function, 2 * count)
    words = list(struct.unpack(f">{count}H", reply[2:]))
    assert (function, first - base, words) == (frame["function"], frame["address"], frame["words"])

    profile = load_profile(name)
    registers = inside(placed(profile, base) if base else profile, function, first, count)
    decoded = dict(zip(registers, BlockDecoder(registers, first, count).decode(words), strict=True))
    expected = frame["values"] | dict.fromkeys(frame.get("missing", []))
    assert {str(one.measurand) for one in registers} == set(expected)
    for register, value in decoded.items():
        right = expected[str(register.measurand)]
        is_rounded = register.type is RegisterType.F32 and right is not None
        assert value == (pytest.approx(right, rel=F32_RELATIVE) if is_rounded else right)
