"""What physics says of values that one meter shows at one instant. Pure.

A frame that was damaged on the wire and passes its checksum shows values that do not fit each other. No
check fires on a healthy meter: each has a tolerance for rounding and for how makers define their values,
compares only what was read at the same instant, and goes one way where the field does (current that
carries no power is common, power without current is not). A maker who means something else by a register
fails a check at every read. That is no damaged frame: a check that fails again and again is ignored.
"""

from collections.abc import Callable, Mapping, Sequence

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S

# Classes of meters are 2 % and better; definitions of apparent power differ by a few more.
TOLERANCE = 0.1
# Inverters resolve currents to 0.1 A, meters start to count at 20 mA and cut small powers to 0: what that
# may hide, as a share of the rated power, and at least.
FLOOR_RATED_FRACTION = 0.02
FLOOR_W_MIN = 100.0
# Power factors come with two decimals, averaged over a longer time than the power they belong to.
FACTOR_TOLERANCE = 0.1
# Mains that are there at all have this much voltage; less is what a dead wire catches from its neighbours.
MAINS_V_MIN = 50.0
MAINS_HZ_MIN, MAINS_HZ_MAX = 45.0, 65.0
# The frequency may come with another request of the same sweep.
MAINS_WITHIN_US = US_PER_S
# A damaged frame is one of thousands: the third failure within so many reads is how this meter is.
FAILURES_BELIEVED = 3
FAILURE_FADES_READS = 20

Places = Mapping[str, int]

_STRAIN_BELIEVED = FAILURE_FADES_READS * (FAILURES_BELIEVED - 1)
_STRAIN_MAX = FAILURE_FADES_READS * FAILURES_BELIEVED
_PHASES = ("l1", "l2", "l3")
_VOLTAGES = ("voltage_v", *(f"voltage_{phase}_v" for phase in _PHASES))


class CrossCheck:
    """A relation between values of a meter.

    `members` are the places of those that take part, `blamed` of those that are suspect when it fails,
    and `within_us` is how far apart they may be read. `holds` gets all values of the meter.
    """

    def __init__(
        self,
        members: Sequence[int],
        holds: Callable[[Sequence[float]], bool],
        *,
        blamed: Sequence[int] | None = None,
        within_us: int = 0,
    ) -> None:
        self.members = tuple(members)
        self.blamed = self.members if blamed is None else tuple(blamed)
        self.within_us = within_us
        self.holds = holds
        # Failures lately: each adds what many successes take off again.
        self._strain = 0

    @property
    def is_ignored(self) -> bool:
        """Whether it has failed so often of late that this meter means something else."""
        return self._strain > _STRAIN_BELIEVED

    def note_success(self) -> None:
        """It held for one more read."""
        if self._strain:
            self._strain -= 1

    def note_failure(self) -> None:
        """It failed for one more read."""
        self._strain = min(self._strain + FAILURE_FADES_READS, _STRAIN_MAX)


def cross_checks(measurands: Sequence[Measurand], rated_power_w: float) -> list[CrossCheck]:
    """Every check that a meter with these series allows."""
    places: Places = {str(measurand): place for place, measurand in enumerate(measurands)}
    floor_w = max(rated_power_w * FLOOR_RATED_FRACTION, FLOOR_W_MIN)
    return [
        *_power_checks(places, floor_w),
        *_sum_checks(places, floor_w),
        *_mains_checks(places),
    ]


def _power_checks(places: Places, floor_w: float) -> list[CrossCheck]:
    """No more active power than volts times amperes, or the apparent power, allow."""
    checks = []
    by_phase = [
        pair for phase in _PHASES if (pair := _all(places, f"voltage_{phase}_v", f"current_{phase}_a")) is not None
    ]
    for phase, place in ((phase, places.get(f"active_power_{phase}_w")) for phase in _PHASES):
        pair = _all(places, f"voltage_{phase}_v", f"current_{phase}_a")
        if place is not None and pair is not None:
            checks += _limits(place, [pair], places.get(f"power_factor_{phase}"), floor_w)
    total, factor = places.get("active_power_w"), places.get("power_factor")
    if total is None:
        return checks
    alone = _all(places, "voltage_v", "current_a")
    if len(by_phase) == len(_PHASES):
        checks += _limits(total, by_phase, factor, floor_w)
    elif alone is not None and not by_phase:  # what a total current means on three phases is the maker's affair
        checks += _limits(total, [alone], factor, floor_w)
    if (apparent := places.get("apparent_power_va")) is not None:
        checks += _limits(total, [(apparent,)], factor, floor_w)
    return checks


def _limits(active: int, products: Sequence[tuple[int, ...]], factor: int | None, floor_w: float) -> list[CrossCheck]:
    """|P| is at most the sum of `products`; and of that, what the power factor lets through."""
    members = [active, *(place for product in products for place in product)]

    def limit_va(values: Sequence[float]) -> float:
        va = 0.0
        for product in products:
            va += abs(values[product[0]] * values[product[1]] if len(product) > 1 else values[product[0]])
        return va * (1 + TOLERANCE)

    def holds(values: Sequence[float]) -> bool:
        return abs(values[active]) <= limit_va(values) + floor_w

    checks = [CrossCheck(members, holds)]
    if factor is not None:

        def holds_with_factor(values: Sequence[float]) -> bool:
            share = min(abs(values[factor]) + FACTOR_TOLERANCE, 1.0)
            return abs(values[active]) <= limit_va(values) * share + floor_w

        checks.append(CrossCheck([*members, factor], holds_with_factor))
    return checks


def _sum_checks(places: Places, floor_w: float) -> list[CrossCheck]:
    """The powers of the phases add up to the total."""
    members = _all(places, "active_power_w", *(f"active_power_{phase}_w" for phase in _PHASES))
    if members is None:
        return []
    total, l1, l2, l3 = members

    def holds(values: Sequence[float]) -> bool:
        p1, p2, p3 = values[l1], values[l2], values[l3]
        return abs(p1 + p2 + p3 - values[total]) <= (abs(p1) + abs(p2) + abs(p3)) * TOLERANCE + floor_w

    return [CrossCheck(members, holds)]


def _mains_checks(places: Places) -> list[CrossCheck]:
    """Where there is voltage there is a frequency of mains; voltages have a rate to be judged by, so it is blamed."""
    frequency = places.get("frequency_hz")
    if frequency is None:
        return []

    def holds_beside(voltage: int) -> Callable[[Sequence[float]], bool]:
        def holds(values: Sequence[float]) -> bool:
            return MAINS_HZ_MIN <= values[frequency] <= MAINS_HZ_MAX or values[voltage] <= MAINS_V_MIN

        return holds

    return [
        CrossCheck([voltage, frequency], holds_beside(voltage), blamed=[frequency], within_us=MAINS_WITHIN_US)
        for voltage in (places.get(name) for name in _VOLTAGES)
        if voltage is not None
    ]


def _all(places: Places, *names: str) -> tuple[int, ...] | None:
    """The places of all these series; None when one is not there."""
    found = [places[name] for name in names if name in places]
    return tuple(found) if len(found) == len(names) else None
