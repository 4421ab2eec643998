from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.serial_port import SerialPort, lasting_name, list_links, port_trouble


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A folder of devices with two adapters and the links that udev keeps."""
    for name in ("ttyUSB0", "ttyUSB1", "by-id", "by-path"):
        (tmp_path / name).mkdir() if name.startswith("by") else (tmp_path / name).touch()
    (tmp_path / "by-id" / "usb-red-port0").symlink_to("../ttyUSB0")
    (tmp_path / "by-path" / "pci-1-port0").symlink_to("../ttyUSB0")
    (tmp_path / "by-path" / "pci-2-port0").symlink_to("../ttyUSB1")
    return tmp_path


def folders(dev: Path) -> list[Path]:
    return [dev / "by-id", dev / "by-path", dev / "missing"]


def test_links_are_listed_with_the_devices_they_lead_to(dev: Path):
    assert list_links(folders(dev)) == [
        (f"{dev}/by-id/usb-red-port0", f"{dev}/ttyUSB0"),
        (f"{dev}/by-path/pci-1-port0", f"{dev}/ttyUSB0"),
        (f"{dev}/by-path/pci-2-port0", f"{dev}/ttyUSB1"),
    ]


@given(st.lists(st.tuples(st.text(), st.text())), st.text())
def test_the_lasting_name_is_the_first_link_to_the_device(links: list[tuple[str, str]], device: str):
    name = lasting_name(device, links)
    assert (name is None) == (device not in [target for _, target in links])
    assert name is None or (name, device) in links


def test_an_adapter_is_found_again_under_its_new_name(dev: Path):
    port = SerialPort(f"{dev}/ttyUSB0", folders(dev))
    assert port.find() == f"{dev}/ttyUSB0"
    port.remember()
    (dev / "by-id" / "usb-red-port0").unlink()
    with pytest.raises(FileNotFoundError):  # ttyUSB0 may be another adapter by now
        port.find()
    (dev / "ttyUSB2").touch()
    (dev / "by-id" / "usb-red-port0").symlink_to("../ttyUSB2")
    port.remember()
    assert port.find() == f"{dev}/ttyUSB2"


def test_an_adapter_without_an_id_is_known_by_the_socket_it_sits_in(dev: Path):
    port = SerialPort(f"{dev}/ttyUSB1", folders(dev))
    port.remember()
    (dev / "ttyUSB1").rename(dev / "ttyUSB5")
    with pytest.raises(FileNotFoundError):
        port.find()
    (dev / "by-path" / "pci-2-port0").unlink()
    (dev / "by-path" / "pci-2-port0").symlink_to("../ttyUSB5")
    assert port.find() == f"{dev}/ttyUSB5"


def test_a_port_that_no_link_leads_to_keeps_its_name(dev: Path):
    port = SerialPort(f"{dev}/ttyAMA0", folders(dev))
    port.remember()
    assert port.find() == f"{dev}/ttyAMA0"


def test_one_that_is_configured_by_its_link_is_found_by_it(dev: Path):
    port = SerialPort(f"{dev}/by-id/usb-red-port0", folders(dev))
    port.remember()
    assert port.find() == f"{dev}/ttyUSB0"


def test_troubles_say_what_to_do():
    assert port_trouble(PermissionError(13, "x")) == "no right to open the port: put the user into its group"
    assert port_trouble(BlockingIOError(11, "x")) == "another program uses the port: stop it"
    assert port_trouble(OSError(-2, "Name or service not known")) == "Name or service not known"
    assert port_trouble(OSError("odd speed")) == "odd speed"
