import pytest

from firmware_bridge.errors import (
    BadReplyError,
    BridgeError,
    BusError,
    ConflictError,
    ExceptionReplyError,
    Exit,
    LineError,
    NoReplyError,
    NotFoundError,
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


@pytest.mark.parametrize(
    ("kind", "code"),
    [(SettingError, Exit.BAD_SETTING), (NotFoundError, Exit.NOT_FOUND), (ConflictError, Exit.CONFLICT)],
)
def test_a_wrong_setting_knows_the_exit_code_it_ends_in(kind: type[SettingError], code: Exit):
    error = kind("store.folder", "/data", "is in use", "stop the other one")
    assert error.exit_code == code
    assert isinstance(error, SettingError)


def test_exit_codes_are_promised_to_scripts():
    assert {code.name: int(code) for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "BAD_SETTING": 2,
        "NOT_FOUND": 3,
        "NOT_VERIFIED": 5,
        "UNREACHABLE": 6,
        "CONFLICT": 8,
        "INTERRUPTED": 130,
    }


def test_a_sentence_is_one_line_of_bounded_length_whatever_was_written():
    long = "x\n" * 100_000
    error = SettingError(long, long, long, long)
    assert str(error).isprintable()
    assert len(str(error)) < 3_000
    assert error.field.startswith(r"x\nx\n")
    assert str(SettingError("a", "b", "c ü", "d")) == "a = b: c ü; d."
