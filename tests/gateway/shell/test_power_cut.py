"""The production store on a card whose power is cut: what it has answered for is there, and nothing is half there.

`python -m tests.sim.stored_history --cuts 50000` does the same at any length and tells its figures.
"""

from typing import Final

import pytest

from tests.sim.stored_history import Verdict, run

pytestmark = pytest.mark.slow

CUTS: Final = 2_000
NIGHTLY_CUTS: Final = 50_000
# Without syncs every other cut or so loses something: this many leave no doubt.
RED_CUTS: Final = 60


def assert_nothing_is_lost(verdict: Verdict, cuts: int) -> None:
    assert (verdict.corrupt, verdict.lost, verdict.partial) == (0, 0, 0), verdict.examples
    assert verdict.cuts == cuts
    assert verdict.steps > cuts


def test_nothing_is_lost_in_two_thousand_power_cuts():
    assert_nothing_is_lost(run(CUTS), CUTS)


@pytest.mark.nightly
def test_nothing_is_lost_in_fifty_thousand_power_cuts():
    assert_nothing_is_lost(run(NIGHTLY_CUTS, seed=2), NIGHTLY_CUTS)


def test_without_a_sync_at_each_commit_records_are_lost():
    """The test sees what it is there to see."""
    verdict = run(RED_CUTS, synchronous="NORMAL")
    assert verdict.cuts == RED_CUTS
    assert verdict.lost > RED_CUTS // 10
