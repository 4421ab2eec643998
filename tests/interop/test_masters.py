"""Masters that others wrote against our simulator: what a meter shows is what they read."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.poll_plan import plan
from firmware_bridge.profile import placed
from tests.interop.gateway_line import BAUD, GatewayLine
from tests.interop.meters import HERE, NAMES, unit_of
from tests.interop.poller import Poller
from tests.interop.program import Program
from tests.interop.register_words import MeterMap, Words
from tests.interop.sunspec_chain import FUNCTION, model_address

pytestmark = pytest.mark.slow

PIP = [sys.executable, "-W", "error", HERE / "master.py"]
PARITY_WORDS = {"n": "none", "e": "even"}

# Unit, function, address and count -> the words, or what went wrong.
Read = Callable[[int, int, int, int], list[int] | str]


class Site(NamedTuple):
    """A simulator with all meters on each of its lines, and the gateway's view of it."""

    simulator: Program
    # by name of the line
    urls: dict[str, str]
    gateway: GatewayLine


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, maps: Mapping[str, MeterMap], maps_folder: Path, notes: Path
) -> Iterator[Site]:
    scenario = tmp_path_factory.mktemp("site") / "scenario.toml"
    lines = [
        {"name": "tcp", "kind": "tcp"},
        {"name": "converter", "kind": "rtu_over_tcp"},
        {"name": "8n1", "kind": "serial", "link": "8n1", "baud": BAUD},
        {"name": "8e1", "kind": "serial", "link": "8e1", "baud": BAUD, "parity": "E", "parity_notes": str(notes)},
    ]
    sections = [
        f"profiles = {json.dumps(str(maps_folder))}",
        *(_section("meter", name=name, unit=unit_of(name), profile=name, quantity="grid") for name in NAMES),
        *(_section("line", **line) for line in lines),
    ]
    scenario.write_text("\n".join(sections), encoding="utf-8")
    # With a clock of its own it begins anew: no counter has a year to catch up with.
    options = ["--scenario", scenario, "--clock", scenario.with_name("origin"), "--control"]
    command = [sys.executable, "-W", "error", "-m", "firmware_bridge.simulator", *options]
    with ExitStack() as stack:
        simulator = stack.enter_context(Program(command))
        urls = _ok(simulator.hear())
        for name, meter in maps.items():
            for measurand, value in meter.known.items():
                show = {"do": "show", "meter": name, "measurand": measurand, "value": value}
                _ok(simulator.ask(json.dumps(show)))
        yield Site(simulator, urls, stack.enter_context(GatewayLine(urls["tcp"])))


def _section(heading: str, /, **settings: object) -> str:
    """TOML of texts and numbers, which JSON writes the same way."""
    return f"[[{heading}]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def _ok(line: str) -> dict[str, str]:
    answer = json.loads(line)
    assert "ok" in answer, line
    ok: dict[str, str] = answer["ok"]
    return ok


@pytest.fixture(
    scope="module",
    params=[
        "pyModbusTCP-tcp",
        "minimalmodbus-8n1",
        "minimalmodbus-8e1",
        "minimalmodbus-converter",
        "mbpoll-tcp",
        "mbpoll-8n1",
        "mbpoll-8e1",
    ],
)
def read(request: pytest.FixtureRequest, site: Site) -> Iterator[Read]:
    maker, line = request.param.split("-")
    environment = request.getfixturevalue("parity_environment") if line == "8e1" else {}
    if maker == "mbpoll":
        yield _poller(request.getfixturevalue("mbpoll"), line, site.urls[line], environment).read
        return
    with Program([*PIP, *_place(line, site.urls[line])], environment) as program:
        yield lambda *asked: _words(program.ask(" ".join(map(str, asked))))


def _place(line: str, url: str) -> list[str]:
    """What master.py is told of a line."""
    _, _, place = url.partition("://")
    if line == "tcp":
        return ["tcp", *place.split(":")]
    if line == "converter":
        return ["rtu", f"socket://{place}", str(BAUD), "N"]
    return ["rtu", place, str(BAUD), line[1].upper()]


def _poller(program: str, line: str, url: str, environment: Mapping[str, str]) -> Poller:
    scheme, _, place = url.partition("://")
    if scheme == "tcp":
        host, port = place.split(":")
        return Poller(program, ("-m", "tcp", "-p", port, host), environment)
    options = ("-m", "rtu", "-b", str(BAUD), "-d", "8", "-s", "1", "-P", PARITY_WORDS[line[1]], place)
    return Poller(program, options, environment)


def _words(answer: str) -> list[int] | str:
    return answer if answer.startswith("error") else [int(word, 16) for word in answer.split()]


@pytest.mark.parametrize("name", NAMES)
def test_every_register_reads_as_it_is_shown(read: Read, site: Site, name, maps, maps_folder: Path):
    unit, meter, profile = unit_of(name), maps[name], load_profile(name, [maps_folder])
    base = _base(read, unit, meter)
    words: Words = {}
    for block in plan(placed(profile, base)):
        got = read(unit, block.function, block.address, block.count)
        assert len(got) == block.count, got
        words |= {(block.function, block.address + place): word for place, word in enumerate(got)}
    values = meter.values(words, base)
    wrong = {
        measurand: (values[measurand], known)
        for measurand, known in meter.known.items()
        if abs(values[measurand].value - known) > 0.5001 * values[measurand].step
    }
    assert not wrong
    seen_by_gateway = site.gateway.values(unit, profile)
    assert seen_by_gateway == pytest.approx({key: one.value for key, one in values.items()}, rel=1e-12)


def _base(read: Read, unit: int, meter: MeterMap) -> int:
    """What is added to the addresses of the map; other than 0 for a SunSpec device."""
    if "sunspec" not in meter.tree:
        return 0

    def two(address: int, count: int) -> list[int] | None:
        got = read(unit, FUNCTION, address, count)
        return None if isinstance(got, str) else got

    chain = meter.tree["sunspec"]
    return model_address(two, chain["bases"], chain["models"])


@pytest.mark.parametrize("read", ["pyModbusTCP-tcp", "minimalmodbus-8n1", "mbpoll-8e1"], indirect=True)
def test_a_refusal_is_understood(read: Read):
    unit = unit_of("carlo_gavazzi_em24_rtu")
    got = read(unit, 4, 0, 12)
    assert isinstance(got, str)
    assert "data value" in got.lower()


def test_the_texts_of_device_identification_are_understood(site: Site):
    with Program([*PIP, *_place("tcp", site.urls["tcp"])]) as program:
        assert "Schneider" in program.ask(f"{unit_of('schneider_iem3155')} 43")


@pytest.mark.parametrize(
    ("name", "measurand", "kind", "options"),
    [
        ("eastron_sdm630", "voltage_l1_v", "float", ["-B"]),
        ("shelly_pro_3em", "voltage_l1_v", "float", []),
        ("huawei_sun2000", "current_l1_a", "int", ["-B"]),
        ("carlo_gavazzi_em340", "current_l1_a", "int", []),
    ],
)
def test_both_word_orders_are_those_of_libmodbus(site: Site, mbpoll, maps, name, measurand, kind, options):
    point = next(one for one in maps[name].points if one.name == measurand)
    poller = _poller(mbpoll, "tcp", site.urls["tcp"], {})
    raw = poller.number(unit_of(name), point.function, point.parts[0][0], kind, *options)
    assert raw * float(point.factor) == pytest.approx(maps[name].known[measurand], abs=0.001)


def test_a_master_with_another_parity_reads_nothing(site: Site, mbpoll, parity_environment):
    unit = unit_of("abb_b23")
    right = _poller(mbpoll, "8e1", site.urls["8e1"], parity_environment)
    assert len(right.read(unit, 3, 0x5B00, 2)) == 2
    wrong = _poller(mbpoll, "8n1", site.urls["8e1"], parity_environment)._replace(timeout_s=0.3)
    assert isinstance(wrong.read(unit, 3, 0x5B00, 2), str)
