import pytest

from cloud_trainer.sources.mapping import UNITS, Power, duration_us, form_of_map, form_of_options
from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn

MAP = ReplayMap(
    source="made up",
    cadence_s=900,
    rated_power_w=20_000,
    time=TimeColumn("at", "end", "%d/%m/%Y %H:%M", "Asia/Seoul", "2018-01-01T00:15"),
    value=ValueColumn("energy", "kWh"),
    production=ValueColumn("sun", "relative", 4.0),
    rows=96,
)


def test_a_map_of_a_replay_says_all_there_is_to_say():
    form = form_of_map(MAP)
    assert form.columns == ("at", "energy", "sun")
    assert form.powers == (Power("energy", 4_000.0), Power("sun", 4.0))
    assert (form.zone.key, form.zone_is_named, form.stamps) == ("Asia/Seoul", True, "end")
    assert (form.cadence_us, form.rows, form.rated_power_w) == (900_000_000, 96, 20_000)


@pytest.mark.parametrize(
    ("unit", "watts"), [("W", 1), ("kW", 1e3), ("MW", 1e6), ("Wh", 4), ("kWh", 4e3), ("MWh", 4e6)]
)
def test_every_unit_is_watts_in_the_end(unit, watts):
    form = form_of_options(time="at", value="x", cadence="15min", unit=unit)
    assert form.consumption == Power("x", watts)
    assert unit in UNITS


def test_without_a_unit_and_a_zone_nothing_is_claimed():
    form = form_of_options(time="at", value="x", cadence="15min")
    assert form.consumption.watts_per_unit is None
    assert not form.zone_is_named
    assert form.zone.key == "UTC"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cadence": "quarter"}, "--cadence = 'quarter': is no length of time"),
        ({"cadence": "7min"}, "cadence = 420 s: is no part of a day"),
        ({"cadence": "2d"}, "is no part of a day"),
        ({"unit": "kva"}, "--unit = 'kva': is no unit"),
        ({"time_zone": "Berlin"}, "is not a known zone"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(SettingError) as caught:
        form_of_options(**({"time": "at", "value": "x", "cadence": "15min"} | options))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("15min", 900), ("24h", 86_400), ("30 s", 30), ("1d", 86_400), ("5m", 300)]
)
def test_lengths_of_time_are_read(text, seconds):
    assert duration_us("--horizon", text) == seconds * 1_000_000


@pytest.mark.parametrize("text", ["", "0h", "15", "-1h", "1.5h", "1h30min", "9" * 30 + "s"])
def test_other_lengths_are_not(text):
    with pytest.raises(SettingError, match="--horizon"):
        duration_us("--horizon", text)
