"""What the tests with Modbus implementations of others share: meters, tools of this machine, environments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hil import parity_library
from tests.interop import meters
from tests.interop.register_words import MeterMap

_BUILD_S_MAX = 60.0


def missing(what: str, package: str) -> None:
    """Skip, loudly; where everything is promised to be there, fail."""
    reason = f"needs {what}: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def maps_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the maps of the made-up meters are."""
    folder = tmp_path_factory.mktemp("maps")
    meters.write_made_up(folder)
    return folder


@pytest.fixture(scope="session")
def maps(maps_folder: Path) -> dict[str, MeterMap]:
    """The map of every meter."""
    return meters.read_all(maps_folder)


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder where programs with `parity_environment` note the parity they ask for."""
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="session")
def parity_environment(tmp_path_factory: pytest.TempPathFactory, notes: Path) -> dict[str, str]:
    """Lets a program set a parity on a pseudo-terminal."""
    try:
        library = parity_library.build(tmp_path_factory.mktemp("library"))
    except parity_library.NoCompilerError:
        missing("a C compiler, for parity on a pseudo-terminal", "gcc libc6-dev")
    return parity_library.environment(library, notes)


@pytest.fixture(scope="session")
def libmodbus_slave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """slave.c, built."""
    if shutil.which("cc") is None or not Path("/usr/include/modbus/modbus.h").exists():
        missing("libmodbus and a C compiler", "libmodbus-dev gcc libc6-dev")
    program = tmp_path_factory.mktemp("slave") / "slave"
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, meters.HERE / "slave.c", "-lmodbus"]
    subprocess.run(command, check=True, timeout=_BUILD_S_MAX)
    return program


@pytest.fixture(scope="session")
def mbpoll() -> str:
    """The program, a master of libmodbus."""
    found = shutil.which("mbpoll")
    if found is None:
        missing("mbpoll", "mbpoll")
    return str(found)
