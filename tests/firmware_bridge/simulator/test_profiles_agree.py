"""Every profile, encoded by the simulator and decoded by the gateway: written apart, they agree."""

import struct

import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.poll_plan import plan
from firmware_bridge.profile import placed
from firmware_bridge.reading import UtcUs
from firmware_bridge.registers import BlockDecoder
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage

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
"""
PROFILES = [name for name in profile_names() if load_profile(name).registers]


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("hour", [3, 11, 20])
def test_every_profile_is_decoded_to_what_was_encoded(name, hour, tmp_path):
    stage = set_stage(parse_scenario(HOME.format(name)), tmp_path)
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
            count += 1
    assert count == len(profile.registers)
