"""What a check found: its name, what it saw, and what to do about it. Pure."""

from typing import Literal, get_args

import msgspec

from gateway.contract.manifest import ForecastTarget

# In this order: what was measured, then when.
Check = Literal[
    "no_values",
    "constant",
    "too_short",
    "gaps",
    "negative",
    "unit",
    "unit_jump",
    "stuck",
    "future",
    "cadence",
    "text_cells",
    "clock_steps",
    "duplicated_hours",
    "missing_hours",
    "roles",
    "time_zone",
]
CHECKS: tuple[Check, ...] = get_args(Check)
# An error keeps a site out of training, a warning is told, a note says how something was read.
Severity = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is to be known of a site's data."""

    check: Check
    severity: Severity
    found: str
    next_step: str
    # which of the site's powers; None when it is about both
    target: ForecastTarget | None = None

    def sentence(self) -> str:
        """All of it on one line."""
        target = f" {self.target}" if self.target else ""
        return f"{self.severity} {self.check}{target}: {self.found}; {self.next_step}."
