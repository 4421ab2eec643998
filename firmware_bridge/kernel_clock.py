"""Whether anybody keeps the machine's clock right, as the kernel knows it. A shell.

A board without a battery begins in 1970 or at its last shutdown; the date alone does not tell.
"""

import ctypes

# The kernel counts how wrong its clock may be: 16 s when it boots and when nobody has set it right for nine
# hours, less as soon as a time server has. The flag beside it says less: chrony may leave it as it is.
_ERROR_US_MAX = 16_000_000


class _Timex(ctypes.Structure):
    """The head of `struct timex`; what follows differs between systems and is not looked at."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: nothing is changed, so no right is needed
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("error_max_us", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


def is_synchronised() -> bool:
    """Whether a time server's word stands behind the machine's clock.

    False also where the kernel does not tell: in some containers, and behind filters of system calls.
    """
    time = _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(time))
    except (OSError, AttributeError):
        return False
    return bool(state >= 0 and 0 <= time.error_max_us < _ERROR_US_MAX)
