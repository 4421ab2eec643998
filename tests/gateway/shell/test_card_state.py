from pathlib import Path

import pytest

from firmware_bridge.reading import UtcUs
from gateway.shell import card_state
from gateway.shell.card_state import RETRY_US, CardState
from gateway.shell.database import StorageError
from tests.sim.stores import NOW_US


def test_a_card_is_tried_now_and_then_and_told_of_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    state = CardState(tmp_path)
    assert state.is_due(NOW_US)
    for number in range(3):
        error = state.note_away(StorageError("no room", "full"), UtcUs(NOW_US + number))
        assert (error.card, state.card) == ("full", "full")
    assert [state.is_due(UtcUs(NOW_US + 2 + after)) for after in (0, RETRY_US - 1, RETRY_US, -RETRY_US)] == [
        False,
        False,
        True,
        True,
    ]
    state.note_away(StorageError("no writing", "read_only"), NOW_US)
    state.note_well()
    state.note_well()
    assert state.card == "ok"
    assert len(caplog.messages) == 3


def test_a_disk_without_room_is_full_whatever_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert CardState(tmp_path).note_away(StorageError("disk I/O error", "failing"), NOW_US).card == "failing"
    assert CardState(tmp_path / "gone").note_away(StorageError("damaged", None), NOW_US).card == "failing"
    monkeypatch.setattr(card_state, "FULL_BYTES", 1 << 60)
    assert CardState(tmp_path).note_away(StorageError("disk I/O error", "failing"), NOW_US).card == "full"
    assert CardState(tmp_path).note_away(StorageError("no writing", "read_only"), NOW_US).card == "read_only"
