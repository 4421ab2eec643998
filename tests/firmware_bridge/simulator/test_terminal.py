"""The terminal: its name, its settings, and its end."""

import os
import termios

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.terminal import Terminal
from firmware_bridge.simulator.uart import Framing


@pytest.fixture
def link(tmp_path):
    return tmp_path / "serial" / "by-id" / "usb-adapter"


async def test_it_has_the_name_it_was_given_while_it_lasts(link):
    terminal = Terminal([link], None, Framing(19200, "E", 2))
    assert link.readlink() == terminal.path
    assert terminal.framing == Framing(19200, "E", 2), "a master that sets nothing speaks as the line does"
    terminal.close()
    assert not link.is_symlink()


async def test_a_name_that_went_to_another_is_left_to_it(link):
    first, second = Terminal([link], None, Framing(9600)), Terminal([link], None, Framing(9600))
    first.close()
    assert link.readlink() == second.path
    second.close()


async def test_what_a_master_sets_is_read(link):
    terminal = Terminal([link], None, Framing(9600, "E"))
    master = os.open(link, os.O_RDWR | os.O_NOCTTY)
    settings = termios.tcgetattr(master)
    settings[4] = settings[5] = termios.B38400
    settings[2] |= termios.CSTOPB
    termios.tcsetattr(master, termios.TCSANOW, settings)
    assert terminal.framing == Framing(38400, "E", 2)
    os.close(master)
    terminal.close()


async def test_a_noted_parity_counts_and_an_old_note_does_not(link, tmp_path):
    notes = tmp_path / "parity"
    first = Terminal([link], notes, Framing(9600, "E"))
    note = notes / first.path.name
    assert first.framing.parity == "E", "nothing noted"
    for text, parity in (("N", "N"), ("O\n", "O"), ("?", "E"), ("", "E")):
        note.write_text(text)
        assert first.framing.parity == parity
    first.close()
    note.write_text("N")
    second = Terminal([link], notes, Framing(9600, "E"))
    assert second.path.name != note.name or not note.exists()
    second.close()


async def test_what_finds_no_room_is_said(link):
    terminal = Terminal([link], None, Framing(9600))
    lost = sum(terminal.write(bytes(4096)) for _ in range(40))
    assert 0 < lost < 40 * 4096
    terminal.close()


async def test_a_file_in_the_way_is_not_overwritten(link):
    link.parent.mkdir(parents=True)
    link.write_text("precious")
    with pytest.raises(SettingError, match="is there and is no link"):
        Terminal([link], None, Framing(9600))
    assert link.read_text() == "precious"


async def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"line.link = .*: cannot be made \("):
        Terminal([tmp_path / "file" / "rs485"], None, Framing(9600))
