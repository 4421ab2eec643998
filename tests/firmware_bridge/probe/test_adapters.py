import pytest

from firmware_bridge.probe.adapters import Adapter, adapters, best_name


@pytest.fixture
def devices(tmp_path):
    """A folder like /dev, with an adapter that has a lasting name and one that has none."""
    for name in ("ttyUSB0", "ttyUSB1", "ttyS0", "null"):
        (tmp_path / name).touch()
    links = tmp_path / "by-id"
    links.mkdir()
    (links / "usb-FTDI_FT232R_A50285BI-if00-port0").symlink_to(tmp_path / "ttyUSB1")
    return tmp_path, [links, tmp_path / "by-path"]


def test_adapters_are_told_by_the_name_that_lasts(devices):
    folder, links = devices
    lasting = str(links[0] / "usb-FTDI_FT232R_A50285BI-if00-port0")
    assert adapters(folder, links) == [
        Adapter(str(folder / "ttyUSB0"), str(folder / "ttyUSB0")),
        Adapter(lasting, str(folder / "ttyUSB1")),
    ]
    assert [one.is_lasting for one in adapters(folder, links)] == [False, True]


def test_a_name_that_may_change_is_replaced_where_there_is_a_better(devices):
    folder, links = devices
    assert best_name(str(folder / "ttyUSB1"), links).endswith("if00-port0")
    assert best_name(str(folder / "ttyUSB0"), links) == str(folder / "ttyUSB0")


def test_a_machine_without_adapters_has_none(tmp_path):
    assert adapters(tmp_path, [tmp_path / "by-id"]) == []
