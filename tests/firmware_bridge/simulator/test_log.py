"""The log of all values: appended, and an error when it cannot be."""

from pathlib import Path

import msgspec
import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, UtcUs
from firmware_bridge.simulator.faults import Silent
from firmware_bridge.simulator.log import ValueLog

FAULT = Silent(meter=MeterId("grid"), from_us=UtcUs(1), until_us=UtcUs(2))


def test_a_restart_appends(tmp_path):
    for _ in range(2):
        log = ValueLog(tmp_path / "log.jsonl")
        log.faulted(FAULT)
        log.close()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match=r"--log = .*none/log: cannot be written"):
        ValueLog(tmp_path / "none" / "log")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_run_and_does_not_shorten_the_log_silently():
    log = ValueLog(Path("/dev/full"))
    log.faulted(FAULT)
    with pytest.raises(SettingError, match="make room"):
        log.flush()
    log.close()


def test_what_a_device_sent_by_itself_is_a_line(tmp_path):
    log = ValueLog(tmp_path / "log.jsonl")
    log.sent(UtcUs(7), MeterId("air"), 9, {Measurand.TEMPERATURE_C: 21.5, Measurand.CONTACT: None})
    log.close()
    assert msgspec.json.decode((tmp_path / "log.jsonl").read_bytes()) == {
        "at_us": 7,
        "meter": "air",
        "unit": 9,
        "values": {"temperature_c": 21.5, "contact": None},
    }
