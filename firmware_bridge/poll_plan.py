"""Which blocks to read of a meter so that its registers take the fewest requests. Pure."""

import msgspec

from firmware_bridge.profile import Profile, Register


class Block(msgspec.Struct, frozen=True):
    """One request: `count` registers from `address`, and the measured registers among them, in order."""

    function: int
    address: int
    count: int
    registers: tuple[Register, ...]


def plan(profile: Profile) -> list[Block]:
    """The fewest blocks that hold every register, none split, none longer than the meter allows.

    Greedy from the lowest address, which is optimal for blocks of bounded length. Holes are read
    through: a register more costs 2 bytes on the wire, a request more at least 15 and a turn-around.
    """
    groups: list[list[Register]] = []
    for register in sorted(profile.registers, key=lambda r: (r.function, r.address)):
        if groups and _fits(groups[-1][0], register, profile.file.max_read):
            groups[-1].append(register)
        else:
            groups.append([register])
    return [
        Block(group[0].function, group[0].address, group[-1].end - group[0].address, tuple(group)) for group in groups
    ]


def _fits(first: Register, register: Register, count_max: int) -> bool:
    return register.function == first.function and register.end - first.address <= count_max
