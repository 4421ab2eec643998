"""The rig as a fixture, and tests that ask it for what they need by name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.errors import SettingError

sys.path.insert(0, str(Path(__file__).parent))  # hil is no package: its modules are found by their own names

from gateway_side import GatewaySide
from protocols import CAPABILITIES, Line, MeterBus, Rig
from rig_file import bus_names, open_rig

DEFAULT_RIG = Path(__file__).with_name("virtual.toml")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rig", type=Path, default=DEFAULT_RIG, help="the TOML file of the rig to test on")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*capabilities): what the rig must be able to do, as in protocols.py")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a bus runs on every bus of the rig."""
    if "bus_name" in metafunc.fixturenames:
        try:
            names = bus_names(metafunc.config.getoption("--rig"))
        except SettingError as error:
            raise pytest.UsageError(str(error)) from error
        metafunc.parametrize("bus_name", names, scope="session")


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = open_rig(request.config.getoption("--rig"))
    yield rig
    rig.close()


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest, rig: Rig) -> None:
    """Skip, by name, what this rig cannot do."""
    needed = [name for mark in request.node.iter_markers("needs") for name in mark.args]
    assert set(needed) <= set(CAPABILITIES), "protocols.py lists them"
    if "bus_name" in request.fixturenames and rig.buses[request.getfixturevalue("bus_name")].config.parity != "N":
        needed.append("parity")
    for name in needed:
        if name not in rig.capabilities:
            pytest.skip(f"needs: {name} ({rig.lacks.get(name, 'not on this rig')})")


@pytest.fixture
def bus(rig: Rig, bus_name: str) -> MeterBus:
    return rig.buses[bus_name]


@pytest.fixture
def line(rig: Rig, bus_name: str) -> Iterator[Line]:
    """The wire of the bus, which is well again when the test is over."""
    line = rig.lines[bus_name]
    yield line
    line.heal()


@pytest.fixture(scope="session")
def _gateway(rig: Rig, bus_name: str) -> Iterator[GatewaySide]:
    side = GatewaySide(rig.console, rig.buses[bus_name])
    yield side
    side.close()


@pytest.fixture
def gateway(_gateway: GatewaySide) -> Iterator[GatewaySide]:
    """The gateway's own line on that bus, not connected yet."""
    yield _gateway
    _gateway.disconnect()
