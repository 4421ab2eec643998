"""The devices of a scenario, made from their settings and profiles: each knows what it measures and how it tells."""

from collections.abc import Mapping
from typing import Any

from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S, MeterId, UtcUs
from firmware_bridge.simulator.battery import Battery
from firmware_bridge.simulator.house import House
from firmware_bridge.simulator.instrument import Instrument
from firmware_bridge.simulator.map_reader import register_map_of
from firmware_bridge.simulator.meter import Meter
from firmware_bridge.simulator.noise import F64, I64
from firmware_bridge.simulator.p1_telegram import P1Form
from firmware_bridge.simulator.plant import Plant
from firmware_bridge.simulator.replay import Replay
from firmware_bridge.simulator.scenario import MeterSettings, Scenario
from firmware_bridge.simulator.sender import SendingMeter
from firmware_bridge.simulator.sensor_frame import SensorForm
from firmware_bridge.simulator.sml_file import SmlForm
from firmware_bridge.simulator.source import Gauge, HouseSource, ReplaySource, Site, Source
from firmware_bridge.simulator.tariffs import Energy, TwoTariffs
from firmware_bridge.simulator.telegram import Form
from firmware_bridge.simulator.utility_room import UtilityRoom
from firmware_bridge.simulator.weather import Weather

# The battery of a home that does not say: what is sold for panels of 4 kW.
DEFAULT_BATTERY_WH = 10_000.0

Tree = Mapping[str, Any]


class Cast:
    """Makes the devices of one home."""

    def __init__(
        self, scenario: Scenario, trees: Mapping[str, Tree], house: House, replay: Replay | None, start_us: UtcUs
    ) -> None:
        """`trees` are the profiles' TOML trees by name."""
        self._trees, self._replay, self._start_us = trees, replay, start_us
        self._seed, self._time_zone = scenario.site.seed, scenario.site.time_zone
        self._site = Site(house, self._battery(scenario, house))
        weather = Weather(house)
        self._gauges: list[Gauge] = [Plant(self._site, start_us), weather, UtilityRoom(house, weather, start_us)]

    def device(self, settings: MeterSettings) -> Meter | SendingMeter:
        """The device that `settings` describe.

        Raises:
            SettingError: its profile lacks what a simulated device needs.
        """
        tree, name = self._trees[settings.profile], MeterId(settings.name)
        source = self._source(settings)
        if tree.get("protocol", "modbus") == "modbus":
            registers = register_map_of(settings.profile, tree)
            return Meter(name, settings.unit, registers, source, self._seed, self._known(registers.measurands))
        # Its counters are asked for before its form is known.
        bare = Instrument(name, settings.unit, source, self._seed)
        form = self._form(settings, tree, bare)
        instrument = Instrument(name, settings.unit, source, self._seed, self._known(form.measurands))
        return SendingMeter(instrument, form, settings.period_s)

    def _form(self, settings: MeterSettings, tree: Tree, instrument: Instrument) -> Form:
        match tree.get("protocol"):
            case "sensor":
                return SensorForm(settings.profile, tree, settings.unit, settings.body)
            case "sml":
                return SmlForm()
            case "p1":

                def energy_wh(at_s: int) -> Energy:
                    values = instrument.values(at_s)
                    return values[Measurand.ENERGY_IMPORT_WH], values[Measurand.ENERGY_EXPORT_WH]

                return P1Form(TwoTariffs(energy_wh, self._start_us // US_PER_S, self._time_zone), self._time_zone)
        problem = f"has protocol {tree.get('protocol')!r}, which cannot be simulated"
        raise SettingError("meter.profile", settings.profile, problem, "use another profile")

    def _known(self, measurands: frozenset[Measurand]) -> list[Gauge]:
        return [gauge for gauge in self._gauges if gauge.measurands & measurands]

    def _source(self, settings: MeterSettings) -> Source:
        if settings.quantity == "replay":
            assert self._replay is not None, "parse_scenario has checked it"
            return ReplaySource(self._site, self._replay)
        return HouseSource(self._site, settings.quantity, self._start_us)

    def _battery(self, scenario: Scenario, house: House) -> Battery | None:
        """The home's battery: as the site says, or where there are meters that would show it."""
        capacity_wh = scenario.site.battery_wh
        if capacity_wh is None:
            is_shown = any(Measurand.STATE_OF_CHARGE in tree.get("registers", {}) for tree in self._trees.values())
            is_measured = any(meter.quantity == "battery" for meter in scenario.meters)
            capacity_wh = DEFAULT_BATTERY_WH if is_shown or is_measured else 0.0
        if not capacity_wh:
            return None

        def surplus_w(at_us: I64) -> F64:
            power = house.power_w(at_us)
            return power.solar_w - power.load_w

        return Battery(capacity_wh, self._start_us, surplus_w)
