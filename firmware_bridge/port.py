"""Why a port cannot be listened on, in the words that every program of ours uses. Pure."""

import errno
import os

from firmware_bridge.errors import ConflictError, SettingError


def port_error(host: str, port: int, cause: OSError | OverflowError, field: str = "--port") -> SettingError:
    """What to raise from `cause`, which asyncio gave when it was to listen; a conflict when the port is taken."""
    number = cause.errno if isinstance(cause, OSError) else None
    # asyncio wraps the system's words into a sentence of its own
    reason = os.strerror(number) if number else str(cause).rstrip(".")
    kind = ConflictError if number == errno.EADDRINUSE else SettingError
    problem = f"cannot be used on {host} ({reason})"
    return kind(field, str(port), problem, "give another, or 0 for a free one")
