import json
import zlib

from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.probe.asks import Overheard
from firmware_bridge.probe.ear import Ear


def frame(sensor: int, sequence: int, **values: float) -> bytes:
    """What a sensor sends, made from its description."""
    body = json.dumps({"id": sensor, "seq": sequence, **values}).encode()
    return cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"


def test_silence_is_nobody():
    assert Ear().overheard() == Overheard(())


def test_bytes_that_mean_nothing_are_counted():
    ear = Ear()
    ear.feed(b"GET / HTTP/1.1\r\n")
    assert ear.overheard() == Overheard((), bytes_unknown=16)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_comes_is_heard_without_an_error(pieces: list[bytes]):
    ear = Ear()
    for piece in pieces:
        ear.feed(piece)
    assert ear.overheard().bytes_unknown <= sum(map(len, pieces))
