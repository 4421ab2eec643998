"""The acceptance is a program here that says what it is told to; the real one has its own tests."""

import sys
from pathlib import Path

import pytest

from gateway.shell.cold_check import CheckFailedError, accept_cold

pytestmark = pytest.mark.slow


def outcome_of(program: str, timeout_s: float = 30.0) -> str:
    return accept_cold(Path("bundle"), timeout_s, (sys.executable, "-c", program))


def test_exit_code_of_success_accepts():
    assert outcome_of("import sys; assert sys.argv[1:] == ['accept', 'bundle', '--json']") == ""


def test_reasons_of_the_verdict_are_passed_on():
    verdict = '{"ok": false, "digest": null, "release": null, "reasons": ["a is wrong", "b too"], "more": 1}'
    assert outcome_of(f"print('{verdict}'); raise SystemExit(5)") == "a is wrong; b too"


@pytest.mark.parametrize("said", ["", "not JSON", '{"reasons": 5}', "{}"])
def test_refusal_without_reasons_is_a_refusal(said):
    assert outcome_of(f"print('''{said}'''); raise SystemExit(5)") == "not accepted"


def test_crash_of_native_code_refuses_the_bundle():
    assert outcome_of("import os; os.abort()") == "its acceptance crashed with signal 6"


def test_hanging_acceptance_refuses_the_bundle():
    assert outcome_of("import threading; threading.Event().wait()", 0.5) == "its acceptance took longer than 0 s"


@pytest.mark.parametrize(
    "end", ["raise SystemExit(1)", "import os; os.kill(os.getpid(), 9)", "raise ValueError('x')"]
)
def test_any_other_end_says_nothing_of_the_bundle(end):
    with pytest.raises(CheckFailedError, match="ended with code"):
        outcome_of(end)


def test_program_that_is_not_there_says_nothing_of_the_bundle():
    with pytest.raises(CheckFailedError, match="cannot be started"):
        accept_cold(Path("bundle"), 5.0, ("/nowhere/at/all",))
