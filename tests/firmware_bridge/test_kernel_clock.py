import ctypes

import pytest

from firmware_bridge import kernel_clock


class Kernel:
    """A C library whose kernel answers as told."""

    def __init__(self, state: int, error_max_us: int) -> None:
        self._state, self._error_max_us = state, error_max_us

    def adjtimex(self, reference) -> int:
        time = reference._obj
        assert time.modes == 0, "nothing is changed"
        time.error_max_us = self._error_max_us
        return self._state


def asked(monkeypatch: pytest.MonkeyPatch, library: object) -> bool:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    return kernel_clock.is_synchronised()


@pytest.mark.parametrize(
    ("state", "error_max_us", "is_synchronised"),
    [
        (0, 0, True),
        (0, 15_999_999, True),
        (1, 500, True),  # a leap second is announced
        (5, 16_000_000, False),  # at boot, and nine hours after the last word of a time server
        (5, 2_000, True),  # chrony that leaves the flag alone
        (-1, 0, False),  # a filter of system calls
        (0, -1, False),
    ],
)
def test_what_the_kernel_says_of_its_error_decides(monkeypatch, state: int, error_max_us: int, is_synchronised: bool):
    assert asked(monkeypatch, Kernel(state, error_max_us)) is is_synchronised


def test_a_library_without_the_call_is_no_word_of_a_time_server(monkeypatch):
    assert asked(monkeypatch, object()) is False


def test_a_system_without_such_a_library_is_no_word_of_a_time_server(monkeypatch):
    def none(_: None) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert kernel_clock.is_synchronised() is False


def test_the_kernel_of_this_machine_can_be_asked():
    assert kernel_clock.is_synchronised() in (True, False)
