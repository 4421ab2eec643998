"""Every profile at a home, through a day: what the simulator encodes and the gateway reads was written apart."""

import struct

import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.frames.fields import FieldDecoder
from firmware_bridge.frames.reader import reader_of
from firmware_bridge.poll_plan import plan
from firmware_bridge.profile import placed
from firmware_bridge.reading import UtcUs
from firmware_bridge.registers import BlockDecoder
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import Stage, set_stage

HOME = """
[site]
seed = 3
start = 2026-06-05T00:00:00Z
outages_per_week = 0
[[meter]]
name = "one"
unit = 1
profile = "{}"
quantity = "grid"
body = "{}"
"""
ASKED = [name for name in profile_names() if load_profile(name).registers]
SENDING = [name for name in profile_names() if load_profile(name).fields]


def home(tmp_path, profile: str, body: str = "json") -> Stage:
    return set_stage(parse_scenario(HOME.format(profile, body)), tmp_path)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("hour", [3, 11, 20])
def test_registers_are_read_as_they_were_meant_and_plausible(name, hour, tmp_path):
    stage = home(tmp_path, name)
    at_us = UtcUs(stage.start_us + hour * 3600 * 1_000_000)
    profile, meter, count = load_profile(name), stage.meters[0], 0
    if meter.registers.chain is not None:
        profile = placed(profile, meter.registers.chain.model_address)
    for block in plan(profile):
        answer = meter.answer(Read(block.function, block.address, block.count), at_us)
        assert not isinstance(answer, ModbusException), block
        words = struct.unpack(f">{block.count}H", answer.words)
        decoded = BlockDecoder(block.registers, block.address, block.count).decode(words)
        for register, value in zip(block.registers, decoded, strict=True):
            assert value == pytest.approx(answer.values[register.measurand], rel=1e-9, abs=1e-9), register
            assert register.measurand.facts.plausible_low <= value <= register.measurand.facts.plausible_high
        count += len(block.registers)
    assert count >= len(profile.registers)


@pytest.mark.parametrize(("name", "body"), [*((name, "json") for name in SENDING), ("serial_sensor", "cbor")])
def test_telegrams_are_read_as_they_were_meant_and_plausible(name, body, tmp_path):
    stage = home(tmp_path, name, body)
    profile, (meter,) = load_profile(name), stage.sending_meters
    reader, decoder, senders = reader_of(profile.file.protocol), FieldDecoder(profile.fields), set()
    for second in range(0, 86_400, 1_111):
        telegram = meter.telegram(UtcUs(stage.start_us + second * 1_000_000))
        (frame,) = reader.feed(telegram.data)
        senders.add(frame.sender)
        for field, value in zip(profile.fields, decoder.decode(frame), strict=True):
            assert value == pytest.approx(telegram.shown[field.measurand], rel=1e-9, abs=1e-9), field
            assert field.measurand.facts.plausible_low <= value <= field.measurand.facts.plausible_high
    assert reader.refused.total() == 0
    assert len(senders) == 1
