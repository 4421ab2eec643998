import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.clock import SystemClock
from firmware_bridge.probe.conclusion import conclude_all
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.line import LineUnderProbe, Place
from firmware_bridge.probe.plan import Options, plan
from firmware_bridge.probe.probe import probe
from firmware_bridge.probe.search import Search
from tests.firmware_bridge.modbus_slave import IDENTIFY, Asked, SerialLine, serial_line
from tests.firmware_bridge.probe.devices import Device, meter

pytestmark = pytest.mark.slow
PROFILES = [load_profile(name) for name in profile_names()]
# The meters of a test answer at once.
OPTIONS = Options(listen_s=0, wait_s=0.05)
HEAD: dict[str, object] = {"probe": 1}


def on_a_line(device: Device):
    """A device as a slave on a pty."""

    def answer(asked: Asked) -> bytes:
        if asked.function == IDENTIFY:
            return asked.refusal(1)
        places = [(asked.function, address) for address in range(asked.address, asked.address + asked.count)]
        if not all(place in device.words for place in places):
            return asked.refusal(2)
        return asked.registers([device.words[place] for place in places])

    return answer


async def probed(line: SerialLine, path, *, stop_after: int = 0) -> Search:
    """A search on this line; `stop_after` so many asks it is interrupted."""
    search = Search(plan(PROFILES, OPTIONS), PROFILES)
    journal, asks = Journal(path, HEAD), 0
    journal.resume(search)

    def tell() -> None:
        nonlocal asks
        asks += 1
        if asks == stop_after:
            raise KeyboardInterrupt

    try:
        await probe(search, LineUnderProbe(Place(path=line.path), SystemClock()), journal, tell)
    finally:
        journal.close()
    return search


def meters():
    return serial_line(
        unit_2=on_a_line(meter("carlo_gavazzi_em340", says={"device_code": 341})),
        unit_9=on_a_line(meter("eastron_sdm630", says={"meter_code": 0x89})),
    )


async def test_meters_on_a_terminal_are_found_and_only_read(tmp_path):
    with meters() as line:
        search = await probed(line, tmp_path / "journal")
    assert {one.unit: one.profile for one in conclude_all(search.devices)} == {
        2: "carlo_gavazzi_em340",
        9: "eastron_sdm630",
    }
    assert {asked.function for asked in line.slaves.requests} == {3, 4, IDENTIFY}


async def test_an_interrupted_probe_ends_as_one_that_was_not(tmp_path):
    with meters() as line:
        whole = await probed(line, tmp_path / "whole")
        for stop_after in (1, 9, 30, 60):
            with pytest.raises(KeyboardInterrupt):
                await probed(line, tmp_path / "parts", stop_after=stop_after)
        asked = len(line.slaves.requests)
        parts = await probed(line, tmp_path / "parts")
        assert len(line.slaves.requests) - asked < 100  # the rest alone
    assert conclude_all(parts.devices) == conclude_all(whole.devices)
    assert parts.notes == whole.notes
