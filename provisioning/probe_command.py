"""`smartwatts-provision probe`: which meters are on this line, and how sure that is."""

import os
import re
import shlex
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click
import msgspec
from rich.console import Console

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit, LineError, NotFoundError, SettingError
from firmware_bridge.probe.adapters import Adapter, adapters, best_name
from firmware_bridge.probe.conclusion import Conclusion
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.line import Place
from firmware_bridge.probe.plan import LISTEN_S, Options
from firmware_bridge.profile import Profile
from gateway.config import load_file
from provisioning.probe_config import Suggestion, extended, first_file, sections, suggest, top_line
from provisioning.probe_report import NOBODY, Result, as_json, drawn
from provisioning.probe_run import Finder, Wanted, head

_MODBUS_PORT = 502
_WAIT_S_MAX = 10.0


@click.command("probe")
@click.option("--serial", metavar="PATH", help="A serial adapter; without any option they are listed.")
@click.option("--tcp", metavar="HOST[:PORT]", help="A meter or a converter on the network; port 502 if not given.")
@click.option("--all-units", is_flag=True, help="Try unit ids up to 247, not only up to 32.")
@click.option("--thorough", is_flag=True, help="Try other settings too after devices were found.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0.05, _WAIT_S_MAX), help="Seconds a device may take to answer."
)
@click.option(
    "--listen", "listen_s", type=click.FloatRange(0, 60), default=LISTEN_S, show_default=True,
    help="Seconds to hear, first, whether somebody sends by himself.",
)  # fmt: skip
@click.option(
    "--profiles", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="FOLDER",
    help="Meter profiles of your own, beside those of --write's file.",
)  # fmt: skip
@click.option("--load-step", is_flag=True, help="At the end, see from a kettle which way each meter counts.")
@click.option("--no-prompt", is_flag=True, help="The load step waits some seconds instead of for Enter.")
@click.option("--write", type=click.Path(path_type=Path), metavar="FILE", help="Add what was found to this file.")
@click.option("--force", is_flag=True, help="Change settings of that file which say otherwise.")
@click.option("--state", type=click.Path(path_type=Path), metavar="FILE", help="Where an interrupted probe is kept.")
@click.option("--restart", is_flag=True, help="Begin anew, whatever an interrupted probe has heard.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def probe_command(
    serial: str | None,
    tcp: str | None,
    wait_s: float | None,
    listen_s: float,
    profiles: Path | None,
    write: Path | None,
    state: Path | None,
    *,
    all_units: bool,
    thorough: bool,
    load_step: bool,
    no_prompt: bool,
    force: bool,
    restart: bool,
    is_json: bool,
) -> int:
    """Find meters whose settings nobody knows, name them, and say how sure that is and why.

    Only reads: nothing in a meter is changed. May be interrupted: the same command goes on where it was.
    """
    if serial is None and tcp is None:
        _list_adapters(adapters(), is_json=is_json)
        return Exit.OK
    known = _profiles([*([profiles] if profiles else ()), *_folders_of(write)])
    place = place_of(serial, tcp)
    options = Options(place.is_serial, all_units, thorough, wait_s, listen_s)
    wanted = Wanted(place, options, state or _state_path(place, write))
    journal = Journal(wanted.state, head(wanted), is_new=restart)
    try:
        finder = Finder(wanted, known, SystemClock())
        finder.run(journal)
        steps = finder.load_steps(is_prompting=not no_prompt) if load_step else {}
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"interrupted: the same command goes on where this one was ({wanted.state})", err=True)
        return Exit.INTERRUPTED
    except LineError as error:
        click.echo(f"smartwatts-provision: {error}; the same command goes on where this one was.", err=True)
        return Exit.UNREACHABLE
    finally:
        journal.close()
    conclusions = finder.conclusions()
    suggestion = _suggested(place, conclusions, write, profiles)
    result = Result(
        line=place.told,
        conclusions=tuple(conclusions),
        notes=tuple(finder.search.notes),
        load_steps=steps,
        suggestion=top_line(suggestion) + sections(suggestion),
        written=None,
    )
    _end(result, suggestion, write, is_forced=force, is_json=is_json)
    journal.remove()
    return Exit.OK if conclusions else Exit.NOT_FOUND


def place_of(serial: str | None, tcp: str | None) -> Place:
    """Where to probe.

    Raises:
        SettingError: that is no place, or there is no such adapter.
    """
    if serial is not None and tcp is not None:
        raise SettingError("--serial", serial, "and --tcp are two lines", "probe one after the other")
    if serial is not None:
        path = os.path.realpath(serial)
        if not Path(path).is_char_device():
            known = ", ".join(one.path for one in adapters())
            next_step = f"use one of: {known}" if known else "plug one in, then: smartwatts-provision probe"
            raise NotFoundError("--serial", serial, "is no serial adapter", next_step)
        return Place(path=best_name(str(Path(serial).absolute())))
    host, colon, port = str(tcp).rpartition(":")
    if not colon:
        host, port = port, str(_MODBUS_PORT)
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 0xFFFF
    if not is_port or not re.fullmatch(r"[^/:\s]+", host):
        raise SettingError(
            "--tcp", repr(tcp), "is no address", "write host or host:port, without brackets and slashes"
        )
    return Place(host=host, port=int(port))


def _profiles(folders: Sequence[Path]) -> list[Profile]:
    return [load_profile(name, folders) for name in profile_names(folders)]


def _list_adapters(found: Sequence[Adapter], *, is_json: bool) -> None:
    """Without a line to probe: which there are, and what to type."""
    if is_json:
        tree = [{"path": one.path, "device": one.device, "is_lasting": one.is_lasting} for one in found]
        click.echo(msgspec.json.format(msgspec.json.encode({"adapters": tree}), indent=2).decode())
        return
    for one in found:
        now = f" (now {one.device})" if one.is_lasting else ""
        click.echo(f"smartwatts-provision probe --serial {one.path}{now}")
    if not found:
        click.echo("No serial adapter is plugged in, or the system has no driver for it (see: dmesg | tail).")
    click.echo("smartwatts-provision probe --tcp HOST[:PORT]")


def _state_path(place: Place, write: Path | None) -> Path:
    """Beside the configuration that is written, else in the user's folder for such files."""
    if write is not None:
        return write.with_name(write.name + ".probe")
    base = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    name = re.sub(r"[^A-Za-z0-9]+", "-", place.told).strip("-")
    return Path(base, "smartwatts", f"probe-{name}.jsonl")


def _folders_of(write: Path | None) -> Sequence[Path]:
    """Where the file to write looks for profiles. What is wrong with it is told before the search, not after."""
    if write is None:
        return ()
    if not write.parent.is_dir():
        raise SettingError("--write", str(write), "is in a folder that is not there", "make the folder first")
    return load_file(write).profile_folders if write.exists() else ()


def _suggested(
    place: Place, conclusions: Sequence[Conclusion], write: Path | None, profiles: Path | None
) -> Suggestion:
    """What to add for what was found, with the folder of the installer's profiles where the file lacks it."""
    if not conclusions:
        return Suggestion()
    bus = msgspec.structs.replace(place.bus(conclusions[0].wire), protocol=conclusions[0].protocol)
    config = load_file(write) if write is not None and write.exists() else None
    suggestion = suggest(bus, conclusions, config)
    known = profile_names(config.profile_folders if config else ())
    if profiles is None or all(one.profile in known for one in suggestion.meters):
        return suggestion
    folder, base = profiles.resolve(), (write or Path("-")).resolve().parent
    is_inside = write is not None and folder.is_relative_to(base)
    return msgspec.structs.replace(suggestion, profiles=str(folder.relative_to(base) if is_inside else folder))


def _end(result: Result, suggestion: Suggestion, write: Path | None, *, is_forced: bool, is_json: bool) -> None:
    """Write the file and print the result; where it cannot be written, what was found is printed all the same."""
    if write is None or not result.conclusions:
        _print(result, "For the gateway's configuration (--write FILE adds it there):\n", is_json=is_json)
        return
    try:
        is_written = _written(suggestion, write, is_forced=is_forced)
    except SettingError:
        _print(result, f"Not written to {write}:\n", is_json=is_json)
        raise
    if is_written:
        about = f"Written to {write}; smartwatts-provision config validate {shlex.quote(str(write))} explains it."
        _print(msgspec.structs.replace(result, written=str(write)), about, is_json=is_json)
        return
    why = "nothing of this is sure enough to be added" if result.suggestion else "there is nothing to add"
    _print(result, f"{write} is left as it is: {why}.", is_json=is_json)


def _written(suggestion: Suggestion, write: Path, *, is_forced: bool) -> bool:
    """Whether there was anything to write."""
    if not write.exists():
        _save(write, first_file(suggestion, _gateway_id()))
        return True
    if suggestion.is_empty:
        return False
    text = write.read_text(encoding="utf-8-sig")
    _save(write, extended(text, suggestion, str(write), is_forced=is_forced))
    return True


def _save(path: Path, text: str) -> None:
    """All at once: a gateway may be starting with it."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text, encoding="utf-8")
        if path.exists():
            draft.chmod(path.stat().st_mode)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise SettingError(
            "--write", str(path), f"cannot be written ({error.strerror})", "name another file"
        ) from error


def _gateway_id() -> str:
    """The name of this machine, as far as it can be a gateway's."""
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:63] or "gateway-1"


def _print(result: Result, about: str, *, is_json: bool) -> None:
    """The result; `about` stands before the sections for a configuration."""
    if is_json:
        click.echo(as_json(result))
        return
    if not result.conclusions:
        click.echo(NOBODY)
        return
    console = Console(highlight=False)
    for part in drawn(result.conclusions, result.load_steps, console.width):
        console.print(part)
    click.echo()
    if result.suggestion or not about.endswith(":\n"):
        click.echo(about)
    click.echo(result.suggestion, nl=False)
