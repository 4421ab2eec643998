"""Telegrams of the P1 port of a three-phase DSMR 5 meter with a gas meter behind it. Pure.

Netbeheer Nederland, DSMR P1 Companion Standard 5.0.2, chapters 5 and 6.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import US_PER_S
from firmware_bridge.simulator.faults import Fault, Values
from firmware_bridge.simulator.reflected_crc import crc16_arc
from firmware_bridge.simulator.register_map import Shown
from firmware_bridge.simulator.tariffs import TwoTariffs
from firmware_bridge.simulator.telegram import Moment, Telegram
from firmware_bridge.simulator.wall_clock import zone_named

_IDENTIFICATION = "/SWE5\\2SIMULATED"
_VERSION = "50"
# The gas meter tells its counter every five minutes.
_GAS_PERIOD_S = 300
_GAS_METER = "003"
# Counters have six digits of kilowatt-hours before the point.
_WRAP_WH = 1_000_000_000
# What falls into the low tariff when a fault decides what is counted.
_LOW_SHARE = 0.4

_VOLTS = ((Measurand.VOLTAGE_L1_V, "32"), (Measurand.VOLTAGE_L2_V, "52"), (Measurand.VOLTAGE_L3_V, "72"))
_AMPERES = ((Measurand.CURRENT_L1_A, "31"), (Measurand.CURRENT_L2_A, "51"), (Measurand.CURRENT_L3_A, "71"))
# Drawn and fed back.
_POWERS = (
    (Measurand.ACTIVE_POWER_W, "1", "2"),
    (Measurand.ACTIVE_POWER_L1_W, "21", "22"),
    (Measurand.ACTIVE_POWER_L2_W, "41", "42"),
    (Measurand.ACTIVE_POWER_L3_W, "61", "62"),
)
_COUNTERS = ((Measurand.ENERGY_IMPORT_WH, "1", 0), (Measurand.ENERGY_EXPORT_WH, "2", 1))


class P1Form:
    """The telegrams of one meter."""

    measurands = frozenset(
        {measurand for measurand, *_ in (*_VOLTS, *_AMPERES, *_POWERS, *_COUNTERS)} | {Measurand.GAS_VOLUME_M3}
    )
    blanks: frozenset[Measurand] = frozenset()
    has_clock = True
    period_s = 1.0

    def __init__(self, tariffs: TwoTariffs, time_zone: str) -> None:
        """Split energy by `tariffs`; the meter's clock shows the wall time of `time_zone`."""
        self._tariffs, self._zone = tariffs, zone_named(time_zone)
        # What the gas meter told last, and when.
        self._gas_mark: tuple[int, tuple[Fault, ...]] | None = None
        self._gas_m3 = 0.0

    def telegram(self, moment: Moment) -> Telegram:
        """The telegram of one second."""
        shown: Shown = {}
        values = moment.values(moment.at_s)
        lines = [
            _IDENTIFICATION,
            "",
            f"1-3:0.2.8({_VERSION})",
            f"0-0:1.0.0({self._stamp(moment.clock_us)})",
            f"0-0:96.1.1({_hex(f'E{moment.serial_number}')})",
            *self._energy(moment.at_s, values, shown),
            f"0-0:96.14.0({1 if self._tariffs.is_low(moment.at_s) else 2:04d})",
            *_momentary(values, shown),
            "0-0:96.13.0()",
            *self._gas(moment, shown),
        ]
        text = "\r\n".join([*lines, "!"]).encode("ascii")
        return Telegram(text + f"{crc16_arc(text):04X}\r\n".encode("ascii"), shown)

    def _energy(self, at_s: int, values: Values, shown: Shown) -> Iterator[str]:
        low, truth = self._tariffs.low_wh(at_s), self._tariffs.total_wh(at_s)
        for measurand, code, place in _COUNTERS:
            total_wh = values[measurand]
            # What a fault makes of a counter is unknown to the tariffs.
            low_wh = low[place] if total_wh == truth[place] else _LOW_SHARE * total_wh
            parts = [round(part_wh) % _WRAP_WH for part_wh in (low_wh, total_wh - low_wh)]
            for tariff, part_wh in enumerate(parts, start=1):
                yield f"1-0:{code}.8.{tariff}({part_wh / 1000:010.3f}*kWh)"
            shown[measurand] = float(sum(parts))

    def _gas(self, moment: Moment, shown: Shown) -> Iterator[str]:
        late_s = moment.at_s % _GAS_PERIOD_S
        mark = (moment.at_s - late_s, moment.faults)
        if self._gas_mark != mark:
            self._gas_m3 = round(moment.values(moment.at_s - late_s)[Measurand.GAS_VOLUME_M3], 3)
            self._gas_mark = mark
        shown[Measurand.GAS_VOLUME_M3] = gas_m3 = self._gas_m3
        yield f"0-1:24.1.0({_GAS_METER})"
        yield f"0-1:96.1.0({_hex(f'G{moment.serial_number}')})"
        yield f"0-1:24.2.1({self._stamp(moment.clock_us - late_s * US_PER_S)})({gas_m3:09.3f}*m3)"

    def _stamp(self, at_us: int) -> str:
        """Local time, with S in summer and W in winter: only that tells the two hours of an autumn night apart."""
        at = datetime.fromtimestamp(at_us // US_PER_S, UTC).astimezone(self._zone)
        return f"{at:%y%m%d%H%M%S}{'S' if at.dst() else 'W'}"


def _momentary(values: Values, shown: Shown) -> Iterator[str]:
    for measurand, drawn, fed in _POWERS:
        watts = round(values[measurand])
        shown[measurand] = float(watts)
        yield f"1-0:{drawn}.7.0({max(watts, 0) / 1000:06.3f}*kW)"
        yield f"1-0:{fed}.7.0({max(-watts, 0) / 1000:06.3f}*kW)"
    for measurand, code in _VOLTS:
        shown[measurand] = volts = round(values[measurand], 1)
        yield f"1-0:{code}.7.0({volts:05.1f}*V)"
    for measurand, code in _AMPERES:
        amperes = round(abs(values[measurand]))
        shown[measurand] = float(amperes)
        yield f"1-0:{code}.7.0({amperes:03d}*A)"


def _hex(text: str) -> str:
    """Identifiers are sent as the hexadecimal digits of their characters."""
    return text.encode("ascii").hex().upper()
