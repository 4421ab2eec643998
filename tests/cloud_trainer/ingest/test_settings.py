import ssl
from pathlib import Path

import msgspec
import pytest

from cloud_trainer.ingest.settings import Settings, encode_settings, is_loopback, read_settings
from firmware_bridge.errors import SettingError
from tests.sim.tls import self_signed

SETTINGS = Settings(dsn="dbname=x", keys="keys", host="127.0.0.1", port=8470)


def test_settings_reach_another_process_whole() -> None:
    settings = msgspec.structs.replace(SETTINGS, public_url="https://a.example", proxies=("::1",), shares_port=True)
    assert read_settings(encode_settings(settings)) == settings


@pytest.mark.parametrize(
    ("change", "address"),
    [
        ({}, "http://127.0.0.1:1234"),
        ({"host": "::1"}, "http://[::1]:1234"),
        ({"tls_cert": "c", "tls_key": "k"}, "https://127.0.0.1:1234"),
        ({"public_url": "https://ingest.example/a"}, "https://ingest.example/a"),
    ],
)
def test_gateways_know_it_by_its_public_address(change: dict[str, object], address: str) -> None:
    assert msgspec.structs.replace(SETTINGS, **change).address(1234) == address


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tls_cert": "c"}, "--tls-cert and --tls-key"),
        ({"tls_key": "k"}, "--tls-cert and --tls-key"),
        ({"host": "0.0.0.0"}, "--host"),
        ({"host": "::"}, "--host"),
        ({"host": ""}, "--host"),
        ({"public_url": "ingest.example"}, "--public-url"),
        ({"public_url": "ftp://ingest.example"}, "--public-url"),
        ({"public_url": "http://"}, "--public-url"),
        ({"public_url": "http://a:b"}, "--public-url"),
        ({"public_url": "http://[1"}, "--public-url"),
        ({"public_url": "http://user@a"}, "--public-url"),
        ({"public_url": "http://a?b=c"}, "--public-url"),
        ({"proxies": ("10.0.0.1", "nobody")}, "--proxy"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(change: dict[str, object], field: str) -> None:
    with pytest.raises(SettingError) as raised:
        msgspec.structs.replace(SETTINGS, **change).check()
    assert raised.value.field == field


@pytest.mark.parametrize(
    "change", [{}, {"host": "0.0.0.0", "public_url": "https://a"}, {"proxies": ("10.0.0.1", "::1")}]
)
def test_what_works_is_not_refused(change: dict[str, object]) -> None:
    msgspec.structs.replace(SETTINGS, **change).check()


@pytest.mark.parametrize(
    ("change", "is_open"),
    [({}, False), ({"host": "192.0.2.1"}, True), ({"host": "192.0.2.1", "proxies": ("192.0.2.2",)}, False)],
)
def test_readings_in_the_clear_are_known_as_such(change: dict[str, object], is_open: bool) -> None:
    assert msgspec.structs.replace(SETTINGS, **change).is_open_to_listeners is is_open


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_other_interfaces_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_certificate_is_taken_and_old_tls_is_not(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    context = msgspec.structs.replace(SETTINGS, tls_cert=str(cert), tls_key=str(key)).tls()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert SETTINGS.tls() is None


def test_a_certificate_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other_cert, other_key = self_signed(tmp_path / "other", password=b"secret")
    empty = tmp_path / "empty"
    empty.touch()
    for pair in (
        (cert, other_key),
        (other_cert, other_key),
        (other_cert, key),
        (cert, empty),
        (cert, tmp_path / "no"),
    ):
        settings = msgspec.structs.replace(SETTINGS, tls_cert=str(pair[0]), tls_key=str(pair[1]))
        with pytest.raises(SettingError, match="--tls-cert"):
            settings.tls()
