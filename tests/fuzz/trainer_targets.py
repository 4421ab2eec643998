"""Parsers of what training reads: recordings of any make, with a map and without."""

from collections.abc import Hashable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np

from cloud_trainer.finding import CHECKS
from cloud_trainer.selection import MinimumDays, select
from cloud_trainer.sources.files import load_file
from cloud_trainer.sources.mapping import Power, duration_us, form_of_map, form_of_options
from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.replay_map import load_map
from tests.fuzz.settings_targets import refusable
from tests.fuzz.target import BRIEF, Target

NOW_US = 1_780_000_000_000_000
_PLAIN = form_of_options(time="time", value="power", cadence="15min")
# Chosen by the first byte: what a map can say that changes how a file is read.
FORMS = (
    _PLAIN,
    replace(_PLAIN, zone=ZoneInfo("Europe/Berlin"), zone_is_named=True, stamps="end"),
    replace(_PLAIN, time_format="%d/%m/%Y %H:%M", production=Power("sun", 4.0), rated_power_w=8e3),
    replace(_PLAIN, time_format="hour", rebuild_from="2025-03-01T00:15", cadence_us=3_600_000_000),
)


@refusable
def check_training_file(data: bytes) -> Hashable:
    """Bytes that somebody calls CSV, to a verdict: every site is whole, and every finding has a name."""
    form = FORMS[(data[0] if data else 0) % len(FORMS)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "site.csv"
        path.write_bytes(data[1:])
        site = load_file(path, form)
    series = site.series
    assert len(series) > 0
    for target in series.targets:
        assert len(series.power_w(target)) == len(series)
        assert not np.isinf(series.power_w(target)).any()
    selection = select([site], now_us=NOW_US, minimum_days=MinimumDays())
    findings = selection.verdicts[0].findings
    assert all(one.check in CHECKS and one.sentence().isprintable() for one in findings)
    assert bool(selection.sites) == selection.verdicts[0].is_trained
    return (form.time_format, *sorted({one.check for one in findings}))


@refusable
def check_training_map(data: bytes) -> Hashable:
    """A map as training takes it, and a length of time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "site.map.toml"
        path.write_bytes(data)
        try:
            form = form_of_map(load_map(path))
        except SettingError:
            return duration_us("--cadence", data.decode("utf-8", "replace")) > 0
    assert len(form.columns) == 1 + len(form.powers)
    return form.time_format, form.stamps, form.production is None


def _file_seeds() -> Iterator[bytes]:
    for number, stamp in enumerate(("2025-03-30 {:02d}:00", "30.03.2025 {:02d}:00", "30/03/2025 {:02d}:00", "{:d}")):
        file = StringIO()
        file.write("time;power;sun\n" if number == 1 else "time,power,sun\n")
        for hour in range(1, 24):
            value = f"{hour},5;0" if number == 1 else f"{hour}.5,0"
            file.write(stamp.format(hour) + ";,"[number != 1] + value + "\n")
        yield bytes([number]) + file.getvalue().encode()


_MAP_SEED = b"""source = "made up"
cadence_s = 900
rated_power_w = 5000
[time]
column = "time"
stamps = "start"
time_zone = "Europe/Berlin"
[value]
column = "power"
unit = "kWh"
[production]
column = "sun"
unit = "W"
"""

_WORDS = (
    b"24:00",
    b"NaN",
    b"1.234,5",
    b"+02:00",
    b"Z",
    b"\r\n",
    b'"',
    b"\xff\xfe",
    b"1740787200",
    b" PM",
    b"-",
    b"1e9",
)
TARGETS = [
    Target("training_file", check_training_file, list(_file_seeds()), _WORDS),
    Target("training_map", check_training_map, [_MAP_SEED, b"15min", b"24h"], (b"UTC", b"9" * 30), share=BRIEF),
]
