"""The gateway's own line of meters, asked line by line: a JSON object each, and one back. Runs on the gateway.

Its argument is JSON: `{"bus": {...}, "link_folders": [...]}`, the bus as in the gateway's configuration.

    {"do": "read", "unit": 1, "function": 4, "address": 0, "count": 6, "timeout_s": 0.2}
        -> {"words": [17254, ...]} or {"error": "NoReplyError", "says": "no reply: ..."}
    {"do": "close"} -> {}

Any other exception ends it with a traceback, as it would end the gateway.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import BusError
from firmware_bridge.transport import ModbusLine


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """One command."""

    do: str
    unit: int = 0
    function: int = 4
    address: int = 0
    count: int = 0
    timeout_s: float = 1.0


async def answer(line: ModbusLine, asked: Asked) -> dict[str, Any]:
    """What one command gives."""
    if asked.do == "close":
        line.close()
        return {}
    try:
        words = await line.read(asked.unit, asked.function, asked.address, asked.count, asked.timeout_s)
    except BusError as error:
        return {"error": type(error).__name__, "says": str(error)}
    return {"words": words}


async def main(settings: dict[str, Any]) -> None:
    """Answer until the input ends."""
    line = ModbusLine(msgspec.convert(settings["bus"], BusConfig), [Path(one) for one in settings["link_folders"]])
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while text := await reader.readline():
        reply = await answer(line, msgspec.json.decode(text, type=Asked))
        sys.stdout.buffer.write(msgspec.json.encode(reply) + b"\n")
        sys.stdout.buffer.flush()
    line.close()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1])))
