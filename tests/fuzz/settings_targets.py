"""Parsers of what people write: meter maps, configurations, scenarios, maps of recordings and recordings."""

import gzip
import re
import tempfile
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from firmware_bridge.catalog import map_text
from firmware_bridge.errors import SettingError
from firmware_bridge.map_parser import check_profile
from firmware_bridge.poll_plan import plan
from firmware_bridge.reading import UtcUs
from firmware_bridge.registers import BlockDecoder
from firmware_bridge.simulator.map_reader import parse_register_map
from firmware_bridge.simulator.recording import read_recording
from firmware_bridge.simulator.replay_map import ReplayMap, TimeColumn, ValueColumn, load_map
from firmware_bridge.simulator.scenario import EXAMPLE, faults_of, parse_scenario
from gateway.config import load
from tests.fuzz.target import BRIEF, Target

ROOT = Path(__file__).parents[2]
# One line of a terminal, and a few more for a list of choices.
SENTENCE_CHARACTERS_MAX = 2_000
_SAMPLES = ("eastron_sdm630", "sunspec_meter", "deye_hybrid_3p", "serial_sensor", "dsmr_p1")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _mistake(error: SettingError) -> Hashable:
    """What is wrong, without what was written: that has no end of varieties."""
    sentence = str(error)
    assert len(sentence) <= SENTENCE_CHARACTERS_MAX, sentence[:200]
    assert "\n" not in sentence
    return re.sub(r"\W*\d.*|'.*", "", error.problem)[:40], re.sub(r"\d+", "", error.field)[-20:]


def refusable(check: Callable[[bytes], Hashable]) -> Callable[[bytes], Hashable]:
    """A check whose input may be refused, with a sentence for whoever wrote it."""

    def checked(data: bytes) -> Hashable:
        try:
            return check(data)
        except SettingError as error:
            return _mistake(error)

    return checked


def check_meter_map(data: bytes) -> Hashable:
    """By both readers of maps; one that is taken can be planned and decoded."""
    text = _text(data)
    simulated = refusable(lambda _: len(parse_register_map("fuzzed", text).registers))(data)
    profile, mistakes = check_profile(text, "fuzzed")
    assert (profile is None) == bool(mistakes)
    if profile is None:
        return (*sorted({str(_mistake(one)) for one in mistakes})[:3], str(simulated)[:20])
    for block in plan(profile) if profile.registers else ():
        BlockDecoder(block.registers, block.address, block.count).decode([0] * block.count)
    return len(profile.registers), len(profile.fields)


def _map_seeds() -> Iterator[bytes]:
    for name in _SAMPLES:
        yield re.sub(r'^key = ".*"', 'key = "fuzzed"', map_text(name), flags=re.MULTILINE).encode()


def check_config(data: bytes) -> Hashable:
    """The gateway's configuration."""
    config = load(_text(data))
    return len(config.buses), len(config.meters)


CONFIG = b"""
[site]
gateway_id = "gw-1"
time_zone = "Africa/Lagos"
[record]
poll_period_s = 1
[[bus]]
name = "rs485"
url = "serial:///dev/ttyUSB0"
baud = 19200
[[meter]]
name = "grid"
bus = "rs485"
unit = 1
profile = "eastron_sdm630"
role = "grid"
[sync]
url = "http://127.0.0.1:8080"
[update]
url = "https://models.example/repository/"
root = "/etc/smartwatts/root.json"
"""


def check_scenario(data: bytes) -> Hashable:
    """With its lines and what goes wrong on them."""
    scenario = parse_scenario(_text(data))
    return len(scenario.meters), len(scenario.lines), len(faults_of(scenario, UtcUs(0)))


FAULTS = b"""
[[meter]]
name = "grid"
unit = 1
profile = "eastron_sdm630"
quantity = "grid"
[[line]]
name = "rs485"
kind = "serial"
link = "rs485"
[[line.fault]]
kind = "delay"
unit = 1
delay_s = 0.8
[[fault]]
kind = "spike"
meter = "grid"
at = 2026-01-05T06:00:00Z
for_s = 60
register = "active_power_w"
value = 60000
"""

_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")


def _on_disk(name: str, data: bytes) -> Path:
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


def check_replay_map(data: bytes) -> Hashable:
    """How to read a recording."""
    form = load_map(_on_disk("form.map.toml", data))
    return form.time.format, form.value.unit


_KWH = ValueColumn("kwh", "kWh")
_FORMS = [
    ReplayMap("here", 900, 20_000.0, TimeColumn("at", "start"), ValueColumn("power_w", "W")),
    ReplayMap("here", 3600, 20_000.0, TimeColumn("at", "end", "%d/%m/%Y %H:%M", "Africa/Lagos"), _KWH),
    ReplayMap("here", 3600, 20_000.0, TimeColumn("at", "end", "hour", rebuild_from="2018-01-01T01:00"), _KWH),
]


def check_recording(data: bytes) -> Hashable:
    """Plain, or packed where it says so itself."""
    form = _FORMS[data[0] % len(_FORMS)] if data else _FORMS[0]
    body = data[1:]
    path = _on_disk("recording.csv.gz" if body.startswith(b"\x1f\x8b") else "recording.csv", body)
    recording = read_recording(path, form)
    assert recording.power_w.size > 0
    return form.time.format, recording.power_w.size


def _recording_seeds() -> Iterator[bytes]:
    rows = b"at,power_w\n2026-01-01T00:00,100\n2026-01-01T00:15,-20.5\n2026-01-01T00:30,0\n"
    yield b"\x00" + rows
    yield b"\x00" + gzip.compress(rows, mtime=0)
    yield b'\x01"at";kwh,at\n,1.5,01/02/2026 00:00\n,2,01/02/2026 01:00\n'
    yield b"\x02at,kwh\n1,0.5\n2,0.5\n3,0.75\n"


_MAP_WORDS = [b"u64", b"f32", b"acc32", b"low_first", b"scale_address = 1\n", b"0x7FFFFFFF"]
_REPLAY_MAPS = [path.read_bytes() for path in sorted((ROOT / "tests/maps").iterdir())]

TARGETS = [
    Target("meter_map", check_meter_map, _map_seeds(), _MAP_WORDS, 16_384),
    Target(
        "scenario",
        refusable(check_scenario),
        [EXAMPLE.read_bytes(), FAULTS],
        [b"[[line.fault]]\n"],
        16_384,
    ),
    Target("config", refusable(check_config), [CONFIG], [b"[[meter]]\n", b"rtu+tcp://", b"[update]\n"], share=BRIEF),
    Target("replay_map", refusable(check_replay_map), _REPLAY_MAPS, share=BRIEF),
    Target("recording", refusable(check_recording), _recording_seeds(), [b'"', b"\n", b"\r", b",,"], share=BRIEF),
]
