from collections import Counter as Tally
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.counter import Counter, CounterState, Judgement, Level
from firmware_bridge.counter_event import CounterEventKind
from firmware_bridge.counter_rules import RATED_POWER_FACTOR, CounterRules
from firmware_bridge.reading import Quality, UtcUs
from tests.firmware_bridge.counter_history import History, Read, Shown, live

S = 1_000_000
START_US = 1_700_000_000 * S
RATED_W = 22_000.0
RATE_WH_PER_S = RATED_W * RATED_POWER_FACTOR / 3600
KWH = 1000.0
GOOD, SUSPECT, MISSING = Quality.GOOD, Quality.SUSPECT, Quality.MISSING

# Histories in the run of every check, and in the long one.
HISTORIES, HISTORIES_LONG = 400, 10_000

Step = tuple[float, float | None]
Outcome = tuple[Quality, float]


def rules(
    *,
    rated_w: float = RATED_W,
    raw_unit: float = 1.0,
    is_float: bool = False,
    is_scaled: bool = False,
    wraps_at: float | None = None,
    refresh_s: float = 300.0,
) -> CounterRules:
    return CounterRules(
        subject="main.energy_import_wh",
        unit="Wh",
        rate_max_per_s=rated_w * RATED_POWER_FACTOR / 3600,
        resolution=raw_unit / 100 if is_float else raw_unit,
        raw_unit=raw_unit,
        is_float=is_float,
        is_scaled=is_scaled,
        wraps_at=wraps_at,
        refresh_s=refresh_s,
    )


def judged(counter: Counter, *steps: Step, identity: str | None = None) -> list[Judgement]:
    """Judgements of values at seconds since the start."""
    return [counter.judge(value, UtcUs(START_US + round(at_s * S)), identity) for at_s, value in steps]


def outcomes(*steps: Step, of: CounterRules | None = None) -> list[Outcome]:
    return [(one.quality, one.advance) for one in judged(Counter(of or rules()), *steps)]


def kinds(judgements: list[Judgement]) -> list[CounterEventKind]:
    return [one.event.kind for one in judgements if one.event is not None]


# --- lives of counters -------------------------------------------------------------------------


def tolerance_wh(history: History, of: CounterRules) -> float:
    """One read around everything that befell: exactly what is tolerated.

    Around each trouble, what the rated power (and its tolerance) lets through from the last true read
    before it to the second of the first two true reads after it that rise without a trouble between
    them; plus one resolution at either end, and at either end of the whole history.
    """
    reads = history.reads
    is_true = [read.shown is Shown.TRUE for read in reads]
    spans: list[tuple[int, int]] = []
    for place in range(len(reads)):
        if is_true[place] and place not in history.happened:
            continue
        before, after = place - 1, place
        while not is_true[before]:
            before -= 1
        while after < len(reads) - 1 and not _counts_on(history, after):
            after += 1
        span = (before, min(after + 1, len(reads) - 1))
        if spans and span[0] <= spans[-1][1]:  # one trouble runs into the next
            span = (spans.pop()[0], span[1])
        spans.append(span)
    highest = max(read.value or 0.0 for read in reads if read.shown is Shown.TRUE)
    resolution = of.resolution_at(highest)
    allowed = sum(of.rate_max_per_s * (reads[b].at_us - reads[a].at_us) / S + 2 * resolution for a, b in spans)
    return allowed + 2 * resolution


def _counts_on(history: History, place: int) -> bool:
    one, other = history.reads[place : place + 2]
    return (
        one.shown is Shown.TRUE
        and other.shown is Shown.TRUE
        and place + 1 not in history.happened
        and other.value is not None
        and one.value is not None
        and other.value > one.value
    )


def rules_for(history: History, refresh_s: float = 0.0) -> CounterRules:
    return rules(
        rated_w=history.rated_w,
        raw_unit=history.raw_unit_wh,
        is_float=history.is_float,
        wraps_at=history.wraps_at_wh,
        refresh_s=refresh_s,
    )


def booked(history: History, of: CounterRules) -> float:
    """The energy booked over the history; each piece of it is checked on the way."""
    counter = Counter(of)
    total, good_us = 0.0, history.reads[0].at_us
    for read in history.reads:
        base = counter.state.base
        resolution = of.resolution_at(0.0 if base is None else base.value)
        one = counter.judge(read.value, UtcUs(read.at_us), read.identity)
        elapsed_s = (read.at_us - good_us) / S
        assert 0 <= one.advance <= (of.rate_max_per_s * (elapsed_s + of.refresh_s) + resolution) * 1.000001
        assert (one.quality is MISSING) == (read.value is None)
        assert one.quality is GOOD or (one.advance == 0 and one.event is None)
        if one.quality is GOOD:
            good_us = read.at_us
        total += one.advance
    return total


def check_lives(seeds: range) -> Tally[str]:
    befell: Tally[str] = Tally()
    for seed in seeds:
        history = live(seed)
        of = rules_for(history)
        error_wh = booked(history, of) - history.reads[-1].true_wh
        assert abs(error_wh) <= tolerance_wh(history, of), f"seed {seed}: {error_wh:.0f} Wh off"
        befell.update(history.happened.values())
        befell.update(read.shown for read in history.reads)
    return befell


def test_what_is_booked_over_a_life_with_troubles_is_true_within_one_read_of_each():
    befell = check_lives(range(HISTORIES))
    assert len(befell) == 9, "all that can befall a counter is among the histories"
    assert min(befell.values()) >= HISTORIES / 10


@pytest.mark.slow
def test_ten_thousand_lives_hold_no_negative_energy_no_spike_and_the_true_sum():
    check_lives(range(HISTORIES, HISTORIES + HISTORIES_LONG))


@pytest.mark.parametrize("refresh_s", [0.0, 300.0])
def test_sentinels_zeros_and_roll_overs_alone_cost_nothing_at_all(refresh_s: float):
    for seed in range(HISTORIES):
        history = live(seed, glitches=(Shown.SENTINEL, Shown.ZERO), happenings=0.0)
        of = rules_for(history, refresh_s)
        highest = max(read.value or 0.0 for read in history.reads)
        if not _is_hidden(history):
            error_wh = booked(history, of) - history.reads[-1].true_wh
            assert abs(error_wh) <= 2 * of.resolution_at(highest), f"seed {seed}: {error_wh:.0f} Wh off"


def _is_hidden(history: History) -> bool:
    """Whether a roll-over lies beside a glitch, which may make it look like a reset, or is not settled at the end."""
    return any(
        place >= len(history.reads) - 2
        or any(read.shown is not Shown.TRUE for read in history.reads[max(place - 4, 0) : place + 4])
        for place in history.happened
    )


# --- one trouble at a time ---------------------------------------------------------------------


def test_an_ordinary_counter_is_good_and_books_what_it_counted():
    assert outcomes((0, 5000), (10, 5020), (20, 5020), (30, 5060)) == [(GOOD, 0), (GOOD, 20), (GOOD, 0), (GOOD, 40)]


def test_a_sentinel_is_missing_and_what_was_counted_meanwhile_is_booked_after_it():
    assert outcomes((0, 5000), (10, None), (20, None), (30, 5060)) == [
        (GOOD, 0),
        (MISSING, 0),
        (MISSING, 0),
        (GOOD, 60),
    ]


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_missing(nothing: float):
    assert outcomes((0, 5000), (10, nothing)) == [(GOOD, 0), (MISSING, 0)]


def test_a_zero_that_stays_for_hours_is_held_and_never_booked():
    counter = Counter(rules())
    steps = [(0.0, 81_250 * KWH), *((60.0 * i, 0.0) for i in range(1, 300)), (18_000.0, 81_250 * KWH + 40)]
    judgements = judged(counter, *steps)
    assert {one.quality for one in judgements[1:-1]} == {SUSPECT}
    assert (judgements[-1].quality, judgements[-1].advance) == (GOOD, 40)
    (event,) = [one.event for one in judgements if one.event]
    assert (event.kind, event.since_us, event.at_us) == ("glitch", START_US + 60 * S, START_US + 18_000 * S)
    assert (event.before, event.shown, event.after, event.booked) == (81_250 * KWH, 0, 81_250 * KWH + 40, 40)


def test_a_reset_is_believed_with_the_second_read_that_rises():
    judgements = judged(Counter(rules()), (0, 9 * KWH), (10, 0), (20, 0), (30, 30), (40, 50))
    assert [(one.quality, one.advance) for one in judgements] == [
        (GOOD, 0),
        (SUSPECT, 0),
        (SUSPECT, 0),
        (GOOD, 30),
        (GOOD, 20),
    ]
    assert kinds(judgements) == ["reset"]


def test_a_fall_that_goes_on_falling_or_rises_too_fast_proves_nothing():
    steps = [(0, 9000 * KWH), (10, 800 * KWH), (20, 700 * KWH), (30, 7000 * KWH), (40, 9000 * KWH + 10)]
    judgements = judged(Counter(rules()), *steps)
    assert [one.quality for one in judgements] == [GOOD, SUSPECT, SUSPECT, SUSPECT, GOOD]
    assert [one.advance for one in judgements] == [0, 0, 0, 0, 10]


def test_a_spike_is_held_and_never_booked():
    judgements = judged(Counter(rules()), (0, 5 * KWH), (10, 700 * KWH), (20, 5 * KWH + 60))
    assert [(one.quality, one.advance) for one in judgements] == [(GOOD, 0), (SUSPECT, 0), (GOOD, 60)]
    assert kinds(judgements) == ["glitch"]


def test_a_spike_that_stays_is_not_believed_because_time_goes_by():
    steps = [(0.0, 5 * KWH), (10.0, 5 * KWH + 40), *((10.0 * i, 50 * KWH) for i in range(2, 2000))]
    assert {one.quality for one in judged(Counter(rules()), *steps)[2:]} == {SUSPECT}


def test_a_first_read_that_was_false_books_no_lifetime_total():
    judgements = judged(Counter(rules()), (0, 0), (10, 5000 * KWH), (20, 5000 * KWH + 50), (30, 5000 * KWH + 90))
    assert [one.advance for one in judgements] == [0, 0, 50, 40]
    assert kinds(judgements) == ["jumped"]


@pytest.mark.parametrize(
    ("wraps_at", "raw_unit", "limit"),
    [
        (2.0**32, 1.0, 2.0**32),
        (None, 1.0, 2.0**32),
        (None, 100.0, 2.0**32 * 100),
        (2.0**32 * 100, 100.0, 99_999.9 * KWH + 100),
        (None, 1.0, 1e6),
    ],
)
def test_a_counter_that_is_full_begins_again_without_loss(wraps_at: float | None, raw_unit: float, limit: float):
    counter = Counter(rules(raw_unit=raw_unit, wraps_at=wraps_at))
    last = limit - raw_unit
    judgements = judged(counter, (0, last), (10, 0), (20, raw_unit))
    assert [(one.quality, one.advance) for one in judgements] == [(GOOD, 0), (SUSPECT, 0), (GOOD, 2 * raw_unit)]
    (event,) = [one.event for one in judgements if one.event]
    assert (event.kind, event.limit) == ("rolled_over", limit)


def test_a_fall_that_no_rated_power_explains_went_back_and_is_not_booked():
    judgements = judged(Counter(rules()), (0, 9000 * KWH), (10, 800 * KWH), (20, 800 * KWH + 30))
    assert (judgements[2].quality, judgements[2].advance) == (GOOD, 30)
    assert kinds(judgements) == ["went_back"]


def test_a_rise_beyond_the_rated_power_is_believed_with_the_next_and_the_jump_is_not_booked():
    judgements = judged(Counter(rules()), (0, 9 * KWH), (10, 900 * KWH), (20, 900 * KWH + 30))
    assert [(one.quality, one.advance) for one in judgements] == [(GOOD, 0), (SUSPECT, 0), (GOOD, 30)]
    assert kinds(judgements) == ["jumped"]


@pytest.mark.parametrize("first", [3 * KWH, 900 * KWH, 500 * KWH + 10])
def test_another_serial_number_is_another_meter_wherever_it_stands(first: float):
    counter = Counter(rules())
    judged(counter, (0, 500 * KWH), identity="81")
    judgements = judged(counter, (10, first), (20, first), (30, first + 20), identity="95")
    assert [(one.quality, one.advance) for one in judgements] == [(SUSPECT, 0), (GOOD, 0), (GOOD, 20)]
    (event,) = [one.event for one in judgements if one.event]
    assert (event.kind, event.identity_before, event.identity_after) == ("swapped", "81", "95")
    assert "'95'" in event.sentence


def test_a_serial_number_that_was_misread_once_changes_nothing():
    counter = Counter(rules())
    judged(counter, (0, 500), identity="81")
    (doubted,) = judged(counter, (10, 520), identity="8I")
    (after,) = judged(counter, (20, 540), identity="81")
    assert (doubted.quality, after.quality, after.advance) == (SUSPECT, GOOD, 40)


def test_a_serial_number_that_becomes_known_or_unknown_is_no_swap():
    counter = Counter(rules())
    for at_s, identity in ((0, None), (10, "81"), (20, None), (30, "81")):
        (one,) = judged(counter, (at_s, 500 + at_s), identity=identity)
        assert (one.quality, one.event) == (GOOD, None)


def test_a_late_first_read_and_a_gap_of_days_bring_no_event():
    days_s = 3 * 86_400.0
    judgements = judged(
        Counter(rules()), (days_s, 5000 * KWH), (2 * days_s, 5700 * KWH), (2 * days_s + 10, 5700 * KWH)
    )
    assert [(one.quality, one.advance) for one in judgements] == [(GOOD, 0), (GOOD, 700 * KWH), (GOOD, 0)]
    assert kinds(judgements) == []


def test_an_inverter_that_refreshes_its_total_every_five_minutes_is_good_and_booked_in_full():
    """At 20 kW a refresh is 1.7 kWh, which no 10 s of 22 kW explain."""
    shown = [(10.0 * i, 1666.0 * (10 * i // 300)) for i in range(182)]
    judgements = judged(Counter(rules()), *shown)
    assert sum(one.advance for one in judgements) == 1666.0 * 6
    assert kinds(judgements) == []
    assert [one.quality for one in judgements].count(SUSPECT) == 6, "one read for each refresh"


@pytest.mark.parametrize("start_kwh", [16_384.0, 130_000.0, 1_100_000.0])
def test_a_float_counter_that_lost_its_resolution_brings_no_event(start_kwh: float):
    """Of a 22 kW site at full power, in a register of kWh: steps of 2, 16 and 125 Wh each second."""
    of = rules(raw_unit=KWH, is_float=True)
    step = of.resolution_at(start_kwh * KWH) / 2
    shown = [(float(i), (start_kwh * KWH + i * RATED_W / 3600) // step * step) for i in range(600)]
    judgements = judged(Counter(of), *shown)
    assert {one.quality for one in judgements} == {GOOD}
    assert kinds(judgements) == []
    assert sum(one.advance for one in judgements) == pytest.approx(599 * RATED_W / 3600, abs=2 * step)


def test_a_value_that_is_rounded_down_by_one_step_is_no_fall():
    """SunSpec: the factor register changed, and the total lost a digit."""
    counter = Counter(rules(is_scaled=True))
    judgements = judged(counter, (0, 5006), (10, 5000), (20, 5010), (30, 5020))
    assert [(one.quality, one.advance) for one in judgements] == [(GOOD, 0), (GOOD, 0), (GOOD, 4), (GOOD, 10)]


def test_a_clock_that_is_set_back_costs_nothing():
    steps = [(7200.0 + 10 * i, 100.0 * i) for i in range(5)] + [(10.0 * i, 500.0 + 100 * i) for i in range(5)]
    judgements = judged(Counter(rules(raw_unit=100.0)), *steps)
    assert {one.quality for one in judgements} == {GOOD}
    assert sum(one.advance for one in judgements) == 900
    assert kinds(judgements) == []


def test_a_clock_that_is_set_back_while_a_value_is_held_keeps_the_doubt():
    judgements = judged(
        Counter(rules()), (3600, 9 * KWH), (3610, 9 * KWH + 10), (3620, 0), (10, 0), (20, 9 * KWH + 40)
    )
    assert [one.quality for one in judgements] == [GOOD, GOOD, SUSPECT, SUSPECT, GOOD]
    assert judgements[-1].advance == 30


def test_a_restart_forgets_nothing():
    for seed in range(40):
        history = live(seed)
        of = rules_for(history)
        whole, restarted = Counter(of), Counter(of)
        for read in history.reads:
            saved = msgspec.json.encode(restarted.state)
            restarted = Counter(of, msgspec.json.decode(saved, type=CounterState))
            at_us = UtcUs(read.at_us)
            assert whole.judge(read.value, at_us, read.identity) == restarted.judge(read.value, at_us, read.identity)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.none() | st.floats(), st.integers(-(10**9), 10**12), st.sampled_from([None, "a", "b"])),
        max_size=30,
    ),
    st.sampled_from([None, 2.0**32]),
    st.booleans(),
)
def test_whatever_comes_is_judged_and_never_booked_below_zero(
    reads: list[tuple[float | None, int, str | None]], wraps_at: float | None, is_float: bool
):
    counter, at_us = Counter(rules(wraps_at=wraps_at, is_float=is_float)), START_US
    for value, elapsed_us, identity in reads:
        at_us += elapsed_us
        one = counter.judge(value, UtcUs(at_us), identity)
        assert one.advance >= 0
        if one.quality is not GOOD:
            assert one.advance == 0


def test_a_remembered_state_that_contradicts_itself_books_nothing_below_zero():
    now_us = UtcUs(START_US)
    base, held = Level(1001.0, now_us, UtcUs(2**63), "serial"), Level(0.0, now_us, now_us, "serial")
    counter = Counter(rules(), CounterState(base, held, None, None, S))
    for value in (0.0, 5e6, 5e6 + 1):
        now_us = UtcUs(now_us + S)
        assert counter.judge(value, now_us).advance >= 0


def test_an_event_names_values_as_an_installer_reads_them():
    judgements = judged(Counter(rules()), (0, 9000 * KWH), (10, 800 * KWH), (20, 800 * KWH + 30))
    (sentence,) = [one.event.sentence for one in judgements if one.event]
    assert sentence.startswith("main.energy_import_wh fell from 9,000.000 kWh to 800.000 kWh and counts on")


def test_the_histories_are_what_they_say():
    """A check of the generator: true energy rises no faster than rated, and true reads show what was counted."""
    for seed in range(50):
        history = live(seed)
        for before, after in pairwise(history.reads):
            rise_wh = after.true_wh - before.true_wh
            assert 0 <= rise_wh <= history.rated_w * (after.at_us - before.at_us) / S / 3600 + 1e-3
            if _is_plain(before) and _is_plain(after) and not history.happened:
                assert after.value is not None
                assert before.value is not None
                assert after.value - before.value == pytest.approx(rise_wh, abs=2 * history.raw_unit_wh)


def _is_plain(read: Read) -> bool:
    return read.shown is Shown.TRUE
