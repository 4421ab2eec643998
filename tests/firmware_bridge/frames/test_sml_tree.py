import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.frames.sml_tree import Node, SmlError, TreeReader
from tests.firmware_bridge.frames.sml_encoder import NONE, octets, sequence, signed, unsigned


def tree_of(data: bytes) -> Node:
    reader = TreeReader(data)
    node = reader.node()
    assert reader.is_over
    return node


def refused(data: bytes) -> None:
    with pytest.raises(SmlError):
        TreeReader(data).node()


def test_every_kind_of_value():
    assert tree_of(NONE) is None
    assert tree_of(b"\x42\x01") is True
    assert tree_of(b"\x42\x00") is False
    assert tree_of(bytes.fromhex("04 535745")) == b"SWE"
    assert tree_of(bytes.fromhex("52 ff")) == -1
    assert tree_of(bytes.fromhex("62 ff")) == 255
    assert tree_of(bytes.fromhex("56 ff00000000")) == -(2**32)
    assert tree_of(bytes.fromhex("72 6201 01")) == [1, None]
    assert tree_of(b"\x70") == []


def test_a_length_may_have_several_bytes_and_counts_them():
    assert tree_of(b"\x81\x04" + b"x" * 18) == b"x" * 18
    assert tree_of(b"\x80\x80\x80\x05x") == b"x"
    assert tree_of(b"\xf1\x00" + NONE * 16) == [None] * 16


TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.binary(min_size=1, max_size=100)),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=30,
)


def encoded(tree: Node) -> bytes:
    match tree:
        case None:
            return NONE
        case bool():
            return bytes([0x42, tree])
        case int():
            return signed(tree, 8) if tree < 0 else unsigned(tree, 8)
        case bytes():
            return octets(tree)
    return sequence(*(encoded(one) for one in tree))


def depth(tree: Node) -> int:
    return 1 + max(map(depth, tree), default=0) if isinstance(tree, list) else 0


@given(TREES)
def test_what_was_encoded_is_read(tree: Node):
    if depth(tree) <= 8:
        assert tree_of(encoded(tree)) == tree
    else:
        refused(encoded(tree))


@given(TREES)
def test_every_truncation_is_refused(tree: Node):
    data = encoded(tree)
    for end in range(min(len(data), 200)):
        refused(data[:end])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",  # the end of a message
        "80 01",  # shorter than its head
        "41",  # a truth of no bytes
        "43 0101",
        "51",  # a number of no bytes
        "6a 010203040506070809",  # nine bytes
        "12 00",  # kinds that SML does not have
        "22 00",
        "32 00",
        "91 01 00",  # a head that goes on as another kind
        "80 80 80 80 05",  # a head of five bytes
        "72 01",  # a list with a part too few
    ],
)
def test_what_is_no_value_is_refused(wrong: str):
    refused(bytes.fromhex(wrong))


def test_a_list_that_claims_more_than_there_is_takes_no_memory():
    """28 bytes of this kind made smllib 1.7 ask for 2 GB."""
    refused(bytes.fromhex("ff8f8f0f") + NONE * 20)
    refused(bytes.fromhex("ff8f8f8f8f8f0f") + NONE * 20)


def test_lists_in_lists_have_an_end():
    refused(b"\x71" * 5000)
    assert tree_of(b"\x71" * 8 + NONE) == [[[[[[[[None]]]]]]]]
    refused(b"\x71" * 9 + NONE)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    reader = TreeReader(data)
    try:
        while not reader.is_over:
            before = reader.at
            reader.node()
            assert before < reader.at <= len(data)
    except SmlError:
        pass
