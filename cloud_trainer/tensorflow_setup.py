"""TensorFlow as training wants it: there, quiet, and with the same sums in the same order everywhere."""

import importlib.util
import os

from firmware_bridge.errors import SettingError


def is_installed() -> bool:
    """Whether it can be imported; does not."""
    return importlib.util.find_spec("tensorflow") is not None


def require() -> None:
    """See to it before TensorFlow is imported, which reads these then.

    Raises:
        SettingError: it is not installed; says how to get it.
    """
    if not is_installed():
        raise SettingError(
            "train", "tensorflow", "is not installed", "run `make setup-trainer` and use .venv-trainer/bin"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Each kernel of oneDNN adds up in an order of its own.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
