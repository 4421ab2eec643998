import msgspec
import pytest

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import ConflictError, SettingError
from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.conclusion import Conclusion, Sureness
from gateway.config import load
from provisioning.config_command import EXAMPLE
from provisioning.probe_config import extended, first_file, sections, suggest

WIRE = Wire(kind="serial", baud=19200, parity="E")
BUS = BusConfig(name="probe", url="serial:///dev/serial/by-id/usb-x", baud=19200, parity="E")
FILE = "gateway.toml"


def found(unit: int = 7, profile: str | None = "eastron_sdm630", **settings) -> Conclusion:
    defaults = {
        "wire": WIRE,
        "unit": unit,
        "sureness": Sureness.CERTAIN,
        "profile": profile,
        "model": "SDM630",
        "serial_number": "12345",
        "reasons": ("because",),
    }
    return Conclusion(**{**defaults, **settings})


def first(*conclusions: Conclusion) -> str:
    return first_file(suggest(BUS, conclusions), "shop-1")


def test_a_new_file_is_one_that_a_gateway_takes():
    config = load(first(found(), found(3, "carlo_gavazzi_em340")))
    assert config.site.gateway_id == "shop-1"
    (bus,) = config.buses
    assert (bus.name, bus.url, bus.baud, bus.parity) == ("rs485", BUS.url, 19200, "E")
    assert [(one.name, one.bus, one.unit, one.profile) for one in config.meters] == [
        ("sdm630-7", "rs485", 7, "eastron_sdm630"),
        ("em340-3", "rs485", 3, "carlo_gavazzi_em340"),
    ]


def test_a_folder_with_profiles_of_the_installers_own_is_named_in_the_file():
    suggestion = msgspec.structs.replace(suggest(BUS, [found(profile="corner_shop")]), profiles="mine")
    assert load(first_file(suggestion, "shop-1")).profiles == "mine"
    before = EXAMPLE.read_text()
    after = extended(before, suggestion, FILE, is_forced=False)
    assert after.endswith(sections(suggestion))
    assert before in after
    assert load(after).profiles == "mine"
    with pytest.raises(ConflictError, match="put them into one folder"):
        extended('profiles = "others"\n' + before, suggestion, FILE, is_forced=False)


def test_a_line_on_the_network_has_no_settings_of_a_serial_one():
    bus = BusConfig(name="probe", url="rtu+tcp://10.0.0.2:502")
    text = first_file(suggest(bus, [found(wire=Wire(kind="rtu+tcp"))]), "shop-1")
    assert 'url = "rtu+tcp://10.0.0.2:502"' in text
    assert "baud" not in text
    assert load(text).buses[0].name == "network"


def test_a_sensor_that_sends_by_itself_has_a_line_of_its_protocol():
    bus = BusConfig(name="probe", url="serial:///dev/ttyACM0", baud=115200, protocol="sensor")
    wire = Wire(kind="serial", baud=115200)
    text = first_file(suggest(bus, [found(4, "serial_sensor", wire=wire, protocol="sensor")]), "shop-1")
    assert load(text).buses[0].protocol == "sensor"


DOUBTS = {
    "unsure": ({"sureness": Sureness.UNSURE, "rivals": ("eastron_sdm120",)}, "eastron_sdm630 or eastron_sdm120"),
    "swapped": ({"is_swapped": True}, "other order"),
    "elsewhere": ({"wire": Wire(kind="serial")}, "9600 8N1"),
    "other protocol": ({"protocol": "p1"}, "one line has one setting"),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_what_is_doubtful_is_written_as_comments(doubt: str):
    settings, why = DOUBTS[doubt]
    text = first(found(3, "carlo_gavazzi_em340"), found(**settings))
    assert [one.unit for one in load(text).meters] == [3]
    assert why in text
    assert "# NOT READ YET" in text
    switched_on = "\n".join(
        line.removeprefix("# ") if "=" in line or "[[" in line else line for line in text.split("\n")
    )
    assert [one.unit for one in load(switched_on).meters] == [3, 7]


def test_a_file_without_a_meter_to_read_is_not_begun():
    for conclusions in ([], [found(profile=None, sureness=Sureness.UNKNOWN)], [found(sureness=Sureness.UNSURE)]):
        with pytest.raises(SettingError, match="no meter that is sure enough"):
            first(*conclusions)


def test_a_file_keeps_every_line_when_something_is_added():
    before = EXAMPLE.read_text()
    config = load(before)
    after = extended(before, suggest(BUS, [found()], config), FILE, is_forced=False)
    assert after.startswith(before)
    assert [one.name for one in load(after).buses] == ["cabinet", "rs485"]
    assert [one.name for one in load(after).meters] == ["main", "sdm630-7"]


def test_names_that_are_taken_get_a_number():
    text = first(found())
    config = load(text)
    bus = BusConfig(name="probe", url="serial:///dev/ttyUSB7")
    wire = Wire(kind="serial")
    after = load(extended(text, suggest(bus, [found(wire=wire)], config), FILE, is_forced=False))
    assert [one.name for one in after.buses] == ["rs485", "rs485-2"]
    assert [one.name for one in after.meters] == ["sdm630-7", "sdm630-7-2"]


def test_what_the_file_says_already_is_not_said_again():
    text = first(found())
    suggestion = suggest(BUS, [found()], load(text))
    assert suggestion.is_empty
    assert sections(suggestion) == ""
    more = suggest(BUS, [found(), found(8)], load(text))
    assert (more.buses, [one.unit for one in more.meters]) == ((), [8])


def test_a_line_or_a_meter_that_says_otherwise_is_changed_only_by_force():
    text = (
        first(found())
        .replace("baud = 19200", "baud = 9600  # as delivered")
        .replace("eastron_sdm630", "eastron_sdm120")
    )
    suggestion = suggest(BUS, [found()], load(text))
    assert [(one.field, one.old, one.new) for one in suggestion.changes] == [
        ("bus.rs485.baud", "9600", "19200"),
        ("meter.sdm630-7.profile", '"eastron_sdm120"', '"eastron_sdm630"'),
    ]
    with pytest.raises(
        ConflictError, match=r"bus\.rs485\.baud = 9600: is not what was found, which is 19200"
    ) as caught:
        extended(text, suggestion, FILE, is_forced=False)
    assert "--force" in str(caught.value)
    after = extended(text, suggestion, FILE, is_forced=True)
    assert load(after).buses[0].baud == 19200
    assert load(after).meters[0].profile == "eastron_sdm630"
    changed = [pair for pair in zip(text.splitlines(), after.splitlines(), strict=False) if pair[0] != pair[1]]
    assert len(changed) == 2


def test_a_setting_that_was_left_out_is_added_to_its_section():
    text = "\n".join(line for line in first(found()).splitlines() if not line.startswith("parity")) + "\n"
    after = extended(text, suggest(BUS, [found()], load(text)), FILE, is_forced=True)
    assert load(after).buses[0].parity == "E"


def test_a_converter_that_was_set_the_other_way_round_is_a_change_of_its_line():
    bus = BusConfig(name="probe", url="rtu+tcp://10.0.0.2:502")
    text = first_file(suggest(bus, [found(wire=Wire(kind="rtu+tcp"))]), "shop-1").replace("rtu+tcp:", "tcp:")
    suggestion = suggest(bus, [found(wire=Wire(kind="rtu+tcp"))], load(text))
    assert [one.key for one in suggestion.changes] == ["url"]


def test_a_file_that_is_written_another_way_is_left_to_its_owner():
    meter = '{ name = "m", bus = "a", unit = 1, profile = "eastron_sdm630" }'
    text = f'bus = [{{ name = "a", url = "tcp://x:1" }}]\nmeter = [{meter}]\n[site]\ngateway_id = "shop-1"\n'
    with pytest.raises(SettingError, match="add the sections by hand"):
        extended(text, suggest(BUS, [found()], load(text)), FILE, is_forced=False)


def test_long_names_fit():
    profile = "maker_" + "x1" * 13
    config = load(first(*(found(unit, profile) for unit in (1, 247))))
    assert all(len(one.name) <= 32 for one in config.meters)
