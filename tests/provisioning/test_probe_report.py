import io

import msgspec
import pytest
from rich.console import Console

from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.conclusion import Conclusion, Sureness
from firmware_bridge.probe.load_step import LoadStep
from provisioning.probe_report import Result, as_json, drawn, duration, found

CERTAIN = Conclusion(
    wire=Wire(kind="serial", baud=19200, parity="E"),
    unit=7,
    sureness=Sureness.CERTAIN,
    profile="eastron_sdm630",
    model="SDM72DM-V2",
    serial_number="12345",
    reasons=("its code says so", "it shows 50 Hz"),
    also_at=(Wire(kind="serial", baud=19200),),
)
UNKNOWN = msgspec.structs.replace(
    CERTAIN, unit=9, sureness=Sureness.UNKNOWN, profile=None, model=None, serial_number=None, also_at=()
)
STEPS = {7: LoadStep(step_w=2000.0, phase="L2", sentence="consumption shows positive on L2: +2000 W")}


@pytest.mark.parametrize("width", [80, 200])
def test_all_that_is_known_stands_in_the_table_or_below_it(width: int):
    said = io.StringIO()
    console = Console(file=said, width=width)
    for part in drawn([CERTAIN, UNKNOWN], STEPS, console.width):
        console.print(part)
    words = " ".join(said.getvalue().replace("│", " ").split())
    for part in ("7", "SDM72DM-V2", "12345", "certain", "unknown", "its code says so"):
        assert part in words
    assert max(map(len, said.getvalue().splitlines())) <= width


def test_the_json_has_the_same():
    result = Result(
        line="/dev/ttyUSB0",
        conclusions=(CERTAIN, UNKNOWN),
        notes=("a note",),
        load_steps=STEPS,
        suggestion="[[bus]]\n",
        written=None,
    )
    tree = msgspec.json.decode(as_json(result))
    assert tree["ok"] is True
    seven, nine = tree["devices"]
    assert (seven["settings"], seven["also_at"]) == ("19200 8E1", ["19200 8N1"])
    assert seven["load_step"]["phase"] == "L2"
    assert (nine["profile"], nine["sureness"], nine["load_step"]) == (None, "unknown", None)
    assert tree["notes"] == ["a note"]


def test_a_device_is_told_in_one_line():
    assert found(CERTAIN) == ("found unit 7 at 19200 8E1: SDM72DM-V2 [eastron_sdm630], serial number 12345 (certain)")
    assert found(UNKNOWN) == "found unit 9 at 19200 8E1: unknown (unknown)"


def test_durations_are_told_as_people_say_them():
    assert [duration(seconds) for seconds in (0.4, 59.4, 60, 592)] == ["0 s", "59 s", "1 min 0 s", "9 min 52 s"]
