import importlib.util
import os

import pytest

from cloud_trainer import tensorflow_setup
from firmware_bridge.errors import SettingError

HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None


@pytest.mark.skipif(HAS_TENSORFLOW, reason="TensorFlow is installed here")
def test_without_it_the_next_step_is_named():
    assert not tensorflow_setup.is_installed()
    with pytest.raises(SettingError, match=r"run `make setup-trainer` and use .venv-trainer/bin"):
        tensorflow_setup.require()


@pytest.mark.tf
def test_where_it_is_its_sums_are_the_same_everywhere(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    tensorflow_setup.require()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
