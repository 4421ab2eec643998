import msgspec
import pytest

from firmware_bridge.counter_event import CounterEvent, CounterEventKind, explain, quantity
from firmware_bridge.reading import UtcUs


def event(kind: CounterEventKind) -> CounterEvent:
    return CounterEvent(
        kind=kind,
        since_us=UtcUs(1),
        at_us=UtcUs(2),
        before=9_000_000.0,
        shown=12_000.0,
        after=12_040.0,
        booked=40.0,
        limit=10_000_000.0,
        identity_before="81",
        identity_after="95" * 100,
    )


@pytest.mark.parametrize("kind", CounterEventKind)
def test_every_explanation_is_one_sentence_that_names_series_and_values(kind: CounterEventKind):
    sentence = explain(event(kind), "main.energy_import_wh", "Wh")
    assert sentence.startswith("main.energy_import_wh ")
    assert "9,000.000 kWh" in sentence
    assert "12.000 kWh" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 250


def test_a_serial_number_is_cut_and_shows_what_it_is_made_of():
    sentence = explain(event(CounterEventKind.SWAPPED), "m", "Wh")
    assert "'" + "95" * 20 + "'" in sentence
    assert "95" * 21 not in sentence


def test_energy_is_shown_in_kilowatt_hours_and_all_else_in_its_unit():
    assert quantity(1_234_567.0, "Wh") == "1,234.567 kWh"
    assert quantity(12.5, "m³") == "12.500 m³"


def test_an_event_survives_its_bytes():
    one = event(CounterEventKind.RESET)
    assert msgspec.json.decode(msgspec.json.encode(one), type=CounterEvent) == one
