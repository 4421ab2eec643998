"""The chain of models around ours."""

import struct

from firmware_bridge.simulator.sunspec_chain import model_chain


def words(**facts: object) -> tuple[int, dict[int, int]]:
    chain = model_chain({"models": [103], **facts}, 40)
    (cell,) = chain.cells("Maker", "Inverter 5", 12_345_678, 7)
    count = len(cell.words) // 2
    return chain.model_address, dict(enumerate(struct.unpack(f">{count}H", cell.words), start=cell.address))


def test_a_walk_comes_by_other_models_to_ours_and_to_the_end():
    model, chain = words(bases=[50_000, 0])
    assert (chain[50_000], chain[50_001]) == (0x5375, 0x6E53)
    at, seen = 50_002, []
    while chain[at] != 0xFFFF:
        seen.append((at, chain[at], chain[at + 1]))
        at += 2 + chain[at + 1]
    assert [one[1:] for one in seen] == [(1, 66), (11, 13), (103, 50)]
    assert seen[-1][0] == model
    assert (at + 1) == max(chain)
    assert chain[at + 1] == 0


def test_the_common_model_says_who_made_it_and_which_one_it_is():
    _, chain = words()
    texts = [
        b"".join(struct.pack(">H", chain[at]) for at in range(40_002 + offset, 40_002 + offset + count)).rstrip(b"\0")
        for offset, count in ((2, 16), (18, 16), (50, 16))
    ]
    assert texts == [b"Maker", b"Inverter 5", b"12345678"]
    assert chain[40_002 + 66] == 7


def test_of_several_models_the_one_with_the_phases_is_there():
    models = {"models": [201, 202, 203, 204]}
    assert [model_chain(models, 40, phases).model for phases in (0, 1, 2, 3)] == [201, 201, 202, 203]


def test_a_model_we_do_not_know_is_as_long_as_what_is_read_from_it():
    chain = model_chain({"models": [64_001]}, 40)
    (cell,) = chain.cells("", "", 1, 1)
    assert len(cell.words) // 2 == 2 + 68 + 15 + 40 + 2
