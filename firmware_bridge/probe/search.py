"""The whole search on one line: whom to ask what next, given all that was heard so far. Pure.

It is a conversation without a clock and without a line: `ask` is the next question, `take` is given
what was heard. The same answers always lead to the same questions, so a search that was interrupted is
resumed by giving a new one the answers of the old one.
"""

from collections.abc import Generator, Sequence

import msgspec

from firmware_bridge.probe.asks import (
    Ask,
    Dropped,
    Garbled,
    Heard,
    Overheard,
    Read,
    Refused,
    Sender,
    Silence,
    Spoken,
    Unfit,
    Wire,
    Words,
)
from firmware_bridge.probe.conclusion import conclude
from firmware_bridge.probe.examination import Examination, examine
from firmware_bridge.probe.plan import QUESTIONS, Plan, seconds
from firmware_bridge.profile import Profile

Conversation = Generator[Ask, Heard, None]

# An address that closes every connection is no meter; one that closed one of them may be.
DROPS_MAX = 5
# Unit ids that nobody gives to a device; two, for somebody might.
STRANGERS = (113, 247)
# Who answers when his time is up gets that many times as long.
SLOW_FACTOR = 4.0


class Broadcast(msgspec.Struct, frozen=True):
    """A device that sends by itself, and where it was heard."""

    wire: Wire
    sender: Sender


class Search:
    """One search. `ask` is None when it is over; all else fills up while it goes on."""

    def __init__(self, plan: Plan, profiles: Sequence[Profile]) -> None:
        self.devices: list[Examination] = []
        self.broadcasts: list[Broadcast] = []
        # what else an installer should know, in sentences
        self.notes: list[str] = []
        # seconds that the rest takes at most, if nobody else answers
        self.left_s = plan.longest_s
        self._plan, self._profiles = plan, [one for one in profiles if one.file.protocol == "modbus"]
        # who was asked what, in vain or not
        self._knocked: set[Read] = set()
        # behind a network, where even a unit id that nobody has is answered: devices that are no known ones
        self._is_refusing_strangers = False
        self._unknown: list[Examination] = []
        # settings that the adapter cannot do
        self._unfit: set[Wire] = set()
        self._drops = 0
        self._steps = self._converse()
        self.ask: Ask | None = next(self._steps, None)

    def take(self, heard: Heard) -> None:
        """This was heard after `ask`; now `ask` is the next."""
        assert self.ask is not None, "the search is over"
        try:
            self.ask = self._steps.send(heard)
        except StopIteration:
            self.ask, self.left_s = None, 0.0

    def _converse(self) -> Conversation:
        for listen in self._plan.listens:
            overheard = yield listen
            self.left_s -= listen.duration_s
            self._note_senders(listen.wire, overheard)
        if self.broadcasts and not self._plan.options.thorough:
            self.notes.append("nobody was asked anything: who sends by himself has the line to himself")
            return
        if self._plan.options.is_serial:
            yield from self._search_settings()
        else:
            yield from self._search_address()

    def _search_settings(self) -> Conversation:
        """All settings, the likely ones first; where somebody answers, everybody is asked."""
        for knock in self._plan.knocks():
            count = len(self.devices)
            yield from self._knock(knock)
            self.left_s = max(0.0, self.left_s - knock.timeout_s)
            if len(self.devices) > count:
                yield from self._ask_everyone(knock.wire)
                if not self._plan.options.thorough:
                    return

    def _search_address(self) -> Conversation:
        """First which protocol is understood there, then everybody."""
        for hail in self._plan.hails:
            heard = yield hail
            self.left_s -= seconds(hail)
            if isinstance(heard, Spoken) and heard.kind is not None:
                self.notes.append(_dialect_note(heard))
                yield from self._ask_network(Wire(kind=heard.kind))
                return
            if isinstance(heard, Garbled):
                self.notes.append(
                    f"unit {hail.unit}: answered with what is neither Modbus TCP nor RTU: {heard.reason}"
                )
            if self._is_shut(heard):
                return

    def _ask_network(self, wire: Wire) -> Conversation:
        """Devices with a socket of their own may answer whatever unit is asked, and are not 247 devices for it."""
        answered = 0
        for unit in STRANGERS if wire.kind == "tcp" else ():
            heard = yield self._plan.knock(wire, unit, QUESTIONS[0])
            answered += isinstance(heard, Words | Refused)
        if answered == len(STRANGERS):
            stranger = yield from examine(wire, STRANGERS[-1], self._profiles, self._plan.wait_s)
            if conclude(stranger).profile is not None:
                yield from self._knock(self._plan.knock(wire, self._plan.units[0], QUESTIONS[0]))
                self.notes.append("answers whatever unit id is asked, so it is one device with a socket of its own")
                return
            self._is_refusing_strangers = True
        yield from self._ask_everyone(wire)
        if not self.devices:
            self.devices += self._unknown[:1]

    def _ask_everyone(self, wire: Wire) -> Conversation:
        rest_s = self.left_s if self._plan.options.thorough else 0.0
        everyone = [knock for knock in self._plan.everyone(wire) if knock not in self._knocked]
        for place, knock in enumerate(everyone):
            self.left_s = rest_s + sum(one.timeout_s for one in everyone[place:])
            yield from self._knock(knock)
        self.left_s = rest_s

    def _knock(self, knock: Read) -> Conversation:
        """Is somebody there? If so, who?"""
        if knock in self._knocked or self._is_known(knock.wire, knock.unit) or knock.wire in self._unfit:
            return
        self._knocked.add(knock)
        heard = yield knock
        if isinstance(heard, Unfit):
            self._unfit.add(knock.wire)
            self.notes.append(f"{knock.wire.told} was not tried: the adapter cannot do it")
            return
        if isinstance(heard, Garbled):  # a disturbance, or two devices that answer at once
            heard = yield knock
        if isinstance(heard, Words | Refused):
            yield from self._examine(knock, self._plan.wait_s)
        elif isinstance(heard, Garbled):
            self._note_garbled(knock, heard)
        elif isinstance(heard, Silence):
            for unit in heard.late_units:
                yield from self._knock_patiently(knock, unit)

    def _knock_patiently(self, knock: Read, unit: int) -> Conversation:
        """This unit answered an earlier question while another was waited for: it is slow."""
        wait_s = self._plan.wait_s * SLOW_FACTOR
        slow = self._plan.knock(knock.wire, unit, QUESTIONS[0], wait_s)
        if slow in self._knocked or self._is_known(knock.wire, unit):
            return
        self._knocked.add(slow)
        heard = yield slow
        if isinstance(heard, Words | Refused):
            self.notes.append(f"unit {unit} at {knock.wire.told}: answers late, so give its line a longer timeout_s")
            yield from self._examine(slow, wait_s)

    def _examine(self, knock: Read, wait_s: float) -> Conversation:
        device = yield from examine(knock.wire, knock.unit, self._profiles, wait_s)
        if self._is_refusing_strangers and conclude(device).profile is None:
            self._unknown.append(device)
        else:
            self.devices.append(device)

    def _is_known(self, wire: Wire, unit: int) -> bool:
        return any((one.wire, one.unit) == (wire, unit) for one in self.devices)

    def _is_shut(self, heard: Heard) -> bool:
        self._drops = self._drops + 1 if isinstance(heard, Dropped) else 0
        if self._drops < DROPS_MAX:
            return False
        assert isinstance(heard, Dropped)
        self.notes.append(f"the address closes every connection: {heard.reason}")
        return True

    def _note_garbled(self, knock: Read, heard: Garbled) -> None:
        self.notes.append(
            f"unit {knock.unit} at {knock.wire.told}: something answered, but not clearly ({heard.reason}): two "
            "devices may share this unit id, or the settings are nearly right, or the line is disturbed"
        )

    def _note_senders(self, wire: Wire, heard: Heard) -> None:
        if not isinstance(heard, Overheard):
            return
        self.broadcasts += [Broadcast(wire, sender) for sender in heard.senders]
        if heard.bytes_unknown and not heard.senders:
            self.notes.append(
                f"{heard.bytes_unknown} bytes came before anybody was asked, and made no sense at {wire.told}: "
                "a device that sends by itself, or another program that reads meters on this line; stop that one"
            )


def _dialect_note(heard: Spoken) -> str:
    if heard.kind == "tcp":
        return f"answered with a Modbus TCP frame ({heard.shown}): choose tcp"
    return f"answered with an RTU frame ({heard.shown}): this converter runs transparently; choose rtu+tcp"
