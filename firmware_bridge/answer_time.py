"""How long to wait for a device: learned from how long it takes. Pure.

The estimator of TCP's retransmission timer, RFC 6298: a smoothed time and its mean deviation, and
after a silence twice as long, up to what the installer allows. Without it, each reply that gets lost
on a line would cost all other devices the full time-out.
"""

# RFC 6298, 2.3: weights of a new sample in the mean and in the deviation; deviations that are waited.
_MEAN_WEIGHT, _DEVIATION_WEIGHT, _DEVIATIONS = 1 / 8, 1 / 4, 4
# What RFC 6298 calls the clock's granularity: what stands between may hold an answer back for a sixth of a second,
# and a device is not called silent for that.
GRANULARITY_S = 0.15
# What a device that never answered, or has not for long, gets: the others wait for it in vain.
PROBE_S = 0.3
# But each time after this many it gets all the installer allows: it may just be slow.
PROBES_SHORT = 3


class AnswerTime:
    """The answer time of one device, seconds from the end of a request to the start of its reply."""

    def __init__(self, timeout_s: float) -> None:
        """`timeout_s` is the most that the installer lets a device take."""
        self._timeout_s = timeout_s
        self._mean_s: float | None = None
        self._deviation_s = 0.0

    @property
    def mean_s(self) -> float | None:
        """The smoothed answer time; None before the first answer."""
        return self._mean_s

    def learn(self, took_s: float) -> None:
        """It took that long."""
        took_s = max(took_s, 0.0)
        if self._mean_s is None:
            self._mean_s, self._deviation_s = took_s, took_s / 2
            return
        self._deviation_s += (abs(took_s - self._mean_s) - self._deviation_s) * _DEVIATION_WEIGHT
        self._mean_s += (took_s - self._mean_s) * _MEAN_WEIGHT

    def deadline_s(self, silences: int) -> float:
        """How long to wait for it this time, after that many silences in a row."""
        if silences and silences % (PROBES_SHORT + 1) == 0:
            return self._timeout_s
        if self._mean_s is None:
            return min(self._timeout_s, PROBE_S) if silences else self._timeout_s
        learned_s = self._mean_s + max(_DEVIATIONS * self._deviation_s, GRANULARITY_S)
        # Two doublings: what is silent for longer is rather dead than slow.
        return min(self._timeout_s, learned_s * 2.0 ** min(silences, 2))
