"""The values of one device, column by column, and how far each can be trusted. Pure."""

from collections.abc import Iterable, Mapping

from firmware_bridge.config import MeterConfig
from firmware_bridge.counter import CounterState
from firmware_bridge.counter_event import CounterEvent
from firmware_bridge.counter_rules import counter_rules
from firmware_bridge.measurand import Measurand
from firmware_bridge.profile import Profile
from firmware_bridge.quality import Plausibility, Reason
from firmware_bridge.reading import MeterId, Reading, Series, UtcUs


class Sheet:
    """One column for each measurand of the device, in the order of its profile.

    A column that is read seldom repeats its last reading, with its instant, until it is read again.
    """

    def __init__(
        self, config: MeterConfig, profile: Profile, counters: Mapping[Measurand, CounterState] | None = None
    ) -> None:
        """`counters` is what `counters` of an earlier run gave."""
        self._meter = MeterId(config.name)
        registers = {register.measurand: register for register in profile.registers}
        measurands = [*registers, *(field.measurand for field in profile.fields)]
        self.series = [Series(self._meter, measurand) for measurand in measurands]
        self._column = {measurand: column for column, measurand in enumerate(measurands)}
        rules = {
            one.measurand: counter_rules(one, config.rated_power_w, registers.get(one.measurand))
            for one in self.series
            if one.measurand.facts.is_counter
        }
        self._plausibility = Plausibility(measurands, config.rated_power_w, rules, counters)
        self._values: list[float | None] = [None] * len(measurands)
        self._at_us: list[UtcUs | None] = [None] * len(measurands)

    @property
    def suspected(self) -> dict[Reason, int]:
        """How many values were marked suspect so far, and why."""
        return self._plausibility.counts

    @property
    def counters(self) -> dict[Measurand, CounterState]:
        """What the counting columns remember, to be kept over a restart."""
        return self._plausibility.counter_states

    def expect(self, measurands: Iterable[Measurand]) -> None:
        """These are asked for: what they showed before no longer stands; the others repeat themselves."""
        for measurand in measurands:
            self._at_us[self._column[measurand]] = None

    def put(self, measurands: Iterable[Measurand], values: Iterable[float | None], at_us: UtcUs) -> None:
        """These values came at `at_us`; None where the device says that it has none."""
        for measurand, value in zip(measurands, values, strict=True):
            column = self._column[measurand]
            self._values[column], self._at_us[column] = value, at_us

    def forget(self) -> None:
        """The device is silent: what it said before no longer stands."""
        self._at_us = [None] * len(self.series)

    def end(self, tick_us: UtcUs, serial_number: str | None) -> tuple[list[Reading], list[CounterEvent]]:
        """One reading per column, missing at `tick_us` where nothing stands; and what counters had to explain."""
        instants = [tick_us if at_us is None else at_us for at_us in self._at_us]
        values = [None if at_us is None else value for value, at_us in zip(self._values, self._at_us, strict=True)]
        verdict = self._plausibility.judge(values, instants, serial_number)
        readings = [
            Reading(self._meter, series.measurand, at_us, value, quality)
            for series, at_us, value, quality in zip(self.series, instants, values, verdict.qualities, strict=True)
        ]
        return readings, verdict.events
