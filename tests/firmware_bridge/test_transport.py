import asyncio
import logging
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import (
    BadReplyError,
    BusError,
    ExceptionReplyError,
    LineError,
    NoReplyError,
    SettingError,
)
from firmware_bridge.transport import ModbusTcpLine, fault_in_reply
from tests.firmware_bridge.modbus_server import ModbusServer, Request, modbus_server, zeros

# Far above a loopback answer on a busy machine, short enough to wait for.
SILENCE_S = 0.3
LONG_S = 30.0

ASKED = Request(transaction=7, unit=1, function=4, address=0x34, count=2)
REQUEST = struct.pack(">HHHBBHH", 7, 0, 6, 1, 4, 0x34, 2)
ANSWER = ASKED.registers([0xC4BB, 0x9000])


def a_line(server: ModbusServer, timeout_s: float = LONG_S) -> ModbusTcpLine:
    return ModbusTcpLine(BusConfig("mains", f"tcp://127.0.0.1:{server.port}", timeout_s))


# What can be wrong with a reply, and how it is named.
BAD_REPLIES: dict[str, tuple[Callable[[Request], bytes], str]] = {
    "another unit": (lambda asked: asked.frame(b"\x04\x04" + bytes(4), unit=1), "unit 2"),
    "another function": (lambda asked: asked.frame(b"\x03\x04" + bytes(4)), "function 3"),
    "a function nobody knows": (lambda asked: asked.frame(b"\x63\x04" + bytes(4)), "function 99"),
    "an exception to another function": (lambda asked: asked.frame(b"\x83\x02"), "function 131"),
    "too few registers": (lambda asked: asked.registers([1]), "length 5 for 4 bytes of registers"),
    "too many registers": (lambda asked: asked.registers([1, 2, 3]), "length 9 for 4 bytes of registers"),
    "no registers": (lambda asked: asked.frame(b"\x04\x00"), "length 3 for 4 bytes of registers"),
    "a byte count that lies": (lambda asked: asked.frame(b"\x04\x08" + bytes(4)), "byte count 8 for 4"),
    "another protocol": (lambda asked: asked.frame(b"\x04\x04" + bytes(4), protocol=1), "protocol 1"),
    "a length below any": (lambda asked: asked.frame(b"\x04"), "length 2"),
    "a length above any": (lambda asked: asked.frame(b"\x04\x04" + bytes(4), length=300), "length 307"),
    "an exception with words": (lambda asked: asked.frame(b"\x84\x02\x00"), "length 4 of an exception"),
    "a web page": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol 21584"),
    "no transaction and another unit": (
        lambda asked: asked.frame(b"\x04\x04" + bytes(4), transaction=-asked.transaction, unit=1),
        "unit 2",
    ),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_a_bad_reply_is_known_by_its_head(name: str):
    reply, fault = BAD_REPLIES[name]
    assert fault_in_reply(REQUEST, reply(ASKED)) == fault


@pytest.mark.parametrize("answer", [ANSWER, ASKED.refusal(2)])
def test_a_good_reply_has_no_fault_however_little_of_it_has_come(answer: bytes):
    for end in range(len(answer) + 1):
        assert fault_in_reply(REQUEST, answer[:end]) is None
        late = ASKED.frame(b"\x03\x02\x00\x00", transaction=-3, unit=5)
        assert fault_in_reply(REQUEST, late + answer[:end]) is None


def test_an_answer_without_a_transaction_is_taken_as_ours():
    assert fault_in_reply(REQUEST, ASKED.frame(ANSWER[7:], transaction=-7)) is None
    assert fault_in_reply(REQUEST, ASKED.frame(ANSWER[7:], transaction=-7, unit=1)) == "unit 2"


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(received: bytes):
    assert fault_in_reply(REQUEST, received) is None or received


@given(st.integers(0, 8 * 9 - 1))
def test_a_flipped_bit_in_the_head_of_a_reply_is_a_fault_or_another_transaction(bit: int):
    flipped = bytearray(ANSWER)
    flipped[bit // 8] ^= 1 << bit % 8
    is_transaction = bit // 8 < 2
    is_exception = flipped[7] == 0x84
    assert is_transaction or is_exception or fault_in_reply(REQUEST, bytes(flipped)) is not None


@pytest.mark.parametrize(
    "url",
    ["tcp://host:0", "tcp://host:65536", "tcp://host:99999", "tcp://a..b:502", f"tcp://{'a' * 64}:502", "tcp://\0:1"],
)
def test_an_address_that_cannot_be_one_is_refused_before_anything_is_opened(url: str):
    with pytest.raises(SettingError, match=r"bus.mains.url = .*: is no address; write tcp://host:port"):
        ModbusTcpLine(BusConfig("mains", url))


@pytest.mark.slow
class TestOnAWire:
    async def test_the_registers_asked_for_come_back(self):
        async with modbus_server(
            unit_1=lambda asked: asked.registers([asked.address + n for n in range(asked.count)])
        ) as server:
            line = a_line(server)
            assert await line.read(1, 4, 0x34, 3) == [0x34, 0x35, 0x36]
            assert await line.read(1, 3, 0xFFFF, 1) == [0xFFFF]
            assert await line.read(1, 4, 0, 125) == list(range(125))
            assert [(asked.function, asked.address, asked.count) for asked in server.requests] == [
                (4, 0x34, 3),
                (3, 0xFFFF, 1),
                (4, 0, 125),
            ]
            assert len(server.connections) == 1
            line.close()

    async def test_a_reply_may_come_byte_by_byte(self):
        async def trickle(asked: Request) -> bytes:
            for byte in zeros(asked)[:-1]:
                server.connections[-1].write(bytes([byte]))
                await server.connections[-1].drain()
                await _next_packet()
            return zeros(asked)[-1:]

        async with modbus_server(unit_1=trickle) as server:
            line = a_line(server)
            assert await line.read(1, 4, 0, 2) == [0, 0]
            line.close()

    async def test_silence_is_no_reply_and_ends_the_connection(self):
        async with modbus_server(unit_2=zeros) as server:
            line = a_line(server, SILENCE_S)
            with pytest.raises(NoReplyError) as caught:
                await line.read(1, 4, 0x34, 2)
            assert str(caught.value) == ("no reply: waited_s=0.3 bus=mains unit=1 function=4 address=0x0034 count=2")
            assert await line.read(2, 4, 0, 1) == [0]
            assert len(server.connections) == 2
            line.close()

    async def test_a_late_reply_is_never_taken_for_the_next_one(self):
        released = asyncio.Event()

        async def late(asked: Request) -> bytes:
            await released.wait()
            return asked.registers([0xDEAD] * asked.count)

        async with modbus_server(unit_1=late) as server:
            line = a_line(server, SILENCE_S)
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 0, 2)
            server.behaviours[1] = zeros
            released.set()
            for _ in range(5):
                assert await line.read(1, 4, 0, 2) == [0, 0]
            line.close()

    async def test_answers_to_other_transactions_are_passed_over(self):
        def first_another(asked: Request) -> bytes:
            return asked.frame(b"\x04\x04\xde\xad\xde\xad", transaction=-1) + asked.registers([1, 2])

        async with modbus_server(unit_1=zeros) as server:
            line = a_line(server)
            for _ in range(3):
                await line.read(1, 4, 0, 2)
            server.behaviours[1] = first_another
            assert await line.read(1, 4, 0, 2) == [1, 2]
            line.close()

    async def test_words_that_nobody_asked_for_are_forgotten(self):
        async with modbus_server(unit_1=lambda asked: zeros(asked) + b"\xff" * 20) as server:
            line = a_line(server)
            assert await line.read(1, 4, 0, 2) == [0, 0]
            server.connections[-1].write(b"\xff" * 1000)
            await server.connections[-1].drain()
            await _next_packet()
            try:
                assert await line.read(1, 4, 0, 2) == [0, 0]
            except BadReplyError:  # they came with the next reply
                assert await line.read(1, 4, 0, 2) == [0, 0]
            line.close()

    @pytest.mark.parametrize("name", BAD_REPLIES)
    async def test_a_bad_reply_ends_the_read_at_once_and_the_next_is_good(self, name: str, caplog):
        reply, fault = BAD_REPLIES[name]
        async with modbus_server(unit_1=reply) as server:
            line = a_line(server)
            with caplog.at_level(logging.DEBUG), pytest.raises(BadReplyError) as caught:
                await line.read(1, 4, 0x34, 2)
            assert str(caught.value).startswith(f"bad reply: {fault} bus=mains unit=1 function=4 address=0x0034")
            assert caplog.records == []
            server.behaviours[1] = zeros
            assert await line.read(1, 4, 0, 2) == [0, 0]
            line.close()

    async def test_half_a_reply_is_no_reply(self):
        async with modbus_server(unit_1=lambda asked: zeros(asked)[:-1]) as server:
            line = a_line(server, SILENCE_S)
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 0, 2)
            line.close()

    @pytest.mark.parametrize(
        ("code", "kind", "said"),
        [
            (
                2,
                ExceptionReplyError,
                "exception 2 (illegal address): bus=mains unit=1 function=4 address=0x0034 count=2",
            ),
            (6, ExceptionReplyError, "exception 6 (device busy)"),
            (99, ExceptionReplyError, "exception 99 (unknown)"),
            (0x0A, NoReplyError, "exception 10 (gateway path unavailable)"),
            (0x0B, NoReplyError, "exception 11 (gateway target silent)"),
        ],
    )
    async def test_an_exception_reply_is_named_and_keeps_the_connection(
        self, code: int, kind: type[BusError], said: str
    ):
        async with modbus_server(unit_1=lambda asked: asked.refusal(code), unit_2=zeros) as server:
            line = a_line(server)
            with pytest.raises(kind) as caught:
                await line.read(1, 4, 0x34, 2)
            assert str(caught.value).startswith(said)
            assert await line.read(2, 4, 0, 1) == [0]
            assert len(server.connections) == 1
            line.close()

    async def test_a_connection_lost_during_a_read_ends_it_at_once(self):
        async def hang_up(_: Request) -> bytes:
            server.hang_up()
            return b""

        async with modbus_server(unit_1=hang_up, unit_2=zeros) as server:
            line = a_line(server)
            with pytest.raises(LineError, match="connection lost: bus=mains unit=1"):
                await line.read(1, 4, 0, 2)
            assert await line.read(2, 4, 0, 1) == [0]
            line.close()

    async def test_a_connection_lost_between_reads_is_opened_anew(self):
        async with modbus_server(unit_1=zeros) as server:
            line = a_line(server)
            await line.read(1, 4, 0, 1)
            server.hang_up()
            await _all_closed(server)
            try:
                await line.read(1, 4, 0, 1)
            except LineError:  # the news of the loss had not come yet
                await line.read(1, 4, 0, 1)
            assert len(server.connections) == 2
            line.close()

    async def test_a_refused_connection_is_a_line_error_and_leaves_nothing(self):
        async with modbus_server(unit_1=zeros) as server:
            pass
        line = a_line(server)
        tasks = asyncio.all_tasks()
        for _ in range(3):
            with pytest.raises(LineError, match=f"no connection: bus=mains url=tcp://127.0.0.1:{server.port}"):
                await line.read(1, 4, 0, 1)
        assert asyncio.all_tasks() == tasks
        assert line._client is None

    async def test_a_cancelled_read_ends_the_connection(self):
        asked = asyncio.Event()

        async def never(_: Request) -> bytes:
            asked.set()
            await asyncio.Event().wait()
            return b""

        async with modbus_server(unit_1=never, unit_2=zeros) as server:
            line = a_line(server)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(line.read(1, 4, 0, 1))
                await asked.wait()
                reading.cancel()
            assert reading.cancelled()
            assert await line.read(2, 4, 0, 1) == [0]
            assert len(server.connections) == 2
            line.close()

    async def test_nothing_is_left_behind_and_nobody_reconnects(self):
        async with modbus_server(unit_1=zeros) as server:
            line = a_line(server)
            tasks = asyncio.all_tasks()
            await line.read(1, 4, 0, 1)
            line.close()
            line.close()
            await _all_closed(server)
            await line.read(1, 4, 0, 1)
            server.hang_up()
            await _all_closed(server)
            assert {task for task in asyncio.all_tasks() - tasks if "serve" not in repr(task)} == set()
            assert len(server.connections) == 2
            line.close()


async def _next_packet() -> None:
    """Let the loop look at its sockets once."""
    looked = asyncio.Event()
    asyncio.get_running_loop().call_soon(looked.set)
    await looked.wait()


async def _all_closed(server: ModbusServer) -> None:
    async with asyncio.timeout(LONG_S):
        while server.connections_open:
            await _next_packet()
