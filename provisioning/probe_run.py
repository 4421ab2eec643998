"""A probe with its progress on the terminal: the search, then the load step. A shell."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from firmware_bridge.clock import Clock
from firmware_bridge.lookup_loop import LookupLoop
from firmware_bridge.probe.asks import Hail, Listen
from firmware_bridge.probe.conclusion import Conclusion, conclude, conclude_all
from firmware_bridge.probe.examination import Examination
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.line import LineUnderProbe, Place
from firmware_bridge.probe.load_step import LoadStep, load_step
from firmware_bridge.probe.plan import Options, Plan, plan
from firmware_bridge.probe.power_watch import Watched, watch
from firmware_bridge.probe.probe import probe
from firmware_bridge.probe.search import Search
from firmware_bridge.probe.sender_conclusion import conclude_sender
from firmware_bridge.profile import Profile
from provisioning.probe_report import duration, found

# A kettle needs some seconds to be reached and switched, and some to be measured.
BEFORE_S, SWITCH_S, DURING_S = 6.0, 8.0, 10.0


class Wanted(NamedTuple):
    """What the installer asked for."""

    place: Place
    options: Options
    state: Path


class Finder:
    """Runs one search and tells of it while it goes on, on stderr."""

    def __init__(self, wanted: Wanted, profiles: Sequence[Profile], clock: Clock) -> None:
        self._wanted, self._profiles, self._clock = wanted, profiles, clock
        self._plan: Plan = plan(profiles, wanted.options)
        self.search = Search(self._plan, profiles)
        self._console = Console(stderr=True, highlight=False)
        self._told = (0, 0, 0)

    def run(self, journal: Journal) -> None:
        """Search to the end, from where the journal ends.

        Raises:
            LineError: the line cannot be used.
            KeyboardInterrupt: the installer has seen enough for now.
        """
        resumed = journal.resume(self.search)
        if resumed:
            self._say(f"going on after {resumed} answers of an earlier run; --restart begins anew")
        if self.search.ask is None:
            self._tell()
            return
        self._say(
            f"at most {duration(self.search.left_s)} if nobody answers; "
            f"the likely settings and unit ids take {duration(self._plan.likely_s)}"
        )
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]} left at most"))
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            bar = progress.add_task("", total=self._plan.longest_s, left="")

            def tell() -> None:
                self._tell()
                left_s = self.search.left_s
                done_s = max(0.0, self._plan.longest_s - left_s)
                progress.update(bar, completed=done_s, description=self._doing(), left=duration(left_s))

            line = LineUnderProbe(self._wanted.place, self._clock)
            with asyncio.Runner(loop_factory=LookupLoop) as runner:
                runner.run(probe(self.search, line, journal, tell))

    def conclusions(self) -> list[Conclusion]:
        """What was found, in the order in which it was."""
        senders = [conclude_sender(one, self._profiles) for one in self.search.broadcasts]
        return [*senders, *conclude_all(self.search.devices)]

    def load_steps(self, *, is_prompting: bool) -> dict[int, LoadStep]:
        """Ask for a load to be switched on, and see what it does to each device that shows power.

        Raises:
            LineError: the line went away.
        """
        devices = [one for device in self.search.devices if (one := _watched(device)) is not None]
        if not devices:
            return {}
        self._say("load step: switch on a load of 1 to 3 kW (a kettle) when you are told to")
        if is_prompting:
            click.prompt("is it OFF now? press Enter", default="", show_default=False, err=True)
        self._watch(devices, BEFORE_S)
        counts = [len(one.samples) for one in devices]
        if is_prompting:
            click.prompt("switch it ON, then press Enter", default="", show_default=False, err=True)
        else:
            self._say(f"switch it ON now: it is measured in {SWITCH_S:.0f} s")
            asyncio.run(self._clock.sleep_for(SWITCH_S))
        self._watch(devices, DURING_S)
        self._say("it may be switched off again")
        return {
            one.unit: load_step(one.samples[:count], one.samples[count:])
            for one, count in zip(devices, counts, strict=True)
        }

    def _watch(self, devices: Sequence[Watched], duration_s: float) -> None:
        self._say(f"measuring for {duration(duration_s)} ...")
        line = LineUnderProbe(self._wanted.place, self._clock)
        with asyncio.Runner(loop_factory=LookupLoop) as runner:
            runner.run(watch(line, devices, duration_s, self._plan.wait_s, self._clock))

    def _doing(self) -> str:
        match self.search.ask:
            case None:
                return "done"
            case Listen() as listen:
                return f"listening at {listen.wire.told}"
            case Hail() as hail:
                return f"unit {hail.unit}: Modbus TCP or RTU?"
            case ask:
                return f"unit {ask.unit} at {ask.wire.told}"

    def _tell(self) -> None:
        """Say what is new, once."""
        devices, senders, notes = self._told
        search = self.search
        for device in search.devices[devices:]:
            self._say(found(conclude(device)))
        for sender in search.broadcasts[senders:]:
            self._say(found(conclude_sender(sender, self._profiles)))
        for note in search.notes[notes:]:
            self._say(f"note: {note}")
        self._told = (len(search.devices), len(search.broadcasts), len(search.notes))

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)


def head(wanted: Wanted) -> dict[str, object]:
    """What an earlier run must have been about to be gone on with."""
    return {"probe": 1, "place": list(wanted.place), "options": msgspec.to_builtins(list(wanted.options))}


def _watched(device: Examination) -> Watched | None:
    profile = conclude(device).profile
    return None if profile is None else Watched(device, device.profiles[profile])
