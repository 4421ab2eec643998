"""A small site: one float meter at the grid, one low-word-first meter at the panels."""

from pathlib import Path

import pytest

from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import Stage, set_stage

SCENARIO = """
[site]
seed = 3
start = 2026-01-05T00:00:00Z
rate = 1000

[[meter]]
name = "grid"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"

[[meter]]
name = "solar"
unit = 2
profile = "carlo_gavazzi_em340"
quantity = "solar"

[[fault]]
kind = "spike"
meter = "grid"
at = 3600
for_s = 120
register = "active_power_w"
value = 60000

[[fault]]
kind = "stuck"
meter = "solar"
at = "2026-01-05T12:00:00"
for_s = 600

[[fault]]
kind = "silent"
meter = "grid"
at = 2026-01-05T06:00:00Z
for_s = 60
"""


@pytest.fixture
def scenario_text() -> str:
    return SCENARIO


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(parse_scenario(SCENARIO), tmp_path)


class HandClock:
    """Time that stands where it was set; nobody sleeps on it."""

    rate = 1.0

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def utc_us(self) -> UtcUs:
        return UtcUs(self.at_us)

    def monotonic_s(self) -> MonotonicS:
        return MonotonicS(self.at_us / US_PER_S)

    async def sleep_until(self, at_us: UtcUs) -> None:
        raise AssertionError(at_us)

    async def sleep_for(self, duration_s: float) -> None:
        raise AssertionError(duration_s)

    async def rest_until(self, at_s: MonotonicS) -> None:
        """Whatever real time a device wants is over when this one's hand moves next."""

    def hold_before(self, at_us: UtcUs) -> None:
        raise AssertionError(at_us)


@pytest.fixture
def hand_clock(stage: Stage) -> HandClock:
    """A clock set to the scenario's start."""
    return HandClock(stage.start_us)
