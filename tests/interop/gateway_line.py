"""The gateway's own side of a line, in a process of its own, and all that it makes of a meter's registers."""

import sys
from collections.abc import Mapping

import msgspec

from firmware_bridge.poll_plan import Block, WireCost, plan
from firmware_bridge.profile import Profile, placed
from firmware_bridge.registers import BlockDecoder
from firmware_bridge.sunspec import Walk
from tests.interop.program import ROOT, Program

# Fast enough for a test; nothing here depends on it.
BAUD = 115200
# 8 data bits, with or without a parity bit, between start and stop bit.
CHARACTER_BITS = {"N": 10, "E": 11}
# Far above anything that happens here.
TIMEOUT_S = 5.0


class RefusedError(Exception):
    """The meter answered with an exception."""


class GatewayLine(Program):
    """`ModbusLine`, asked word by word or for a whole meter."""

    def __init__(self, url: str, parity: str = "N", environment: Mapping[str, str] | None = None) -> None:
        bus = {"name": "interop", "url": url, "baud": BAUD, "parity": parity, "timeout_s": TIMEOUT_S}
        settings = msgspec.json.encode({"bus": bus, "link_folders": []}).decode()
        super().__init__([sys.executable, "-W", "error", ROOT / "hil" / "modbus_reader.py", settings], environment)
        is_serial = url.startswith("serial")
        self.wire = WireCost.of_serial(CHARACTER_BITS[parity] / BAUD) if is_serial else WireCost.of_tcp()

    def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """The words.

        Raises:
            RefusedError: the meter refuses.
        """
        asked = {
            "do": "read",
            "unit": unit,
            "function": function,
            "address": address,
            "count": count,
            "timeout_s": TIMEOUT_S,
        }
        answer = msgspec.json.decode(self.ask(msgspec.json.encode(asked).decode()))
        if answer.get("error") == "ExceptionReplyError":
            raise RefusedError(answer["says"])
        assert "words" in answer, answer
        words: list[int] = answer["words"]
        return words

    def values(self, unit: int, profile: Profile) -> dict[str, float | None]:
        """Every register of the profile, as it is read by the plan for this wire."""
        blocks = plan(self.found(unit, profile), self.wire)
        return {name: value for block in blocks for name, value in self._block_values(unit, block)}

    def found(self, unit: int, profile: Profile) -> Profile:
        """The profile with its registers where this device has them."""
        if profile.file.sunspec is None:
            return profile
        walk = Walk(profile.file.sunspec, max(register.end for register in profile.registers))
        while walk.next is not None:
            try:
                walk.take(self.read(unit, 3, *walk.next))
            except RefusedError:
                walk.refuse()
        assert walk.base is not None, "its model is in the chain"
        return placed(profile, walk.base)

    def _block_values(self, unit: int, block: Block) -> list[tuple[str, float | None]]:
        words = self.read(unit, block.function, block.address, block.count)
        values = BlockDecoder(block.registers, block.address, block.count).decode(words)
        return [(str(one.measurand), value) for one, value in zip(block.registers, values, strict=True)]
