import pytest

from firmware_bridge.errors import (
    BadReplyError,
    BridgeError,
    BusError,
    ExceptionReplyError,
    Exit,
    LineError,
    NoReplyError,
    SettingError,
)


def test_a_wrong_setting_is_told_in_one_sentence_with_field_value_and_next_step():
    error = SettingError("meter.unit", "300", "is above 247", "give the number on the meter's display")
    assert str(error) == "meter.unit = 300: is above 247; give the number on the meter's display."
    assert (error.field, error.value) == ("meter.unit", "300")
    assert (error.problem, error.next_step) == ("is above 247", "give the number on the meter's display")


@pytest.mark.parametrize("kind", [NoReplyError, LineError, ExceptionReplyError, BadReplyError])
def test_bus_errors_are_for_the_reader_and_settings_for_the_installer(kind: type[BusError]):
    assert issubclass(kind, BusError)
    assert not issubclass(kind, SettingError)
    assert issubclass(kind, BridgeError)


def test_exit_codes_are_promised_to_scripts():
    assert {code.name: int(code) for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "BAD_SETTING": 2,
        "NOT_FOUND": 3,
        "NOT_VERIFIED": 5,
        "UNREACHABLE": 6,
        "PARTIAL": 7,
        "CONFLICT": 8,
        "INTERRUPTED": 130,
    }
