"""What can go wrong at the bridge, grouped by who must act. Pure.

A *setting* is the installer's to correct, a *bus* error is the wiring's or the meter's. Refusals
(security) have classes of their own where they arise, in the gateway.
"""

from enum import IntEnum
from typing import ClassVar

# An error fits a few lines of a terminal, whatever somebody wrote; a next step may list fifty choices.
_CHARACTERS_MAX, _NEXT_STEP_CHARACTERS_MAX = 400, 1600


class Exit(IntEnum):
    """Exit codes of every command; README.md lists them."""

    OK = 0
    FAILED = 1
    BAD_SETTING = 2
    NOT_FOUND = 3
    NOT_VERIFIED = 5
    UNREACHABLE = 6
    CONFLICT = 8
    INTERRUPTED = 130


class BridgeError(Exception):
    """Any expected trouble of this package."""


class SettingError(BridgeError):
    """A setting somebody wrote is wrong: names the field, the value and the next step."""

    # what a command that this error ends exits with
    exit_code: ClassVar[Exit] = Exit.BAD_SETTING

    def __init__(self, field: str, value: str, problem: str, next_step: str) -> None:
        self.field, self.value, self.problem = _one_line(field), _one_line(value), _one_line(problem)
        self.next_step = _one_line(next_step, _NEXT_STEP_CHARACTERS_MAX)
        super().__init__(f"{self.field} = {self.value}: {self.problem}; {self.next_step}.")


class NotFoundError(SettingError):
    """A setting could be right, but what it names is not among what there is."""

    exit_code = Exit.NOT_FOUND


class ConflictError(SettingError):
    """A setting could be right, but what it names is there already, or somebody else uses it."""

    exit_code = Exit.CONFLICT


class BusError(BridgeError):
    """A meter or its line failed; the reader goes on and tries again."""


class NoReplyError(BusError):
    """The meter stayed silent until the deadline."""


class LineError(BusError):
    """The line itself cannot be used: not connected, refused, unplugged."""


class UnfitPortError(LineError):
    """The port cannot do this speed or parity; others it can."""


class ExceptionReplyError(BusError):
    """The meter answered with a Modbus exception code."""

    def __init__(self, message: str, code: int = 0) -> None:
        self.code = code
        super().__init__(message)


class BadReplyError(BusError):
    """The reply does not fit the request: wrong unit, length or function."""


def _one_line(text: str, characters_max: int = _CHARACTERS_MAX) -> str:
    if len(text) <= characters_max and text.isprintable():
        return text
    told = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text[:characters_max])
    return told[:characters_max] + "…" * (len(text) > characters_max or len(told) > characters_max)
