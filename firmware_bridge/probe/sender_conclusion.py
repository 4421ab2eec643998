"""Which profile a device that sends by itself is of. Pure.

Its frames carry a checksum and name what they hold, so the protocol is beyond doubt; the profile is the
one that knows most of the names.
"""

from collections.abc import Sequence

from firmware_bridge.probe.conclusion import Conclusion, Sureness
from firmware_bridge.probe.plan import UNIT_MAX
from firmware_bridge.probe.search import Broadcast
from firmware_bridge.profile import Profile


def conclude_sender(broadcast: Broadcast, profiles: Sequence[Profile]) -> Conclusion:
    """What was heard of one sender comes to this."""
    sender = broadcast.sender
    heard = frozenset(sender.codes)
    known = {
        one.name: len(heard & {field.code for field in one.fields})
        for one in profiles
        if one.file.protocol == sender.protocol
    }
    most = max(known.values(), default=0)
    names = sorted(name for name, count in known.items() if count == most > 0)
    reasons = [f"it sends {sender.protocol} frames by itself, whose checksums are right, with {len(heard)} values"]
    if not names:
        sureness = Sureness.UNKNOWN
        reasons.append("none of our profiles has one of them: smartwatts-provision profile new")
    else:
        sureness = Sureness.UNSURE if names[1:] else Sureness.CERTAIN
        reasons.append(f"{most} of them are in the profile {' or '.join(names)}")
    return Conclusion(
        wire=broadcast.wire,
        unit=_unit(sender.name),
        sureness=sureness,
        profile=names[0] if names else None,
        model=None,
        serial_number=sender.name or None,
        reasons=tuple(reasons),
        rivals=tuple(names[1:]),
        protocol=sender.protocol,
    )


def _unit(name: str) -> int:
    """The number of a sensor on its line; a meter of another protocol is alone on its own."""
    return int(name) if name.isascii() and name.isdigit() and 1 <= int(name[:9]) <= UNIT_MAX else 1
