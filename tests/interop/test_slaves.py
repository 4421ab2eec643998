"""The gateway's line of meters against slaves that others wrote: registers mean what a map says they mean."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import BusConfig
from firmware_bridge.transport import ModbusLine
from tests.interop.cable import Cable
from tests.interop.gateway_line import BAUD, GatewayLine, RefusedError
from tests.interop.meters import HERE, NAMES, unit_of
from tests.interop.program import Program
from tests.interop.register_words import Image, MeterMap
from tests.interop.sunspec_chain import FUNCTION, chain_around

pytestmark = pytest.mark.slow

# Where a chain begins, and how long the common model is: every place and both lengths.
CHAINS = {
    "sunspec_inverter": (40_000, 66),
    "sunspec_inverter_float": (50_000, 65),
    "sunspec_meter": (0, 65),
    "sunspec_meter_float": (40_000, 65),
}
PIP = [sys.executable, "-W", "error", HERE / "slave.py"]


class Wired(NamedTuple):
    """A slave of somebody else's, and our line to it."""

    slave: Program
    gateway: GatewayLine
    url: str
    # on a serial line
    cable: Cable | None = None


@pytest.fixture(
    scope="module",
    params=["pyModbusTCP-tcp", "uModbus-8n1", "uModbus-8e1", "libmodbus-tcp", "libmodbus-8n1", "libmodbus-8e1"],
)
def wired(request: pytest.FixtureRequest) -> Iterator[Wired]:
    maker, kind = request.param.split("-")
    command = [request.getfixturevalue("libmodbus_slave")] if maker == "libmodbus" else PIP
    with ExitStack() as stack:
        if kind == "tcp":
            slave = stack.enter_context(Program([*command, "tcp"]))
            url = f"tcp://127.0.0.1:{slave.hear()}"
            yield Wired(slave, stack.enter_context(GatewayLine(url)), url)
            return
        parity = kind[1].upper()
        environment = request.getfixturevalue("parity_environment") if parity == "E" else {}
        cable = stack.enter_context(Cable())
        ours, theirs = cable.ends
        slave = stack.enter_context(Program([*command, "rtu", theirs, str(BAUD), parity], environment))
        assert slave.hear() == "0"
        url = f"serial://{ours}"
        yield Wired(slave, stack.enter_context(GatewayLine(url, parity, environment)), url, cable)


def image_of(meter: MeterMap) -> Image:
    """The words of the whole device."""
    if meter.name not in CHAINS:
        return meter.image()
    begin, common_registers = CHAINS[meter.name]
    model = meter.tree["sunspec"]["models"][-1]
    chain, base = chain_around(begin, model, meter.end + 20, common_registers)
    words, values = meter.image(base)
    return Image({(FUNCTION, address): word for address, word in chain.items()} | words, values)


def show(slave: Program, unit: int, image: Image) -> None:
    pieces = [f"{function:x}:{address:x}:{word:x}" for (function, address), word in image.words.items()]
    assert slave.ask(f"{unit} {' '.join(pieces)}") == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_every_register_means_what_the_map_says(wired: Wired, name, maps, maps_folder: Path):
    unit, image = unit_of(name), image_of(maps[name])
    show(wired.slave, unit, image)
    assert wired.gateway.values(unit, load_profile(name, [maps_folder])) == pytest.approx(image.values, rel=1e-12)


@pytest.mark.parametrize("wired", ["uModbus-8e1", "libmodbus-8e1"], indirect=True)
def test_both_ends_of_a_cable_are_set_to_the_parity(wired: Wired, notes: Path):
    assert wired.cable is not None
    show(wired.slave, 1, Image({(3, 0): 1}, {}))
    assert wired.gateway.read(1, 3, 0, 1) == [1]
    assert wired.cable.parities(notes) == ["E", "E"]


@pytest.mark.parametrize("wired", ["pyModbusTCP-tcp", "libmodbus-tcp", "libmodbus-8n1"], indirect=True)
def test_a_refusal_is_told_as_one(wired: Wired):
    show(wired.slave, 1, Image({(3, 0): 1}, {}))
    with pytest.raises(RefusedError, match=re.escape("exception 2")):
        wired.gateway.read(1, 3, 0xFFF0, 0x20)


@pytest.mark.parametrize("wired", ["pyModbusTCP-tcp"], indirect=True)
async def test_the_texts_of_device_identification_come_out_right(wired: Wired):
    line = ModbusLine(BusConfig(name="interop", url=wired.url))
    try:
        assert await line.identify(1) == {0: "Nobody", 1: "Every type", 2: "1.0"}
    finally:
        line.close()
