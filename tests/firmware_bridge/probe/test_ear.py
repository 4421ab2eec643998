from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.probe.asks import Overheard, Sender
from firmware_bridge.probe.ear import Ear
from tests.firmware_bridge.frames.p1_encoder import telegram
from tests.firmware_bridge.frames.sensor_encoder import json_frame


def test_silence_is_nobody():
    assert Ear().overheard() == Overheard(())


def test_a_sensor_and_a_meter_are_heard_by_their_frames():
    sensor = json_frame(id=7, seq=1, temperature_c=21.5) + json_frame(id=7, seq=2, humidity_percent=48)
    meter = telegram("0-0:96.1.1(4530303030)", "1-0:1.7.0(01.193*kW)")
    for data, protocol, codes in (
        (sensor, "sensor", {"temperature_c", "humidity_percent"}),
        (meter, "p1", {"1-0:1.7.0"}),
    ):
        ear = Ear()
        for at in range(len(data)):
            ear.feed(data[at : at + 1])
        (heard,) = ear.overheard().senders
        assert isinstance(heard, Sender)
        assert heard.protocol == protocol
        assert set(heard.codes) >= codes
        assert ear.overheard().bytes_unknown == 0


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
