import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.ingest.limits import Buckets, Limits, Rate, ShareError, Shares, address_group
from gateway.contract.batches import BATCH_BYTES_MAX


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    buckets = Buckets(Rate(burst=3, per_s=0.5))
    assert [buckets.take("a", 10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 2.0, 2.0]
    assert buckets.take("a", 11.0) == 1.0
    assert buckets.take("a", 12.0) == 0.0
    assert buckets.take("b", 12.0) == 0.0


def test_asking_takes_nothing() -> None:
    buckets = Buckets(Rate(burst=1, per_s=1))
    assert [buckets.wait_s("a", 0.0) for _ in range(3)] == [0.0] * 3
    buckets.take("a", 0.0)
    assert buckets.wait_s("a", 0.25) == 0.75
    assert len(buckets) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=200))
def test_nobody_ever_gets_more_than_burst_and_rate(asked: list[tuple[str, float]]) -> None:
    rate = Rate(burst=2, per_s=0.7)
    buckets, now_s, got = Buckets(rate), 0.0, dict.fromkeys("abc", 0)
    for name, after_s in asked:
        now_s += after_s
        got[name] += buckets.take(name, now_s) == 0.0
        assert got[name] <= rate.burst + rate.per_s * now_s + 1e-6


def test_only_so_many_names_are_remembered_and_the_last_ones_are() -> None:
    buckets = Buckets(Rate(burst=1, per_s=0.001), names_max=100)
    for number in range(1_000):
        buckets.take(str(number), 0.0)
    assert len(buckets) == 100
    assert buckets.wait_s("999", 0.0) > 0
    assert buckets.wait_s("0", 0.0) == 0.0


def test_a_share_is_given_back_whatever_happens() -> None:
    shares = Shares(10, 6)
    with shares.held("a", 6), shares.held("b", 4):
        with pytest.raises(ShareError), shares.held("c", 1):
            pytest.fail("nothing is left")
        assert shares.taken == 10
    with pytest.raises(ZeroDivisionError), shares.held("a", 6):
        raise ZeroDivisionError
    assert shares.taken == 0
    with shares.held("a", 6):
        pass


def test_nobody_has_more_than_its_share() -> None:
    shares = Shares(10, 6)
    with shares.held("a", 5), pytest.raises(ShareError), shares.held("a", 2):
        pytest.fail("its share is 6")


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", ""),
        ("1.2.3", ""),
    ],
)
def test_an_address_stands_for_one_customer(address: str, group: str) -> None:
    assert address_group(address) == group


def test_a_body_of_the_largest_size_has_time_to_arrive_and_a_small_one_not_for_ever() -> None:
    limits = Limits()
    assert limits.body_s_max(0) == 5
    assert limits.body_s_max(1024 * 1024) < 30  # what a gateway sends at most, and waits for an answer
    assert limits.body_s_max(BATCH_BYTES_MAX) < 120


def test_the_limits_fit_each_other() -> None:
    limits = Limits()
    assert limits.batch_bytes_max <= limits.address_bodies_bytes_max <= limits.bodies_bytes_max
    assert limits.address_connections_max < limits.connections_max
    assert limits.waiting_s_max + limits.store_s_max < 30  # a gateway's patience
