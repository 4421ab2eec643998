import pytest

from firmware_bridge.catalog import map_text
from provisioning.profile_lint import lint
from provisioning.profile_template import empty

GOOD = empty("shop")
NO_REGISTERS = GOOD[: GOOD.index("\n[registers]\n") + 1]
CONTACT = """[registers]
contact = { address = 1, function = 3, type = "u16", values = { 1 = "open" }, unit = "V" }
"""
IDENTITY = """
[[identify]]
name = "{name}"
function = 3
address = 1
type = "u16"
"""


def mind(text: str, name: str = "shop.toml") -> list[str]:
    findings = lint(text, name)
    assert findings.mistakes == ()
    return list(findings.mind)


def with_top(*lines: str) -> str:
    return GOOD.replace("schema = 1\n", "schema = 1\n" + "\n".join(lines) + "\n")


def test_a_good_profile_needs_nothing_to_be_said():
    findings = lint(map_text("carlo_gavazzi_em340"), "carlo_gavazzi_em340.toml")
    assert findings.profile
    assert (findings.mistakes, findings.mind) == ((), ())


def test_all_mistakes_are_told():
    text = GOOD.replace('unit = "V"', 'unit = "kW"').replace('type = "u32"', 'type = "u33"')
    assert [one.field for one in lint(text, "shop.toml").mistakes] == ["shop.toml: registers.energy_import_wh.type"]
    text = GOOD.replace('unit = "V"', 'unit = "kW"').replace('unit = "Hz"', 'unit = "kHz"')
    assert [one.field for one in lint(text, "shop.toml").mistakes] == [
        "shop.toml: registers.voltage_l1_v.unit",
        "shop.toml: registers.frequency_hz.unit",
    ]


@pytest.mark.parametrize("name", ["Shop.toml", "shop.txt", "shop", ".toml", "a shop.toml", "x" * 33 + ".toml"])
def test_a_file_that_no_configuration_can_name_is_a_mistake(name: str):
    assert lint(GOOD, name).mistakes[0].problem == "cannot be named by a configuration"


def test_an_empty_profile_is_usable_and_says_what_is_not_known_yet():
    assert mind(GOOD) == [
        "confidence = low: compare its values with the meter's display before it is relied on",
        "identify: no entry tells the model, so that the probe can go by plausible values alone",
        "identify: no entry named serial_number, so that a meter put in its place is not noticed",
    ]


def test_identities_take_their_warnings_away():
    tells = IDENTITY.format(name="code") + 'values = { 5 = "A" }\n' + IDENTITY.format(name="serial_number")
    assert [one for one in mind(GOOD + tells) if one.startswith("identify")] == []


def test_what_the_probe_and_the_gateway_look_for_is_missed():
    text = (
        NO_REGISTERS
        + """[registers]
energy_import_wh = { address = 4, function = 3, type = "u32", scale = 1, unit = "Wh", confidence = "low" }
"""
    )
    said = mind(text)
    assert "registers.energy_import_wh: confidence = low: compare it with the meter's display" in said
    assert "registers: no frequency_hz, which tells the probe the word order" in said
    assert "registers: no voltage_v or voltage_l1_v, by which a failed grid is noticed" in said
    assert not [
        one for one in mind(text.replace('kind = "meter"', 'kind = "sensor"')) if one.startswith("registers: ")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_top("tcp_defaults = { port = 502, unit = 1 }"), "tcp_defaults: not used, transport does not name tcp"),
        (
            GOOD.replace('["rtu", "rtu_over_tcp"]', '["tcp"]'),
            "serial_defaults: not used, transport names no serial line",
        ),
        (
            GOOD.replace('["rtu", "rtu_over_tcp"]', '["tcp"]'),
            "transport: neither serial_defaults nor tcp_defaults says how it leaves the factory",
        ),
        (
            GOOD.replace('transport = ["rtu", "rtu_over_tcp"]', "transport = []"),
            "transport: not given, so that the probe does not look for it",
        ),
        (with_top("stale_s = 5"), "stale_s: not used with protocol 'modbus'"),
        (with_top("invalid = { u64 = [1] }"), "invalid.u64: not used, no register is of this type"),
        (with_top("byte_swapped_text = true"), "byte_swapped_text: not used, no [[identify]] is a text"),
        (
            NO_REGISTERS.replace("high_first", "low_first") + CONTACT,
            "word_order: not used, every value has one register",
        ),
        (
            NO_REGISTERS + CONTACT,
            "registers.contact: unit and scale are not used beside values",
        ),
        (
            NO_REGISTERS.replace('# protocol = "modbus"', 'protocol = "p1"')
            + '[fields]\nactive_power_w = { code = "1-0:1.7.0", scale = 1, unit = "kW", confidence = "low" }',
            "max_read: not used with protocol 'p1'",
        ),
    ],
)
def test_what_has_no_effect_is_pointed_out(text: str, said: str):
    assert said in mind(text)
