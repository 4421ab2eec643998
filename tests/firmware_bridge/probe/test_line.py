import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import LineError
from firmware_bridge.probe.asks import (
    Dropped,
    Garbled,
    Hail,
    Identify,
    Listen,
    Overheard,
    Read,
    Refused,
    Silence,
    Spoken,
    Texts,
    Unfit,
    Wire,
    Words,
)
from firmware_bridge.probe.line import LineUnderProbe, Place
from tests.firmware_bridge.modbus_server import modbus_server, zeros
from tests.firmware_bridge.modbus_slave import IDENTIFY, addresses, converter, framed, serial_line

pytestmark = pytest.mark.slow
# Long enough for a busy machine, where an answer is expected; short where none is.
PATIENT_S, SHORT_S = 5.0, 0.05
SERIAL, TCP, RTU = Wire(kind="serial"), Wire(kind="tcp"), Wire(kind="rtu+tcp")


def read(wire: Wire, unit: int, timeout_s: float = PATIENT_S) -> Read:
    return Read(wire, unit, 3, 7, 2, timeout_s)


async def heard(place: Place, *asks):
    line = LineUnderProbe(place, SystemClock())
    try:
        return [await line.hear(ask) for ask in asks]
    finally:
        line.close()


async def test_what_a_serial_line_brings_is_heard():
    with serial_line(
        unit_1=addresses,
        unit_2=lambda asked: asked.refusal(2),
        unit_3=lambda asked: asked.identity({0: b"ACME", 1: b"T1"}),
        unit_4=lambda _: framed(b"\x04\x03\x04\x00\x01\x00\x02")[:-1] + b"!",
    ) as bus:
        asks = (
            read(SERIAL, 1),
            read(SERIAL, 2),
            Identify(SERIAL, 3, PATIENT_S),
            read(SERIAL, 4, 1.0),
            read(SERIAL, 9, SHORT_S),
        )
        answers = await heard(Place(path=bus.path), *asks)
    assert answers[:3] == [Words((7, 8)), Refused(2), Texts({0: "ACME", 1: "T1"})]
    assert isinstance(answers[3], Garbled)
    assert answers[4] == Silence()
    assert {asked.function for asked in bus.slaves.requests} <= {3, IDENTIFY}


async def test_a_line_can_be_spoken_to_at_another_speed():
    with serial_line(unit_1=addresses) as bus:
        fast = Wire(kind="serial", baud=115200)
        assert await heard(Place(path=bus.path), read(SERIAL, 1), read(fast, 1)) == [Words((7, 8))] * 2


async def test_an_answer_that_comes_while_another_is_awaited_is_told_as_late():
    late = []
    with serial_line(unit_4=lambda asked: late.append(addresses(asked)), unit_5=lambda _: late.pop()) as bus:
        answers = await heard(Place(path=bus.path), read(SERIAL, 4, SHORT_S), read(SERIAL, 5, 0.2))
    assert answers == [Silence(), Silence((4,))]


async def test_a_setting_that_a_port_cannot_do_is_no_end():
    with serial_line(unit_1=addresses) as bus:
        odd = Wire(kind="serial", data_bits=7, parity="E")
        answers = await heard(Place(path=bus.path), read(odd, 1, SHORT_S))
    # a pty has no parity; some kernels say so, others take it and leave the bytes as they are
    assert answers in ([Unfit()], [Words((7, 8))])


async def test_a_port_that_is_not_there_ends_the_probe(tmp_path):
    with pytest.raises(LineError, match="no such port"):
        await heard(Place(path=str(tmp_path / "ttyUSB0")), read(SERIAL, 1))


async def test_a_silent_serial_line_is_listened_to():
    with serial_line() as bus:
        assert await heard(Place(path=bus.path), Listen(SERIAL, 0.3)) == [Overheard(())]


async def test_modbus_tcp_is_heard_by_its_answer():
    async with modbus_server(unit_1=zeros, unit_2=lambda request: request.refusal(0x0B)) as server:
        place = Place(host="127.0.0.1", port=server.port)
        answers = await heard(place, Hail(1, PATIENT_S), Hail(2, PATIENT_S), read(TCP, 1), read(TCP, 2))
    assert [one.kind for one in answers[:2] if isinstance(one, Spoken)] == ["tcp", "tcp"]
    assert answers[2:] == [Words((0, 0)), Silence()]


async def test_rtu_behind_a_converter_is_heard_by_its_answer():
    async with converter(unit_1=addresses) as (port, slaves, _):
        place = Place(host="127.0.0.1", port=port)
        # The meters of this converter insist on right frames, and Modbus TCP is none.
        slaves.hear = _only_rtu(slaves.hear)
        answers = await heard(place, Hail(1, 0.3), Hail(2, SHORT_S), read(RTU, 1))
    assert isinstance(answers[0], Spoken)
    assert answers[0].kind == "rtu+tcp"
    assert answers[1:] == [Silence(), Words((7, 8))]


async def test_a_service_that_is_no_modbus_is_shown():
    async with converter() as (port, slaves, connections):
        slaves.hear = lambda _: connections[-1].write(b"HTTP/1.1 400 Bad Request\r\n")
        (answer,) = await heard(Place(host="127.0.0.1", port=port), Hail(1, 0.3))
    assert isinstance(answer, Garbled)
    assert "HTTP/1.1 400" in answer.reason


async def test_a_connection_that_closes_on_a_question_is_no_end():
    async with modbus_server(unit_1=zeros) as server:

        def hang_up(_):
            server.hang_up()

        server.behaviours[2] = hang_up
        place = Place(host="127.0.0.1", port=server.port)
        answers = await heard(place, read(TCP, 1), read(TCP, 2), read(TCP, 1))
    assert isinstance(answers[1], Dropped)
    assert answers[::2] == [Words((0, 0)), Words((0, 0))]


async def test_an_address_where_nobody_listens_ends_the_probe():
    async with modbus_server() as server:
        place = Place(host="127.0.0.1", port=server.port)
    for ask in (Hail(1, 0.2), read(TCP, 1)):
        with pytest.raises(LineError, match="no connection"):
            await heard(place, ask)


def test_a_place_is_a_line_of_a_configuration():
    adapter = Place(path="/dev/serial/by-id/usb-port0")
    bus = adapter.bus(Wire(kind="serial", baud=19200, parity="E"))
    assert (bus.url, bus.baud, bus.parity) == ("serial:///dev/serial/by-id/usb-port0", 19200, "E")
    assert Place(host="10.0.0.2", port=502).bus(RTU).url == "rtu+tcp://10.0.0.2:502"
    assert (adapter.told, Place(host="10.0.0.2", port=502).told) == (adapter.path, "10.0.0.2:502")


def _only_rtu(hear):
    def filtered(data: bytes) -> None:
        if framed(data[:-2]) == data:
            hear(data)

    return filtered
