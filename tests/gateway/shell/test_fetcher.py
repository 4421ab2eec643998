import hashlib
import threading

import pytest
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
    SlowRetrievalError,
)

from gateway.shell.fetcher import BundleFetcher, clear_spool
from tests.sim import repository_server as sim
from tests.sim.full_disk import files_limited_to

pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 4000
TARGET = f"{hashlib.sha256(DATA).hexdigest()}.model.tflite"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / TARGET).write_bytes(DATA)
    (tmp_path / "served" / "timestamp.json").write_bytes(DATA[:3000])
    with sim.serving(tmp_path / "served") as server:
        yield server


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def fetcher(server, spool, budget_s=10.0, gap_s=5.0):
    return BundleFetcher(server.url, spool, budget_s, gap_s=gap_s)


def test_target_arrives_and_leaves_no_part(server, spool):
    assert fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA
    assert list(spool.iterdir()) == []


def test_metadata_never_touches_the_spool(server, spool):
    assert fetcher(server, spool).download_bytes(f"{server.url}/timestamp.json", 5000) == DATA[:3000]
    assert list(spool.iterdir()) == []


def test_plain_fetch_gives_the_bytes_too(server, spool):
    assert b"".join(fetcher(server, spool).fetch(f"{server.url}/timestamp.json")) == DATA[:3000]


def test_cut_link_is_resumed_where_it_broke(server, spool):
    server.faults[TARGET] = sim.cut_after(400_000)
    for _ in range(2):
        with pytest.raises(DownloadError):
            fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA))
    assert fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA
    assert server.asked(TARGET) == [None, "bytes=400000-", "bytes=800000-"]


@pytest.mark.parametrize("fault", [sim.without_ranges, sim.refuse_ranges, sim.wrong_part])
def test_server_that_cannot_resume_gives_all_of_it(server, spool, fault):
    (spool / TARGET).write_bytes(DATA[:1000])
    server.faults[TARGET] = fault
    assert fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA


def test_whole_part_is_not_asked_for_again(server, spool):
    (spool / TARGET).write_bytes(DATA)
    used = fetcher(server, spool)
    assert used.download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA
    assert used.last_was_resumed
    assert server.requests == []


def test_part_that_the_caller_refuses_is_forgotten(server, spool):
    (spool / TARGET).write_bytes(bytes(1000))
    with pytest.raises(RepositoryError), fetcher(server, spool).download_file(f"{server.url}/{TARGET}", len(DATA)):
        raise RepositoryError("hash differs")
    assert fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA
    assert server.asked(TARGET) == ["bytes=1000-", None]


def test_caller_that_cannot_write_keeps_the_part(server, spool):
    with pytest.raises(OSError), fetcher(server, spool).download_file(f"{server.url}/{TARGET}", len(DATA)):
        raise OSError("no space left")
    assert fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA)) == DATA
    assert server.asked(TARGET) == [None]


@pytest.mark.parametrize("name", [TARGET, "timestamp.json"])
@pytest.mark.parametrize("fault", [sim.endless, sim.lengthen])
def test_nothing_grows_beyond_its_limit(server, spool, name, fault):
    server.faults[name] = fault
    limit = 3000 if name == "timestamp.json" else len(DATA)
    with pytest.raises(DownloadLengthMismatchError):
        fetcher(server, spool).download_bytes(f"{server.url}/{name}", limit)
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("name", [TARGET, "timestamp.json"])
def test_trickle_ends_with_the_budget(server, spool, name):
    """Each byte comes well within the gap: only the budget can end this."""
    server.faults[name] = sim.trickle(0.02)
    with pytest.raises(SlowRetrievalError):
        fetcher(server, spool, budget_s=0.5).download_bytes(f"{server.url}/{name}", len(DATA))


@pytest.mark.parametrize("name", [TARGET, "timestamp.json"])
def test_silence_ends_with_the_gap(server, spool, name):
    server.faults[name] = sim.silent
    with pytest.raises(SlowRetrievalError):
        fetcher(server, spool, gap_s=0.2).download_bytes(f"{server.url}/{name}", len(DATA))
    assert len(server.requests) == 1, "no retries of urllib3's own"


def test_silence_in_the_middle_keeps_what_came(server, spool):
    server.faults[TARGET] = sim.stall_after(300_000, threading.Event())
    with pytest.raises(SlowRetrievalError):
        fetcher(server, spool, gap_s=0.2).download_bytes(f"{server.url}/{TARGET}", len(DATA))
    assert (spool / TARGET).read_bytes() == DATA[:300_000]


@pytest.mark.parametrize("code", [204, 302, 403, 404, 500, 503])
def test_other_answers_are_told_by_their_status(server, spool, code):
    server.faults["timestamp.json"] = sim.status(code)
    with pytest.raises(DownloadHTTPError) as caught:
        fetcher(server, spool).download_bytes(f"{server.url}/timestamp.json", 5000)
    assert caught.value.status_code == code
    assert len(server.requests) == 1, "a redirection is not followed"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://not.a.host.invalid/x", "http://[::bad/x", "ftp://x/y"]
)
def test_no_connection_is_a_download_error_and_no_timeout(server, spool, url):
    with pytest.raises(DownloadError) as caught:
        fetcher(server, spool).download_bytes(url, 5000)
    assert not isinstance(caught.value, SlowRetrievalError)


def test_spent_budget_asks_for_nothing_more(server, spool):
    with pytest.raises(SlowRetrievalError):
        fetcher(server, spool, budget_s=0.0).download_bytes(f"{server.url}/timestamp.json", 5000)
    assert server.requests == []


def test_full_disk_is_this_machines_trouble_and_no_download_error(server, spool):
    with files_limited_to(100_000), pytest.raises(OSError):
        fetcher(server, spool).download_bytes(f"{server.url}/{TARGET}", len(DATA))


def test_loopback_never_goes_through_a_proxy(server, spool, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetcher(server, spool).download_bytes(f"{server.url}/timestamp.json", 5000) == DATA[:3000]


def test_proxy_of_the_environment_is_used_for_the_rest_of_the_world(server, spool, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    (server.folder / "http:" / "bundles.invalid").mkdir(parents=True)
    (server.folder / "http:" / "bundles.invalid" / "timestamp.json").write_bytes(b"through the proxy")
    url = "http://bundles.invalid/timestamp.json"
    assert BundleFetcher(url, spool, 5.0).download_bytes(url, 5000) == b"through the proxy"


def test_spool_keeps_only_what_is_still_wanted(spool):
    for name in ("wanted", "old"):
        (spool / name).touch()
    clear_spool(spool, keep=frozenset({"wanted"}))
    assert [part.name for part in spool.iterdir()] == ["wanted"]
    clear_spool(spool)
    assert list(spool.iterdir()) == []
