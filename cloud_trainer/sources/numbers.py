"""Numbers as people's programs write them: decimal points and commas, empty cells, and words. Pure."""

import math
import re
from array import array

import numpy as np

from firmware_bridge.errors import SettingError
from gateway.contract.inputs import F64

# What programs write where there is nothing; compared in small letters.
_NOTHING = frozenset({"", "-", "--", "?", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "missing"})
# The mains of a continent, in watts.
NUMBER_MAX = 1e12
# Longer than this is no number of ours.
_CHARACTERS_MAX = 40
_POINT_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_COMMA_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_SHOWN_CHARACTERS = 40


class NumberColumn:
    """Takes the cells of a column of numbers one by one, and tells them all at the end; NaN where there is none."""

    def __init__(self, name: str, *, comma_is_decimal: bool) -> None:
        """Know the column's name.

        Args:
            name: for whoever reads what is wrong.
            comma_is_decimal: what a comma before three digits is; elsewhere it is decimal anyway.
        """
        self.name = name
        self._comma_is_decimal = comma_is_decimal
        self._values = array("d")
        self._has_commas = False
        self._doubtful: str | None = None
        # cells that are neither numbers nor empty, and the first of them
        self.words = 0
        self.first_word: tuple[int, str] | None = None

    def add(self, text: str) -> None:
        """Take one cell."""
        self._values.append(self._number(text))

    def extend(self, values: F64) -> None:
        """Take many that are numbers already."""
        beyond = np.flatnonzero(np.abs(np.nan_to_num(values)) > NUMBER_MAX)
        if beyond.size and self.first_word is None:
            self.first_word = (len(self._values) + int(beyond[0]) + 1, f"{values[beyond[0]]:g}")
        self.words += beyond.size
        self._values.frombytes(np.where(np.abs(values) <= NUMBER_MAX, values, np.nan).astype(np.float64).tobytes())

    def values(self) -> F64:
        """All of them, in the order in which they came.

        Raises:
            SettingError: nothing tells whether a point is decimal.
        """
        if self._has_commas and self._doubtful is not None:
            problem = f"may be a thousand times as much, for elsewhere column {self.name} has decimal commas"
            raise SettingError("number", repr(self._doubtful), problem, "write all numbers alike")
        return np.frombuffer(self._values, dtype=np.float64)

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            return math.nan if text.lower() in _NOTHING else self._with_commas(text)
        if abs(number) > NUMBER_MAX or "_" in text:  # what Python takes, and nobody means
            return self._word(text)
        if self._doubtful is None and "." in text and _POINT_THOUSANDS.fullmatch(text):
            self._doubtful = text
        return number

    def _with_commas(self, text: str) -> float:
        if len(text) > _CHARACTERS_MAX or "," not in text:
            return self._word(text)
        if not self._comma_is_decimal and _COMMA_THOUSANDS.fullmatch(text):
            return float(text.replace(",", ""))
        # The mark that comes last is the decimal one.
        is_decimal = text.rfind(",") > text.rfind(".")
        plain = text.replace(".", "").replace(",", ".") if is_decimal else text.replace(",", "")
        try:
            number = float(plain)
        except ValueError:
            return self._word(text)
        self._has_commas |= is_decimal
        return number if abs(number) <= NUMBER_MAX else self._word(text)

    def _word(self, text: str) -> float:
        if self.first_word is None:
            self.first_word = (len(self._values) + 1, text[:_SHOWN_CHARACTERS])
        self.words += 1
        return math.nan
