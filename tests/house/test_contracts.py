"""The import contracts and the bans of the linter hold, and each is seen to bite on a planted violation."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, is_made, plant

TOOLS = Path(sys.executable).parent

PLANTED_IMPORTS = {
    "I/O in the core": ("gateway/core/planted.py", "import sqlite3\n", "Pure cores"),
    "the clock in the contract": ("gateway/contract/planted.py", "import firmware_bridge.clock\n", "Pure cores"),
    "I/O by a way round": ("gateway/core/planted.py", "import firmware_bridge.bridge\n", "Pure cores"),
    "the shell in the core": ("gateway/core/planted.py", "import gateway.shell.store\n", "Layers inside the gateway"),
    "TensorFlow in the gateway": ("gateway/shell/planted.py", "import tensorflow\n", "TensorFlow and PostgreSQL"),
    "TensorFlow late in a function": (
        "gateway/shell/planted.py",
        "def f():\n    import tensorflow\n",
        "TensorFlow and PostgreSQL",
    ),
    "PostgreSQL in the installer's tools": (
        "provisioning/planted.py",
        "import psycopg\n",
        "TensorFlow and PostgreSQL",
    ),
    "the gateway's shell in the trainer": (
        "cloud_trainer/planted.py",
        "import gateway.shell.store\n",
        "The trainer sees",
    ),
    "the trainer in the gateway": ("gateway/shell/planted.py", "import cloud_trainer\n", "Packages point one way"),
    "the gateway in the bridge": ("firmware_bridge/planted.py", "import gateway.config\n", "Packages point one way"),
    "pymodbus beside the transport": ("firmware_bridge/planted.py", "import pymodbus\n", "pymodbus and pyserial"),
    "the gateway's frames in the simulator": (
        "firmware_bridge/simulator/planted.py",
        "import firmware_bridge.mbap\n",
        "The simulator shares",
    ),
    "a file outside every layer": ("gateway/planted.py", "", "Layers inside the gateway"),
}

PLANTED_CODE = {
    "time.time()": ("gateway/core/planted.py", "import time\n\nnow = time.time()\n", "TID251"),
    "datetime.now()": ("gateway/core/planted.py", "import datetime\n\nnow = datetime.datetime.now()\n", "TID251"),
    "asyncio.sleep()": ("gateway/shell/planted.py", "import asyncio\n\nnap = asyncio.sleep(1)\n", "TID251"),
    "asyncio.create_task()": ("gateway/shell/planted.py", "import asyncio\n\nasyncio.create_task(f())\n", "TID251"),
    "asyncio.gather()": ("tests/planted.py", "import asyncio\n\nasyncio.gather(f())\n", "TID251"),
    "print()": ("gateway/shell/planted.py", 'print("x")\n', "T201"),
    "except Exception": ("gateway/core/planted.py", "try:\n    f()\nexcept Exception:\n    pass\n", "BLE001"),
    "a knot of branches": (
        "gateway/core/planted.py",
        "def f(x: int) -> int:\n"
        + "".join(f"    if x == {i}:\n        x += {i}\n" for i in range(9))
        + "    return x\n",
        "C901",
    ),
}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root), "COLUMNS": "200"}
    command = [TOOLS / "lint-imports", "--no-cache", "--config", root / "pyproject.toml"]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def ruff(name: str, text: str) -> str:
    command = [TOOLS / "ruff", "check", "--no-cache", "--output-format=concise", "--stdin-filename", name, "-"]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def copy(tmp_path):
    """A copy of the packages to plant in."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=lambda _, names: [n for n in names if is_made(n)])
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_import_contracts_are_kept():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED_IMPORTS)
def test_a_planted_import_breaks_its_contract(name: str, copy):
    path, text, contract = PLANTED_IMPORTS[name]
    plant(copy, path, text)
    result = lint_imports(copy)
    broken = [line for line in result.stdout.splitlines() if " BROKEN" in line]
    assert result.returncode == 1, result.stdout[-3000:] + result.stderr
    assert any(line.startswith(contract) for line in broken), result.stdout


@pytest.mark.parametrize("name", PLANTED_CODE)
def test_a_planted_line_is_refused_by_the_linter(name: str):
    path, text, rule = PLANTED_CODE[name]
    assert rule in ruff(path, text)
