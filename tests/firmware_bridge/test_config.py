import msgspec
import pytest

from firmware_bridge.config import BusConfig, MeterConfig

BUS = {"name": "mains", "url": "tcp://192.168.1.20:502"}
METER = {"name": "grid", "bus": "mains", "unit": 1, "profile": "eastron_sdm630"}


def test_what_need_not_be_said_has_a_default():
    bus, meter = msgspec.convert(BUS, BusConfig), msgspec.convert(METER, MeterConfig)
    assert bus.timeout_s == 1.0
    assert (meter.role, meter.rated_power_w) == ("other", 22_000.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "Mains"),
        ("name", "-mains"),
        ("name", "mains\n"),
        ("name", "a" * 33),
        ("url", "192.168.1.20:502"),
        ("url", "tcp://192.168.1.20"),
        ("url", "tcp://:502"),
        ("url", "tcp://host:502/x"),
        ("url", "tcp://host:502\n"),
        ("url", "tcp://ho st:502"),
        ("url", "rtu:///dev/ttyUSB0"),
        ("url", "serial:///"),
        ("url", "serial:///dev/ttyUSB0 "),
        ("url", "serial:///dev/tty\nUSB0"),
        ("timeout_s", 0),
        ("timeout_s", 31),
        ("speed", 9600),
    ],
)
def test_a_bus_is_refused_with_the_field_named(field: str, value: object):
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(BUS | {field: value}, BusConfig)


def test_the_path_of_an_adapter_may_have_spaces():
    for url in ("serial:///my rig/dev/rs485", "serial:///x"):
        assert msgspec.convert(BUS | {"url": url}, BusConfig).url == url


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit", 0),
        ("unit", 248),
        ("unit", "1"),
        ("name", "gr id"),
        ("bus", "MAINS"),
        ("profile", "../x"),
        ("role", "mains"),
        ("rated_power_w", 0),
        ("rated_power_w", -1.0),
        ("ratio", 1),
    ],
)
def test_a_meter_is_refused_with_the_field_named(field: str, value: object):
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(METER | {field: value}, MeterConfig)


@pytest.mark.parametrize("unit", [1, 247])
def test_the_whole_range_of_units_is_allowed(unit: int):
    assert msgspec.convert(METER | {"unit": unit}, MeterConfig).unit == unit
