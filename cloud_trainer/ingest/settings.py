"""What an ingest is told, as a process of it gets it from whoever started it."""

import ipaddress
import ssl
from urllib.parse import urlsplit

import msgspec

from firmware_bridge.errors import SettingError

_ANY = ("0.0.0.0", "::", "")  # noqa: S104 - named here to be refused as a public address


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, what with, and who may come.

    `public_url` is the address that gateways have in their settings, which their signatures cover; None for
    `http(s)://host:port`. `proxies` are the addresses whose word on where a request came from is taken.
    `metrics_port` is on loopback: None for no metrics.
    """

    dsn: str
    keys: str
    host: str
    port: int
    shares_port: bool = False
    metrics_port: int | None = None
    public_url: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    proxies: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot work, before anything is started.

        Raises:
            SettingError: names the option.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingError("--tls-cert and --tls-key", "(one given)", "belong together", "give both files")
        if self.public_url is not None:
            _check_url(self.public_url)
        elif self.host in _ANY:
            problem = "is no address that gateways could have in their settings"
            raise SettingError("--host", self.host or "(empty)", problem, "say with --public-url which one they have")
        for proxy in self.proxies:
            try:
                ipaddress.ip_address(proxy)
            except ValueError as error:
                raise SettingError("--proxy", proxy, "is no IP address", "give the one it connects from") from error

    def address(self, port: int) -> str:
        """What gateways call an ingest that listens on `port`."""
        if self.public_url is not None:
            return self.public_url
        scheme = "http" if self.tls_cert is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}"

    @property
    def is_open_to_listeners(self) -> bool:
        """Whether readings would cross a network that others can listen to in the clear."""
        return self.tls_cert is None and not self.proxies and not is_loopback(self.host)

    def tls(self) -> ssl.SSLContext | None:
        """The certificate to show, ready to serve; None without one.

        Raises:
            SettingError: certificate or key cannot be used.
        """
        if self.tls_cert is None or self.tls_key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # an empty password: else OpenSSL would ask for one, on a terminal that is not there
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except ssl.SSLError as error:
            problem = f"does not go with {self.tls_key} ({error.reason or error.strerror or 'not PEM'})"
            next_step = "give a PEM certificate and its open key"
            raise SettingError("--tls-cert", self.tls_cert, problem, next_step) from error
        except OSError as error:
            problem = f"or its key {self.tls_key} cannot be read ({error.strerror})"
            raise SettingError("--tls-cert", self.tls_cert, problem, "give files that this user may read") from error
        return context


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings(data: bytes) -> Settings:
    """The settings that `encode_settings` wrote."""
    return msgspec.json.decode(data, type=Settings)


def encode_settings(settings: Settings) -> bytes:
    """`settings` for another process of ours: by a pipe, never by arguments, for a DSN may hold a password."""
    return msgspec.json.encode(settings)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        works = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        works = works and not parts.query and not parts.fragment and parts.username is None
    except ValueError:
        works = False
    if not works:
        raise SettingError("--public-url", url, "is no address", "write it like https://ingest.example.org")
