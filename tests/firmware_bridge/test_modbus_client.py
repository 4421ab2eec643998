import asyncio
from contextlib import suppress

import pytest

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import SettingError
from firmware_bridge.modbus_client import NoConnectionError, host_and_port, open_client
from tests.firmware_bridge.modbus_server import modbus_server
from tests.firmware_bridge.modbus_slave import serial_line


def nothing(*_: object) -> bytes:
    return b""


@pytest.mark.parametrize("scheme", ["tcp", "rtu+tcp"])
def test_host_and_port_are_those_of_the_address(scheme: str):
    assert host_and_port(BusConfig("main", f"{scheme}://meter.local:502")) == ("meter.local", 502)


@pytest.mark.parametrize("place", ["host:0", "host:65536", "a..b:502", f"{'a' * 64}:502", "\0:1"])
@pytest.mark.parametrize("scheme", ["tcp", "rtu+tcp"])
def test_what_cannot_be_an_address_is_refused(scheme: str, place: str):
    with pytest.raises(
        SettingError, match=f"bus.main.url = .*: is no address; write {scheme.replace('+', '.')}://host:port"
    ):
        host_and_port(BusConfig("main", f"{scheme}://{place}"))


@pytest.mark.slow
async def test_a_failed_connection_says_why_and_leaves_nothing():
    async with modbus_server() as server:
        pass
    tasks = asyncio.all_tasks()
    with pytest.raises(NoConnectionError, match="nobody listens there: check the port number"):
        await open_client(BusConfig("main", f"tcp://127.0.0.1:{server.port}"), "", nothing, nothing)
    assert asyncio.all_tasks() == tasks


@pytest.mark.slow
async def test_a_speed_or_parity_that_a_port_cannot_do_leaves_it_free():
    with serial_line() as wire:
        odd = BusConfig("main", f"serial://{wire.path}", data_bits=7, parity="E")
        for _ in range(2):
            with suppress(NoConnectionError):  # a pty has no parity, and some kernels say so
                (await open_client(odd, wire.path, nothing, nothing)).close()
        (await open_client(BusConfig("main", f"serial://{wire.path}"), wire.path, nothing, nothing)).close()
