"""The unit is correct, hardened, and lets the gateway do what it must."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

UNIT = ROOT / "systemd" / "smartwatts-gateway.service"
USERS = ROOT / "systemd" / "sysusers.d" / "smartwatts.conf"
# Tenths of systemd's exposure level: 1.8. A plain unit with a user of its own has 9.2.
EXPOSURE_MAX = 18

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze (Debian: apt-get install systemd)")

# Set for this process as systemd's filter does: no memory that can be written and run.
DENY_WRITE_EXECUTE = """
import ctypes, mmap, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)  # a kernel before 6.3
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass
else:
    sys.exit("the filter is not in force")
"""
INFER = """
import numpy, aiohttp, aiosqlite, cryptography, pymodbus, ssl, tuf.ngclient
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=2)
interpreter.allocate_tensors()
for tensor in interpreter.get_input_details():
    interpreter.set_tensor(tensor["index"], numpy.zeros(tensor["shape"], tensor["dtype"]))
interpreter.invoke()
"""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, timeout=60)


@needs_systemd
def test_the_unit_verifies_without_a_word(tmp_path):
    # The program is not installed on the machine that checks: any program will do in its place.
    text = re.sub(r"^ExecStart=\S+.*$", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    result = analyze("verify", "--man=no", unit)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@needs_systemd
def test_the_check_of_the_unit_would_find_a_fault(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "'NoNewPrivilege'" in analyze("verify", "--man=no", unit).stderr


@needs_systemd
def test_the_unit_leaves_little_exposed():
    result = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", UNIT)
    assert result.returncode == 0, result.stdout


@needs_systemd
def test_the_check_of_exposure_would_find_a_fault(tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("User=smartwatts\n", ""))
    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit).returncode == 1


def test_the_unit_starts_the_installed_command_with_the_installed_configuration():
    command = re.search(r"^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert command
    assert command[1] == "/opt/smartwatts/bin/smartwatts-gateway run --config /etc/smartwatts/gateway.toml"


def test_the_unit_keeps_the_store_where_the_default_configuration_has_it():
    from gateway.config import StoreConfig

    state = re.search(r"^StateDirectory=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert state
    assert StoreConfig().folder == f"/var/lib/{state[1]}"


def test_the_unit_lets_the_gateway_ask_whether_the_clock_is_right_and_not_set_it():
    settings = _lines(UNIT)
    assert "SystemCallFilter=adjtimex clock_adjtime clock_adjtime64" in settings
    assert not any(line.startswith("ProtectClock") for line in settings), "it forbids the question too"
    assert "CapabilityBoundingSet=" in settings
    assert "NoNewPrivileges=yes" in settings


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="no systemd-sysusers on this machine")
def test_the_user_of_the_unit_can_be_made(tmp_path):
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", "--inline", *_lines(USERS)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    user = re.search(r"^User=(.+)$", UNIT.read_text(), re.MULTILINE)
    assert user
    assert f"{user[1]}:" in (tmp_path / "etc" / "passwd").read_text()


@pytest.mark.slow
def test_inference_works_without_memory_that_can_be_written_and_run():
    models = sorted((ROOT / "gateway").rglob("*.tflite"))
    if not models:
        pytest.skip("no factory bundle in this tree")
    program = [sys.executable, "-c", DENY_WRITE_EXECUTE + INFER, str(models[0])]
    result = subprocess.run(program, capture_output=True, text=True, timeout=120)
    if result.returncode == 77:
        pytest.skip("this kernel cannot deny writable and executable memory (needs Linux 6.3)")
    assert result.returncode == 0, result.stderr


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
