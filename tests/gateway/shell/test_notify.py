import os
import socket

import pytest

from gateway.shell.notify import Notifier


@pytest.fixture
def short_path(tmp_path, monkeypatch):
    """A socket path below the 108 bytes the kernel allows, however long tmp_path is."""
    monkeypatch.chdir(tmp_path)
    return "notify.sock"


def listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.bind(address)
    return listener


def test_systemd_hears_ready_alive_and_stopping(short_path):
    with listen(short_path) as systemd:
        notifier = Notifier(short_path)
        notifier.ready()
        notifier.alive()
        notifier.stopping()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
        notifier.close()


def test_the_socket_is_found_in_the_environment_and_may_be_abstract(monkeypatch):
    name = f"smartwatts-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listen(f"\0{name}") as systemd:
        notifier = Notifier()
        notifier.ready()
        assert systemd.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize(("period_s", "said"), [(1, b"READY=1"), (60, b"READY=1\nWATCHDOG_USEC=150000000")])
def test_rare_ticks_ask_for_more_patience(short_path, monkeypatch, period_s, said):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    with listen(short_path) as systemd:
        notifier = Notifier(short_path)
        notifier.ready(period_s)
        assert systemd.recv(100) == said
        notifier.close()


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    notifier.close()


def test_a_systemd_that_went_away_is_logged_once_and_harms_nothing(short_path, caplog):
    notifier = Notifier(short_path)
    notifier.alive()
    notifier.alive()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with listen(short_path) as systemd:
        notifier.alive()
        assert systemd.recv(100) == b"WATCHDOG=1"
    notifier.close()
