"""A minute at a time."""

from firmware_bridge.simulator.minute import Minute


def test_sixty_seconds_are_computed_once():
    asked = []

    def compute(at_us):
        asked.append(int(at_us[0]))
        return [int(one) // 1_000_000 for one in at_us]

    minute = Minute(compute)
    assert [minute.at(second) for second in (61, 119, 60, 120, 61)] == [61, 119, 60, 120, 61]
    assert asked == [60_000_000, 120_000_000, 60_000_000]
