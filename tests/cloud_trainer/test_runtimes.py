import sys

import pytest

from cloud_trainer.runtimes import pythons, require_usable, runtime_of
from firmware_bridge.errors import SettingError

pytestmark = pytest.mark.slow


def test_ours_comes_first_and_has_a_runtime():
    assert pythons()[0] == sys.executable
    found = runtime_of(sys.executable)
    assert found.name in ("tflite-runtime", "ai-edge-litert")
    assert (found.version is None, found.numpy is None, found.problem) == (False, False, "")


def test_what_is_named_is_asked_beside_ours(tmp_path):
    assert pythons([str(tmp_path / "python")]) == [sys.executable, str(tmp_path / "python")]


def test_one_that_cannot_be_asked_or_has_no_runtime_is_named(tmp_path):
    gone = tmp_path / "python"
    assert runtime_of(str(gone)).problem == "it cannot be asked: FileNotFoundError"
    gone.write_text('#!/bin/sh\necho \'{"numpy": "1.26"}\'\n')
    gone.chmod(0o755)
    found = runtime_of(str(gone))
    assert (found.name, found.numpy) == (None, "1.26")
    with pytest.raises(SettingError, match="it has no runtime of TensorFlow Lite"):
        require_usable([sys.executable, str(gone)])
    assert [one.name for one in require_usable([sys.executable])] == [runtime_of(sys.executable).name]
