"""The gateway's one configuration file, checked: TOML in, a frozen tree out.

`load` refuses what cannot work before anything is started; each error names field, value and next
step. Parts receive their section, never the root.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from firmware_bridge.config import BusConfig, MeterConfig, Name, Positive
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S
from firmware_bridge.settings import convert, read_toml
from gateway.contract.batches import GatewayId
from gateway.contract.forecast_spec import ENERGY
from gateway.core.emissions import FACTOR_KG_PER_KWH_MAX, HOURS, SOURCE_CHARACTERS_MAX, GridFactor

HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s]+\Z",
        description="address of a server",
        examples=["https://companion.example.org", "http://192.168.1.10:8470"],
    ),
]
# What can be a path or a host: not empty, and nothing that ends a string in C.
PlainText = Annotated[str, Meta(pattern=r"^[^\x00]+\Z")]
FilePath = Annotated[PlainText, Meta(description="path of a file", examples=["/etc/smartwatts/root.json"])]
FolderPath = Annotated[PlainText, Meta(description="path of a folder", examples=["/var/lib/smartwatts"])]
Host = Annotated[PlainText, Meta(description="address of this machine", examples=["127.0.0.1"])]
# 250 meters of ten lines each are below 100 kB: beyond this it is some other file.
CONFIG_BYTES_MAX = 1024 * 1024
Port = Annotated[int, Meta(ge=0, le=65535)]


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway stands."""

    # the name of this gateway, unique in the cloud: it is part of the key of every record
    gateway_id: Annotated[
        GatewayId,
        Meta(
            description='name of small letters, digits and "-", at most 63 of them',
            examples=["shop-ikeja-01"],
        ),
    ]
    # IANA name; calendar and "the same time yesterday" follow it
    time_zone: str = "UTC"
    # volts between phase and neutral when all is well; below half of it the grid counts as out
    nominal_voltage_v: Annotated[float, Meta(ge=100, le=480)] = 230.0


class RecordConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often meters are read and what is kept of it."""

    # seconds between two sweeps of all meters
    poll_period_s: Annotated[int, Meta(ge=1, le=900)] = 1
    # seconds summed up in one stored block; also the most that a power cut can take
    recording_period_s: Annotated[int, Meta(ge=1, le=900)] = 60
    # single readings that are kept as well: "none", those around "anomalies", or "all"
    raw: Literal["none", "anomalies", "all"] = "anomalies"


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the data lies."""

    # folder for the store, the models and the state; made when missing
    folder: FolderPath = "/var/lib/smartwatts"
    # days that records stay here after the cloud has them: forecasts look back on four weeks, also after a
    # restart, and a cloud put back from a backup asks again for what it lost; 0.6 GB for 200 series
    keep_acknowledged_days: Annotated[int, Meta(ge=0, le=3660)] = 35
    # days that issued forecasts stay here, if that is longer
    keep_forecasts_days: Annotated[int, Meta(ge=0, le=3660)] = 35
    # megabytes that the store may take: half a year of 200 series at a block a minute
    size_mb_max: Annotated[int, Meta(ge=50, le=1_000_000)] = 5_000
    # megabytes that the store leaves free on its disk
    free_mb_min: Annotated[int, Meta(ge=0, le=1_000_000)] = 200


class SyncConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way home; without it the gateway keeps everything and sends nothing."""

    # where the cloud companion listens; /v1/batches is added
    url: HttpUrl
    # seconds between two uploads; five minutes keeps a metered link quiet
    period_s: Positive = 300.0
    # real seconds an upload may take
    timeout_s: Positive = 30.0
    # what leaves the site: "health" (status, model reports), "aggregates" (and readings summed up, forecasts,
    # anomalies, recommendations), or "raw" (and the single readings that are kept)
    share: Literal["health", "aggregates", "raw"] = "aggregates"
    # file with the certificates to trust for an https address, in PEM format; left out: those of this system
    ca_file: FilePath | None = None


class UpdateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where model bundles come from; without it the factory bundle stays."""

    # the TUF repository
    url: HttpUrl
    # file with the trusted root metadata, installed with the gateway
    root: FilePath
    # which of the published releases this gateway takes
    channel: Name = "stable"
    # seconds between two checks
    period_s: Positive = 3600.0
    # real seconds one check with its download may take
    timeout_s: Positive = 120.0


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How inference is run."""

    # real seconds one inference may take; beyond it the host is killed and the baseline speaks
    deadline_s: Positive = 1.0


class EmissionsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a kWh of the grid emits; without it no emissions are told."""

    # who says so; stands beside every figure
    source: Annotated[
        PlainText, Meta(max_length=SOURCE_CHARACTERS_MAX, description="name", examples=["grid operator, 2024"])
    ]
    # kg CO2e per kWh: one for all hours, or 24, one for each local hour from midnight on
    kg_per_kwh: Annotated[list[Annotated[float, Meta(ge=0, le=FACTOR_KG_PER_KWH_MAX)]], Meta(min_length=1)]

    @property
    def grid_factor(self) -> GridFactor:
        """The factor of each hour."""
        return GridFactor(tuple(self.kg_per_kwh * (HOURS // len(self.kg_per_kwh))), self.source)


class PageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The status page."""

    # loopback until claiming and sessions are in place: no stranger on the LAN reads a load curve
    host: Host = "127.0.0.1"
    # 0 lets the system choose; the address is printed
    port: Port = 8480


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Simulated time, for demonstrations and tests only."""

    # file that every process of the simulated site reads its time from
    origin: Annotated[FilePath, Meta(examples=["/srv/site/clock"])]


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"buses": "bus", "meters": "meter"}):
    """The root."""

    site: SiteConfig
    buses: Annotated[list[BusConfig], Meta(min_length=1, max_length=16)]
    meters: Annotated[list[MeterConfig], Meta(min_length=1, max_length=250)]
    record: RecordConfig = RecordConfig()
    store: StoreConfig = StoreConfig()
    model: ModelConfig = ModelConfig()
    page: PageConfig | None = PageConfig()
    sync: SyncConfig | None = None
    update: UpdateConfig | None = None
    emissions: EmissionsConfig | None = None
    clock: ClockConfig | None = None
    # folder with meter profiles of the installer, looked into before those of the program; seen from this file
    profiles: FolderPath | None = None

    @property
    def profile_folders(self) -> tuple[Path, ...]:
        """Where profiles are looked for before those of the program."""
        return () if self.profiles is None else (Path(self.profiles),)


def load_file(path: Path) -> Config:
    """The configuration in the file `path`.

    Raises:
        SettingError: the file cannot be read, or what it says cannot work.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("config", str(path), f"cannot be read ({reason})", "name a readable TOML file") from error
    if len(data) > CONFIG_BYTES_MAX:
        raise SettingError("config", str(path), f"is larger than {CONFIG_BYTES_MAX} bytes", "name a configuration")
    config = load(text, str(path))
    if config.profiles is None:
        return config
    return msgspec.structs.replace(config, profiles=str(path.parent / config.profiles))


def load(text: str, file: str = "text") -> Config:
    """The configuration in `text`, which stood in `file`.

    Raises:
        SettingError: not TOML, an unknown key, a value out of range, or settings that do not fit
            together; names the field, the value and the next step.
    """
    config = convert(read_toml(text, "config", file), Config)
    _check_names(config)
    _check_periods(config.record)
    _check_emissions(config.emissions)
    for field, section in (("sync.url", config.sync), ("update.url", config.update)):
        if section is not None:
            _check_url(field, section.url)
    try:
        ZoneInfo(config.site.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingError(
            "site.time_zone",
            repr(config.site.time_zone),
            "is not a known zone",
            'give an IANA name, "Africa/Lagos"',
        ) from error
    return config


def _check_names(config: Config) -> None:
    buses = [bus.name for bus in config.buses]
    _refuse_duplicates("bus.name", buses)
    _refuse_duplicates("meter.name", [meter.name for meter in config.meters])
    for meter in config.meters:
        if meter.bus not in buses:
            known = ", ".join(buses)
            raise SettingError(
                f"meter.{meter.name}.bus",
                repr(meter.bus),
                "is not a bus of this file",
                f"use one of: {known}",
            )
    _refuse_duplicates("meter.unit", [f"{meter.bus} unit {meter.unit}" for meter in config.meters])


def _check_periods(record: RecordConfig) -> None:
    poll, recording, step = record.poll_period_s, record.recording_period_s, ENERGY.step_us // US_PER_S
    whole = [period for period in range(1, step + 1) if step % period == 0]
    if poll not in whole:
        raise SettingError(
            "record.poll_period_s", str(poll), f"does not divide the forecast step of {step} s", _one_of(whole)
        )
    fitting = [period for period in whole if period % poll == 0]
    if recording not in fitting:
        raise SettingError(
            "record.recording_period_s",
            str(recording),
            f"is no multiple of record.poll_period_s = {poll} that divides the forecast step of {step} s",
            _one_of(fitting),
        )


def _check_emissions(emissions: EmissionsConfig | None) -> None:
    if emissions is not None and len(emissions.kg_per_kwh) not in (1, HOURS):
        count = f"{len(emissions.kg_per_kwh)} values"
        raise SettingError("emissions.kg_per_kwh", count, "are no day", f"give one value, or {HOURS}")


def _one_of(periods: list[int]) -> str:
    return "use one of: " + ", ".join(str(period) for period in periods)


def _check_url(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        # a host that cannot be looked up and a port beyond 65535 are ValueErrors of their own
        works = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
        # a password would stand in logs, and what follows a path would end up in its middle
        works = works and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        works = False
    if not works:
        raise SettingError(field, repr(url), "is no address", "write http://host:port or https://host")


def _refuse_duplicates(field: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SettingError(field, repr(value), "is given twice", "give each its own")
