"""A configuration in plain sentences: what is read, what is kept, where it goes. Pure."""

import ipaddress
from collections.abc import Iterator
from pathlib import PurePath

from firmware_bridge.config import BusConfig, MeterConfig
from gateway.config import Config

# Less than 2.2 A at 230 V, below the smallest main breaker on sale.
RATED_POWER_W_USUAL_MIN = 500.0
_ROLE_WORDS = {
    "grid": "the grid connection",
    "solar": "the solar inverter",
    "load": "a load",
    "other": "something else",
}


def explain(config: Config) -> list[str]:
    """What a gateway started with `config` will do, one sentence each."""
    return [
        f"This is the gateway {config.site.gateway_id}; its days follow the clock of {config.site.time_zone}.",
        *_reading(config),
        *_forecasting(config.meters),
        _keeping(config),
        _sending(config),
        _updating(config),
        _showing(config),
        *_simulated(config),
    ]


def warnings(config: Config) -> list[str]:
    """What in `config`, as it is written, works but looks like a slip; one sentence each."""
    return [*_small_breakers(config.meters), *_relative_paths(config)]


def _small_breakers(meters: list[MeterConfig]) -> Iterator[str]:
    for meter in meters:
        if meter.rated_power_w < RATED_POWER_W_USUAL_MIN:
            yield (
                f"meter.{meter.name}.rated_power_w = {meter.rated_power_w:g}: less than any main breaker lets "
                f"through; if {meter.rated_power_w:g} kW are meant, write {meter.rated_power_w * 1e3:.0f}."
            )


def _relative_paths(config: Config) -> Iterator[str]:
    paths = {"store.folder": config.store.folder}
    if config.update is not None:
        paths["update.root"] = config.update.root
    if config.clock is not None:
        paths["clock.origin"] = config.clock.origin
    for field, path in paths.items():
        if not PurePath(path).is_absolute():
            yield f"{field} = {path!r}: a gateway that is started in another folder takes another one."


def _reading(config: Config) -> Iterator[str]:
    every = _each(config.record.poll_period_s)
    if config.profiles is not None:
        yield f"It looks for the profiles of meters in {config.profiles} first."
    yield f"It reads {_count(len(config.meters), 'meter')} on {_count(len(config.buses), 'line')} every {every}:"
    for bus in config.buses:
        meters = [meter for meter in config.meters if meter.bus == bus.name]
        yield _line(bus, meters)
        for meter in meters:
            most = "" if bus.protocol == "sensor" else f", at most {meter.rated_power_w:g} W"
            yield (f"    {meter.name}: {meter.profile}, unit {meter.unit}, measures {_ROLE_WORDS[meter.role]}{most}.")


def _line(bus: BusConfig, meters: list[MeterConfig]) -> str:
    if not meters:
        return f"  {bus.name} at {bus.url}: no meter, so this line is never opened."
    if bus.protocol != "modbus":
        return f"  {bus.name} at {bus.url}, where it listens to what is sent ({bus.protocol}) and asks nothing:"
    return f"  {bus.name} at {bus.url}, where a meter has {_duration(bus.timeout_s)} to answer:"


def _forecasting(meters: list[MeterConfig]) -> Iterator[str]:
    roles = {meter.role for meter in meters}
    if not roles & {"grid", "load"}:
        yield 'No meter has the role "grid" or "load": the consumption is not known and nothing is forecast.'
    elif "grid" not in roles:
        yield 'No meter has the role "grid": consumption is what the loads draw; it is forecast one day ahead.'
    elif "solar" in roles:
        yield "Consumption is what the grid delivers plus what the sun does; it is forecast one day ahead."
    else:
        yield "Consumption is what the grid delivers; it is forecast one day ahead."


def _keeping(config: Config) -> str:
    period = _each(config.record.recording_period_s)
    return (
        f"It keeps mean, minimum and maximum of every {period} in {config.store.folder}; "
        f"a power cut takes the last {period} at most."
    )


def _sending(config: Config) -> str:
    if config.sync is None:
        return "It sends nothing: there is no [sync]. Everything is kept on the gateway."
    return f"It sends what it kept to {config.sync.url} every {_each(config.sync.period_s)}."


def _updating(config: Config) -> str:
    if config.update is None:
        return "It stays with the model it came with: there is no [update]."
    return (
        f"It asks {config.update.url} for a new model on the channel {config.update.channel} "
        f"every {_each(config.update.period_s)}, and trusts what {config.update.root} trusts."
    )


def _showing(config: Config) -> str:
    if config.page is None:
        return "It shows no page."
    where = f"It shows its page at http://{_bracketed(config.page.host)}:{config.page.port}/"
    if config.page.port == 0:
        where = f"It shows its page on {config.page.host}, at a port that the system chooses,"
    if _is_loopback(config.page.host):
        return f"{where} to this machine alone."
    return f"{where} to EVERYONE who can reach that address: the page asks for no password."


def _simulated(config: Config) -> Iterator[str]:
    if config.clock is not None:
        yield f"Its time is SIMULATED by {config.clock.origin}: for demonstrations and tests only."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _duration(seconds: float) -> str:
    for unit, length_s in (("hour", 3600), ("minute", 60)):
        if seconds >= length_s and seconds % length_s == 0:
            return _count(int(seconds // length_s), unit)
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def _each(seconds: float) -> str:
    """The duration as it stands after "every" and "the last"."""
    return _duration(seconds).removeprefix("1 ")
