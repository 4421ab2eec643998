"""Lines of a scenario: what is taken, and what is refused with a word that helps."""

import pytest

from firmware_bridge.errors import SettingError
from firmware_bridge.simulator.scenario import parse_scenario

METER = '[[meter]]\nname = "main"\nunit = 1\nprofile = "eastron_sdm630"\nquantity = "grid"\n'
SERIAL = METER + '[[line]]\nname = "rs485"\nkind = "serial"\nlink = "dev/rs485"\n'
FAULT = SERIAL + "[[line.fault]]\n"


def test_a_line_says_how_it_speaks_and_what_goes_wrong_on_it():
    (line,) = parse_scenario(FAULT + 'kind = "delay"\nunit = 1\nevery = 3\ndelay_s = 1.5\n').lines
    assert (line.name, line.kind, line.link, line.baud, line.parity) == ("rs485", "serial", "dev/rs485", None, "N")
    (fault,) = line.faults
    assert (fault.kind, fault.unit, fault.every, fault.delay_s, fault.for_s) == ("delay", 1, 3, 1.5, None)


def test_a_scenario_needs_no_line():
    assert parse_scenario(METER).lines == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SERIAL.replace("serial", "canbus"), "line[0].kind = 'canbus': is none of the choices"),
        (SERIAL.replace('link = "dev/rs485"', ""), "line[0].link = (none): is needed for a serial line"),
        (SERIAL.replace('"serial"', '"tcp"'), "line[0].link = 'dev/rs485': is for serial lines only; remove it"),
        (SERIAL + "units = [2]\n", "line[0].units = 2: is no meter's unit here; use some of: 1"),
        (SERIAL + SERIAL.removeprefix(METER), "line.name = 'rs485': is given twice"),
        (SERIAL + SERIAL.removeprefix(METER).replace('"rs485', '"b'), "line.link = 'dev/rs485': is given twice"),
        (SERIAL + "baud = 100\n", "line[0].baud = 100"),
        (SERIAL + 'parity = "M"\n', "line[0].parity = 'M'"),
        (FAULT + 'kind = "fire"\n', "is none of the choices"),
        (
            FAULT + 'kind = "babble"\nunit = 1\n',
            "line[0].fault[0].unit = 1: babble befalls the whole line; remove it",
        ),
        (FAULT + 'kind = "flips"\nrate = 2\n', "rate = 2"),
        (FAULT + "unit = 1\n", "line[0].fault[0].kind = (missing)"),
    ],
)
def test_what_cannot_be_is_refused(text, says):
    with pytest.raises(SettingError) as caught:
        parse_scenario(text)
    assert says in str(caught.value)
