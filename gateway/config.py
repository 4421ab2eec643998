"""The gateway's one configuration file, checked: TOML in, a frozen tree out.

`load` refuses what cannot work before anything is started; each error names field, value and next
step. Parts receive their section, never the root.
"""

import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from firmware_bridge.config import BusConfig, MeterConfig, Name, Positive
from firmware_bridge.errors import SettingError
from firmware_bridge.reading import US_PER_S
from gateway.contract.inputs import STEP_US
from gateway.contract.records import GatewayId

HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^\s]+\Z")]
# What can be a path or a host: not empty, and nothing that ends a string in C.
PlainText = Annotated[str, Meta(pattern=r"^[^\x00]+\Z")]
Port = Annotated[int, Meta(ge=0, le=65535)]


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway stands."""

    # the name of this gateway, unique in the cloud: it is part of the key of every record
    gateway_id: GatewayId
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


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the data lies."""

    # folder for the store, the models and the state; made when missing
    folder: PlainText = "/var/lib/smartwatts"


class SyncConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The way home; without it the gateway keeps everything and sends nothing."""

    # where the cloud companion listens; /v1/batches is added
    url: HttpUrl
    # seconds between two uploads; five minutes keeps a metered link quiet
    period_s: Positive = 300.0
    # real seconds an upload may take
    timeout_s: Positive = 30.0


class UpdateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where model bundles come from; without it the factory bundle stays."""

    # the TUF repository
    url: HttpUrl
    # file with the trusted root metadata, installed with the gateway
    root: PlainText
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


class PageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The status page."""

    # loopback until claiming and sessions are in place: no stranger on the LAN reads a load curve
    host: PlainText = "127.0.0.1"
    # 0 lets the system choose; the address is printed
    port: Port = 8480


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Simulated time, for demonstrations and tests only."""

    # file that every process of the simulated site reads its time from
    origin: PlainText


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
    clock: ClockConfig | None = None


def load_file(path: Path) -> Config:
    """The configuration in the file `path`.

    Raises:
        SettingError: the file cannot be read, or what it says cannot work.
    """
    try:
        text = path.read_text("utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("config", str(path), f"cannot be read ({reason})", "name a readable TOML file") from error
    return load(text)


def load(text: str) -> Config:
    """The configuration in `text`.

    Raises:
        SettingError: not TOML, an unknown key, a value out of range, or settings that do not fit
            together; names the field, the value and the next step.
    """
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets without end
        raise SettingError("config", "text", f"is not TOML: {error}", "correct that line") from error
    try:
        config = msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise _setting_error(str(error), tree) from error
    _check_names(config)
    _check_periods(config.record)
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
    poll, recording, step = record.poll_period_s, record.recording_period_s, STEP_US // US_PER_S
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


def _one_of(periods: list[int]) -> str:
    return "use one of: " + ", ".join(str(period) for period in periods)


def _check_url(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        # a host that cannot be looked up and a port beyond 65535 are ValueErrors of their own
        works = bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
    except ValueError:
        works = False
    if not works:
        raise SettingError(field, repr(url), "is no address", "write http://host:port or https://host")


def _refuse_duplicates(field: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise SettingError(field, repr(value), "is given twice", "give each its own")


def _setting_error(message: str, tree: object) -> SettingError:
    """Say msgspec's complaint in our form: `$.meter[0].unit` becomes meter[0].unit, with its value."""
    problem, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".") or "config"
    if "unknown field" in problem or "missing required field" in problem:
        name = problem.split("`")[1] or '""'
        field = f"{field}.{name}" if field != "config" else name
        if "unknown" in problem:
            return SettingError(
                field, repr(_value_at(tree, field)), "is not a setting", "remove it or mind its spelling"
            )
        return SettingError(
            field, "(missing)", "is needed", "add it; `smartwatts-provision config example` shows one"
        )
    return SettingError(field, repr(_value_at(tree, field)), problem, "correct it")


def _value_at(tree: object, field: str) -> object:
    for part in field.replace("[", ".").replace("]", "").split("."):
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and part.isdigit():
            tree = tree[int(part)]
    return tree
