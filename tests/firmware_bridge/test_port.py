import errno
import os

import pytest

from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.port import port_error


def test_a_port_that_another_program_has_is_a_conflict():
    error = port_error("127.0.0.1", 502, OSError(errno.EADDRINUSE, "error while attempting to bind on address"))
    assert isinstance(error, ConflictError)
    assert (
        str(error)
        == "--port = 502: cannot be used on 127.0.0.1 (Address already in use); give another, or 0 for a free one."
    )


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (PermissionError(errno.EACCES, "no"), os.strerror(errno.EACCES)),
        (OverflowError("port must be 0-65535."), "port must be 0-65535"),
        (OSError("could not bind on any address"), "could not bind on any address"),
    ],
)
def test_any_other_trouble_with_a_port_is_a_wrong_setting_told_in_words(cause, reason):
    error = port_error("127.0.0.1", 65536, cause)
    assert type(error) is SettingError
    assert f"({reason})" in str(error)
