"""A meter's registers, from physical values to words: the simulator's own reading of a profile.

Reads the same TOML facts as the gateway, with code of its own. Only the keys needed here are looked
at; whether a profile is a good one is the gateway's to check.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from firmware_bridge.measurand import Measurand
from firmware_bridge.simulator.faults import Fault, Values
from firmware_bridge.simulator.frames import ModbusException, Read
from firmware_bridge.simulator.memory import Memory, Place
from firmware_bridge.simulator.nameplate import Cell, Nameplate
from firmware_bridge.simulator.raw_type import RAW_TYPES
from firmware_bridge.simulator.register import Register, exponent_for
from firmware_bridge.simulator.sunspec_chain import ModelChain

_EXPONENT = RAW_TYPES["s16"]
# Registers between two values that answer as zeros. Makers lay their registers out in hundreds, and a
# reader may read through what a profile does not forbid.
_HOLE_MAX = 512

# What a register shows, SI; None where it shows the maker's "no value".
Shown = dict[Measurand, float | None]


class Snapshot(NamedTuple):
    """All registers of one second: words by bank, and the values they stand for."""

    images: list[bytes]
    shown: Shown


class Window(NamedTuple):
    """What one request reads: a piece of a bank, and the values that are whole within it."""

    place: Place
    measurands: tuple[Measurand, ...]


class Limits(NamedTuple):
    """What one request may reach."""

    read_max: int
    is_even: bool = False
    # first and last addresses
    forbidden: tuple[tuple[int, int], ...] = ()
    never_across: tuple[int, ...] = ()

    def refusal(self, read: Read) -> ModbusException | None:
        """Why the meter does not answer it, if it does not."""
        end = read.address + read.count
        if read.count > self.read_max:
            return ModbusException.ILLEGAL_VALUE
        if self.is_even and (read.address % 2 or read.count % 2):
            return ModbusException.ILLEGAL_ADDRESS
        if any(first < end and read.address <= last for first, last in self.forbidden):
            return ModbusException.ILLEGAL_ADDRESS
        if any(read.address < border < end for border in self.never_across):
            return ModbusException.ILLEGAL_ADDRESS
        return None


@dataclass(frozen=True)
class RegisterMap:
    """All registers of one kind of meter."""

    profile: str
    registers: tuple[Register, ...]
    limits: Limits
    nameplate: Nameplate
    chain: ModelChain | None = None

    @cached_property
    def measurands(self) -> frozenset[Measurand]:
        """What it shows."""
        return frozenset(register.measurand for register in self.registers)

    @cached_property
    def blanks(self) -> frozenset[Measurand]:
        """For which it has a raw value that means "no value"."""
        return frozenset(one.measurand for one in self.registers if one.blank_bits is not None)

    @cached_property
    def wraps(self) -> Mapping[Measurand, float]:
        """SI values at which its counters begin again."""
        return {one.measurand: one.wraps_at for one in self.registers if one.wraps_at is not None}

    def window(self, read: Read) -> Window | ModbusException:
        """What a request gets, or why it gets nothing."""
        why = self.limits.refusal(read)
        if why is not None and read not in self._codes:
            return why
        place = self._memory.place(read.function, read.address, read.count)
        if place is None:
            return ModbusException.ILLEGAL_ADDRESS
        return Window(place, tuple(one.measurand for one in self.registers if _is_inside(one, read)))

    def still(self, serial_number: int, unit: int) -> list[bytes]:
        """The banks before anything is measured: zeros, and what the meter says of itself."""
        return self._memory.images(self._cells(serial_number, unit))

    def snapshot(self, values: Values, still: Iterable[bytes], faults: tuple[Fault, ...] = ()) -> Snapshot:
        """All registers for `values`, SI, written over `still`."""
        images = [bytearray(bank) for bank in still]
        flip = any(fault.is_byte_swapped for fault in faults)
        exponents = {at: exponent_for(group, values) for at, group in self._scaled.items()}
        for place, exponent in exponents.items():
            _write(images, self._places[place], _EXPONENT.pack(exponent, is_low_first=False))
        shown: Shown = {}
        raws: dict[tuple[int, int], float] = {}
        # What most registers are, by the shortest way: this runs for each meter and second.
        for register, at, (bank, start, end) in self._plain:
            raws[at] = raw = register.raw(values[register.measurand])
            shown[register.measurand] = raw * register.scale
            images[bank][start:end] = register.type.pack(raw, is_low_first=register.is_low_first != flip)
        for register in self._composite:
            measurand, function = register.measurand, register.function
            exponent = 0 if register.scale_address is None else exponents[function, register.scale_address]
            owned = {at: raws[function, at] for at in self._borrowed[measurand]} if register.is_sum else None
            parts, shown[measurand] = register.encode(values[measurand], exponent, owned)
            is_low_first = register.is_low_first != flip
            for address, raw in parts.items():
                raws[function, address] = raw
                words = register.type.pack(raw, is_low_first=is_low_first)
                bank, start, end = self._places[function, address]
                images[bank][start:end] = words
        self._leave_out(images, shown, faults, flip=flip)
        return Snapshot([bytes(image) for image in images], shown)

    def _leave_out(self, images: list[bytearray], shown: Shown, faults: tuple[Fault, ...], *, flip: bool) -> None:
        """Write "no value" over what faults hide."""
        hiding = [fault for fault in faults if fault.hides_values]
        for register in self.registers if hiding else ():
            if register.blank_bits is not None and any(fault.hides(register.measurand) for fault in hiding):
                words = register.type.pack_bits(register.blank_bits, is_low_first=register.is_low_first != flip)
                _write(images, self._places[register.function, register.address], words)
                shown[register.measurand] = None

    def _cells(self, serial_number: int, unit: int) -> list[Cell]:
        cells = list(self.nameplate.cells(serial_number, unit))
        if self.chain is not None:
            plate = self.nameplate
            cells = [*self.chain.cells(plate.vendor, plate.model, serial_number, unit), *cells]
        return cells

    @cached_property
    def _codes(self) -> frozenset[Read]:
        """Codes and texts read as they stand: makers give single registers, also where values come in pairs."""
        cells = self.nameplate.cells(0, 0)
        return frozenset(Read(cell.function, cell.address, len(cell.words) // 2) for cell in cells)

    @cached_property
    def _memory(self) -> Memory:
        places = [(one.function, *place) for one in self.registers for place in one.places]
        return Memory(places, self._cells(0, 0), _HOLE_MAX)

    @cached_property
    def _places(self) -> dict[tuple[int, int], Place]:
        """Where the words of an address lie, by function and address."""
        wanted = {(one.function, address): count for one in self.registers for address, count in one.places}
        places = {at: self._memory.place(*at, count) for at, count in wanted.items()}
        return {at: place for at, place in places.items() if place is not None}

    @cached_property
    def _scaled(self) -> dict[tuple[int, int], list[Register]]:
        """The registers at each scale register."""
        groups: dict[tuple[int, int], list[Register]] = {}
        for one in self.registers:
            if one.scale_address is not None:
                groups.setdefault((one.function, one.scale_address), []).append(one)
        return groups

    @cached_property
    def _borrowed(self) -> dict[Measurand, tuple[int, ...]]:
        """Which registers of a sum are another value's own."""
        owned = {(one.function, one.address) for one in self.registers if not one.is_sum}
        return {
            one.measurand: tuple(
                at for at in (one.address, *one.plus, *one.minus) if one.is_sum and (one.function, at) in owned
            )
            for one in self.registers
        }

    @cached_property
    def _plain(self) -> list[tuple[Register, tuple[int, int], Place]]:
        """Registers that need nothing else, with function and address, and where these lie."""
        keys = [(one, (one.function, one.address)) for one in self.registers if one.is_plain]
        return [(one, at, self._places[at]) for one, at in keys]

    @cached_property
    def _composite(self) -> list[Register]:
        """The others, sums after what they may borrow."""
        return sorted((one for one in self.registers if not one.is_plain), key=lambda one: one.is_sum)


def _is_inside(register: Register, read: Read) -> bool:
    end = read.address + read.count
    is_here = register.function == read.function
    return is_here and all(read.address <= at and at + count <= end for at, count in register.places)


def _write(images: list[bytearray], place: Place, words: bytes) -> None:
    images[place.bank][place.start : place.start + len(words)] = words
