"""Damaged replies on a line, from bytes to readings: none is published as good that no limit allows.

A CRC of 16 bits lets one damaged frame in 65,536 through. What it lets through meets unit, function and
length, then range, rate, cross-checks and counters. `make bench ONLY=damage` prints what each of them stopped.
"""

import pytest

from firmware_bridge.rtu import crc
from tests.firmware_bridge.damage import BURST_BITS_MIN, FLIPS_MAX, FLIPS_MIN, Damage, Kind
from tests.firmware_bridge.damaged_line import Outcome, outcome, outcome_of_many

FEW, FRAMES, RIGHT_FRAMES = 2_000, 20_000, 500
MANY, MANY_RIGHT = 1_000_000, 10_000
CRC_VALUES = 65_536
# Where so many are expected by chance, more than this is none: one in a million times.
CHANCES_MAX = {5: 19, 16: 38}
BODY = bytes.fromhex("01 04 28") + bytes(range(40))
FRAME = BODY + crc(BODY)
STOPPED = ("crc", "length", "unit", "function", "exception", "silence", "accepted")


def check(found: Outcome, frames: int) -> None:
    """What must hold for every damaged reply."""
    counts = found.counts
    assert found.breaches == []
    assert counts["damaged"] == frames
    # each is counted once, with what stopped it
    assert sum(counts[why] for why in STOPPED) == frames
    assert all(abs(counts[kind] - frames / 3) <= 2 for kind in Kind)


def check_chance(found: Outcome, frames: int) -> None:
    """16 bits let through what they must, and no more."""
    expected = frames / CRC_VALUES
    most = next(most for mean, most in CHANCES_MAX.items() if expected <= mean)
    passed = sum(found.counts[f"{kind}_passed_crc"] for kind in Kind)
    assert passed <= most
    assert found.counts["accepted"] <= passed


def check_right(found: Outcome) -> None:
    """Behind a right checksum, every other check has its work."""
    for why in ("length", "unit", "function", "accepted"):
        assert found.counts[why] > 0, why
    for why in ("range", "rate", "cross", "counter"):
        assert found.counts[f"values_{why}"] > 0, why
    assert found.counts["crc"] == 0


@pytest.mark.parametrize("frames", [FEW, pytest.param(FRAMES, marks=pytest.mark.slow)])
def test_nothing_beyond_limits_is_published_of_damaged_frames(frames: int):
    found = outcome(frames, seed=1)
    check(found, frames)
    check_chance(found, frames)


def test_nothing_beyond_limits_is_published_of_damaged_frames_with_a_right_checksum():
    found = outcome(RIGHT_FRAMES, seed=1, has_right_crc=True)
    check(found, RIGHT_FRAMES)
    check_right(found)


@pytest.mark.nightly
def test_nothing_beyond_limits_is_published_of_a_million_damaged_frames():
    found = outcome_of_many(MANY)
    check(found, MANY)
    check_chance(found, MANY)
    right = outcome_of_many(MANY_RIGHT, has_right_crc=True)
    check(right, MANY_RIGHT)
    check_right(right)


def test_a_third_of_the_frames_is_damaged_in_each_way():
    damage = Damage(1)
    kinds = [damage.of(FRAME)[0] for _ in range(300)]
    assert {kind: kinds.count(kind) for kind in Kind} == dict.fromkeys(Kind, 100)


@pytest.mark.parametrize("frame", [FRAME, FRAME[:5]], ids=["reply", "exception"])
def test_damage_is_what_it_says(frame: bytes):
    damage = Damage(2)
    for _ in range(3000):
        kind, damaged = damage.of(frame)
        wrong = int.from_bytes(frame, "big") ^ int.from_bytes(damaged, "big")
        assert len(damaged) == len(frame)
        if kind is Kind.FLIPS:
            assert FLIPS_MIN <= wrong.bit_count() <= FLIPS_MAX
        elif kind is Kind.BURST:
            assert wrong.bit_length() - (wrong & -wrong).bit_length() + 1 >= BURST_BITS_MIN
        else:
            assert damaged[:3] == frame[:3]
            assert wrong


def test_damage_under_a_right_checksum_is_told_by_nothing_but_its_content():
    damage = Damage(3, has_right_crc=True)
    for _ in range(300):
        _, damaged = damage.of(FRAME)
        assert damaged[-2:] == crc(damaged[:-2])
        assert damaged[:-2] != FRAME[:-2]
