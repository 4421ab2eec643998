"""The chain of models of a SunSpec device, built and walked apart from the gateway and its simulator.

SunSpec Device Information Model Specification V1.2: "SunS", then models, each behind its id and its length.
"""

from collections.abc import Callable, Sequence

MARKER = (0x5375, 0x6E53)
COMMON, ETHERNET, END = 1, 11, 0xFFFF
FUNCTION = 3

# Registers from an address on; None when the device refuses.
Read = Callable[[int, int], Sequence[int] | None]


def chain_around(base: int, model: int, registers: int, common_registers: int) -> tuple[dict[int, int], int]:
    """The words of a chain without what is in its models, and where the id of `model` is.

    `registers` are those of the model with its id and length.
    """
    words = {base: MARKER[0], base + 1: MARKER[1]}
    at = base + 2
    for number, length in ((COMMON, common_registers), (ETHERNET, 13)):
        words |= {at: number, at + 1: length}
        at += 2 + length
    end = at + registers
    return words | {at: model, at + 1: registers - 2, end: END, end + 1: 0}, at


def model_address(read: Read, bases: Sequence[int], models: Sequence[int]) -> int:
    """Where the id of the first of `models` is."""
    base = next(one for one in bases if tuple(read(one, 2) or ()) == MARKER)
    at = base + 2
    while True:
        head = read(at, 2)
        assert head is not None, "a chain can be read to its end"
        number, length = head
        assert number != END, f"none of the models {models} is in the chain"
        if number in models:
            return at
        at += 2 + length
