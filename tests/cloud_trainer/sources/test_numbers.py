import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.sources.numbers import NUMBER_MAX, NumberColumn
from firmware_bridge.errors import SettingError


def column(*cells, comma_is_decimal=False) -> NumberColumn:
    made = NumberColumn("power", comma_is_decimal=comma_is_decimal)
    for cell in cells:
        made.add(cell)
    return made


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *(("1.5", 1.5), ("-3", -3.0), ("+2e3", 2000.0), ("1,5", 1.5), ("-0,25", -0.25), ("1.234,5", 1234.5)),
        *(("1,234.5", 1234.5), ("1,234", 1234.0), ("12,345,678", 12_345_678.0), ("1.234.567,5", 1_234_567.5)),
    ],
)
def test_points_and_commas_are_told_apart(cell, number):
    made = column(cell)
    assert made.values().tolist() == [number]
    assert made.words == 0


def test_between_semicolons_a_comma_is_decimal():
    assert column("1,234", comma_is_decimal=True).values().tolist() == [1.234]


def test_a_number_that_may_be_a_thousand_times_as_much_is_asked_about():
    with pytest.raises(SettingError, match=r"'1\.234': may be a thousand times as much"):
        column("0,5", "1.234", comma_is_decimal=True).values()
    assert column("0.5", "1.234").values().tolist() == [0.5, 1.234]
    assert column("0,5", "0.234", comma_is_decimal=True).values().tolist() == [0.5, 0.234]


@pytest.mark.parametrize("cell", ["", "NaN", "n/a", "NULL", "-", "None"])
def test_nothing_is_no_word(cell):
    made = column("1", cell)
    assert math.isnan(made.values()[1])
    assert made.words == 0


@pytest.mark.parametrize("cell", ["off", "1_000", "inf", "1e999", "1,2,3", "12 kW", "9" * 20, "1,5" * 30, "1,0e999"])
def test_words_are_counted_and_the_first_is_kept(cell):
    made = column("1", cell, cell)
    assert np.isnan(made.values()[1:]).all()
    assert (made.words, made.first_word) == (2, (2, cell[:40]))


@given(st.lists(st.text(max_size=50), max_size=20), st.booleans())
def test_any_text_is_a_number_or_none(cells, comma_is_decimal):
    made = column(*cells, comma_is_decimal=comma_is_decimal)
    try:
        values = made.values()
    except SettingError:
        return
    assert len(values) == len(cells)
    assert (np.abs(values[np.isfinite(values)]) <= NUMBER_MAX).all()


@given(st.floats(-NUMBER_MAX, NUMBER_MAX))
def test_what_python_writes_is_read(number):
    assert column(repr(number)).values().tolist() == [number]
    assert column(f"{number:f}".replace(".", ","), comma_is_decimal=True).values()[0] == pytest.approx(
        number, abs=1e-6
    )


def test_numbers_are_taken_as_they_are_but_for_what_no_mains_carries():
    made = NumberColumn("power", comma_is_decimal=False)
    made.extend(np.array([1.5, np.nan, np.inf, 1e300]))
    np.testing.assert_array_equal(made.values(), [1.5, np.nan, np.nan, np.nan])
    assert (made.words, made.first_word) == (2, (3, "inf"))
