import asyncio
import fcntl
import logging
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firmware_bridge.config import BusConfig
from firmware_bridge.errors import (
    BadReplyError,
    BusError,
    ExceptionReplyError,
    LineError,
    NoReplyError,
    SettingError,
)
from firmware_bridge.late_reply import Guard, parts
from firmware_bridge.reading import MonotonicS
from firmware_bridge.transport import ModbusLine
from firmware_bridge.verdict import Fault, Frame
from tests.firmware_bridge.modbus_server import ModbusServer, Request, modbus_server, zeros
from tests.firmware_bridge.modbus_slave import Asked, SerialLine, Slaves, addresses, converter, serial_line
from tests.firmware_bridge.test_mbap import BAD_REPLIES

# Far above a loopback answer on a busy machine, short enough to wait for.
SILENCE_S = 0.3
LONG_S = 30.0
# Short, where answers that are late by accident are as welcome as those that are late on purpose.
SHORT_S = 0.05
REAL_REQUESTS = 300


def a_line(server: ModbusServer, timeout_s: float = LONG_S) -> ModbusLine:
    return ModbusLine(BusConfig("mains", f"tcp://127.0.0.1:{server.port}", timeout_s=timeout_s))


def a_bus(wire: SerialLine, timeout_s: float = LONG_S, baud: int = 115200, parity: str = "N") -> BusConfig:
    return BusConfig("mains", f"serial://{wire.path}", timeout_s=timeout_s, baud=baud, parity=parity)


@pytest.mark.parametrize(
    "url",
    ["tcp://host:0", "tcp://host:65536", "tcp://host:99999", "tcp://a..b:502", f"tcp://{'a' * 64}:502", "tcp://\0:1"],
)
def test_an_address_that_cannot_be_one_is_refused_before_anything_is_opened(url: str):
    with pytest.raises(SettingError, match=r"bus.mains.url = .*: is no address; write tcp://host:port"):
        ModbusLine(BusConfig("mains", url))


@pytest.mark.slow
class TestTcp:
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
        reply, _, detail = BAD_REPLIES[name]
        async with modbus_server(unit_1=reply) as server:
            line = a_line(server)
            with caplog.at_level(logging.DEBUG), pytest.raises(BadReplyError) as caught:
                await line.read(1, 4, 0x34, 2)
            assert str(caught.value).startswith(f"bad reply: {detail} bus=mains unit=1 function=4 address=0x0034")
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

    async def test_a_silent_unit_does_not_cost_the_others_their_connection(self):
        async with modbus_server(unit_1=zeros, unit_2=zeros) as server:
            line = a_line(server)
            await line.read(1, 4, 0, 1)
            for _ in range(3):
                for dead in (8, 9):
                    with pytest.raises(NoReplyError):
                        await line.read(dead, 4, 0, 1, SHORT_S)
                assert await line.read(2, 4, 0, 1) == [0]
            assert len(server.connections) == 1
            line.close()

    async def test_a_late_answer_on_a_connection_that_is_kept_is_passed_over_and_told(self):
        late: list[bytes] = []

        async with modbus_server(unit_1=zeros) as server:
            line = a_line(server)
            await line.read(1, 4, 0, 1)
            server.behaviours[1] = lambda asked: late.append(asked.registers([0xDEAD] * asked.count))
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 0, 2, SHORT_S)
            server.behaviours[1] = lambda asked: late[0] + zeros(asked)
            assert await line.read(1, 4, 0, 2) == [0, 0]
            assert len(server.connections) == 1
            assert line.counts == {Fault.OTHER_ANSWER: 1}
            assert line.take_late() == [Frame(1, 4, 2)]
            assert line.take_late() == []
            line.close()

    async def test_half_of_a_late_answer_before_a_request_and_half_behind_it_hurt_nobody(self):
        late: list[bytes] = []

        async with modbus_server(unit_1=zeros) as server:
            line = a_line(server)
            await line.read(1, 4, 0, 1)
            server.behaviours[1] = lambda asked: late.append(asked.registers([0xDEAD] * asked.count)) or late[0][:9]
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 0, 2, SILENCE_S)
            server.behaviours[1] = lambda asked: late[0][9:] + zeros(asked)
            assert await line.read(1, 4, 0, 2) == [0, 0]
            assert len(server.connections) == 1
            line.close()

    async def test_two_mute_reads_in_a_row_end_a_connection_that_nobody_may_hear(self):
        async with modbus_server(unit_1=zeros, unit_2=zeros) as server:
            line = a_line(server)
            for unit in (1, 2):
                await line.read(unit, 4, 0, 1)
            server.behaviours.clear()
            for unit in (1, 2):
                with pytest.raises(NoReplyError):
                    await line.read(unit, 4, 0, 1, SHORT_S)
            server.behaviours[1] = zeros
            assert await line.read(1, 4, 0, 1) == [0]
            assert len(server.connections) == 2
            line.close()

    async def test_who_numbers_no_answers_is_not_kept_after_a_lost_one(self):
        def unnumbered(asked: Request) -> bytes:
            return asked.frame(zeros(asked)[7:], transaction=-asked.transaction)

        async with modbus_server(unit_1=unnumbered) as server:
            line = a_line(server)
            await line.read(1, 4, 0, 1)
            with pytest.raises(NoReplyError):
                await line.read(2, 4, 0, 1, SHORT_S)
            assert await line.read(1, 4, 0, 1) == [0]
            assert len(server.connections) == 2
            line.close()

    async def test_a_meter_tells_what_it_is(self):
        pdu = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x06Janitza\x01"[:15] + b"\x01\x03UMG"
        async with modbus_server(
            unit_1=lambda asked: asked.frame(pdu), unit_2=lambda asked: asked.refusal(1)
        ) as server:
            line = a_line(server)
            assert await line.identify(1) == {0: "Janitz", 1: "UMG"}
            with pytest.raises(
                ExceptionReplyError, match=r"exception 1 \(illegal function\): .*identification=0"
            ) as caught:
                await line.identify(2)
            assert caught.value.code == 1
            line.close()


@pytest.mark.slow
class TestSerial:
    async def test_the_registers_asked_for_come_back(self):
        with serial_line(unit_1=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            assert await line.read(1, 4, 0x34, 3) == [0x34, 0x35, 0x36]
            assert await line.read(1, 3, 0xFFFF, 1) == [0xFFFF]
            assert await line.read(1, 4, 0, 125) == list(range(125))
            assert wire.slaves.requests[0] == Asked(1, 4, 0x34, 3)
            assert line.counts == {}
            line.close()

    async def test_a_reply_may_come_byte_by_byte_behind_noise(self):
        with serial_line(unit_1=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            await line.read(1, 4, 0, 1)
            wire.slaves.behaviours[1] = lambda asked: asking.set()
            asking = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(line.read(1, 4, 7, 2))
                await asking.wait()
                for byte in b"\x00\xff" + Asked(1, 4, 7, 2).registers([7, 8]):
                    wire.slaves.say(bytes([byte]))
                    await _next_packet()
            assert reading.result() == [7, 8]
            line.close()

    async def test_an_adapter_may_hear_what_it_sends(self):
        with serial_line(unit_1=addresses) as wire:
            wire.slaves.is_echoing = True
            line = ModbusLine(a_bus(wire))
            for address in (0, 0x0400):
                assert await line.read(1, 4, address, 2) == [address, address + 1]
            assert line.counts == {}
            line.close()

    async def test_silence_is_no_reply_and_the_port_stays_open(self):
        with serial_line(unit_2=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            for _ in range(3):
                with pytest.raises(NoReplyError) as caught:
                    await line.read(1, 4, 0x34, 2, SHORT_S)
                assert str(caught.value) == (
                    "no reply: waited_s=0.05 bus=mains unit=1 function=4 address=0x0034 count=2"
                )
                client = line._client
                assert await line.read(2, 4, 5, 1) == [5]
                assert line._client is client
            line.close()

    @pytest.mark.parametrize(
        ("answer", "said", "fault"),
        [
            (lambda asked: addresses(asked)[:-1] + b"\x00", "checksum wrong, 9 bytes", Fault.CRC),
            (lambda asked: addresses(asked)[:-1], "length wrong, 8 bytes", Fault.LENGTH),
            (lambda asked: b"\xff" * 9, "checksum wrong, 9 bytes", Fault.CRC),
            (lambda asked: b"\xff" * 2000, "babble of", Fault.CRC),
        ],
    )
    async def test_a_broken_reply_ends_the_read_as_soon_as_the_line_is_idle(self, answer, said, fault, caplog):
        with serial_line(unit_1=answer) as wire:
            line = ModbusLine(a_bus(wire))
            with caplog.at_level(logging.DEBUG), pytest.raises(BadReplyError, match=f"bad reply: {said}.* bus=mains"):
                await line.read(1, 4, 0x34, 2)
            assert caplog.records == []
            wire.slaves.behaviours[1] = addresses
            assert await line.read(1, 4, 0x34, 2) == [0x34, 0x35]
            assert line.counts == {fault: 1}
            line.close()

    async def test_an_exception_behind_a_broken_beginning_is_told(self):
        with serial_line(unit_1=lambda asked: addresses(asked)[:3] + asked.refusal(2)) as wire:
            line = ModbusLine(a_bus(wire))
            with pytest.raises(ExceptionReplyError) as caught:
                await line.read(1, 4, 0, 20)
            assert caught.value.code == 2
            line.close()

    async def test_whole_frames_of_others_are_passed_over_and_counted(self):
        def after_others(asked: Asked) -> bytes:
            others = [Asked(2, 4, 0, 2), Asked(1, 3, 0, 2), Asked(1, 4, 0, 100)]
            return b"".join(addresses(other) for other in others) + addresses(asked)

        with serial_line(unit_1=after_others) as wire:
            line = ModbusLine(a_bus(wire))
            assert await line.read(1, 4, 7, 2) == [7, 8]
            assert line.counts == {Fault.UNIT: 1, Fault.FUNCTION: 1, Fault.LENGTH: 1}
            line.close()

    async def test_a_late_answer_that_comes_when_nobody_asks_is_dropped_and_told(self):
        with serial_line(unit_2=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 7, 2, SHORT_S)
            late = Asked(1, 4, 7, 2).registers([0xDEAD, 0xDEAD])
            wire.slaves.say(b"\xff" + late[:4])
            await _next_packet()
            wire.slaves.say(late[4:])
            wire.slaves.behaviours[1] = addresses
            assert await line.read(1, 4, 7, 3) == [7, 8, 9]
            # its last bytes may be seen before the request leaves or after
            assert line.counts in ({Fault.OTHER_ANSWER: 1}, {Fault.LENGTH: 1})
            assert [(one.unit, one.function, one.count) for one in line.take_late()] == [(1, 4, 2)]
            line.close()

    async def test_a_line_that_is_never_silent_cannot_be_asked(self):
        with serial_line(unit_1=addresses) as wire:
            line = ModbusLine(a_bus(wire, baud=1200))
            await line.read(1, 4, 0, 1)

            async def babble() -> None:
                while True:
                    wire.slaves.say(b"\x55")
                    await _next_packet()

            async with asyncio.TaskGroup() as group:
                babbling = group.create_task(babble())
                with pytest.raises(LineError, match="line never silent, somebody else talks: waited_s"):
                    await line.read(1, 4, 0, 1, SILENCE_S)
                babbling.cancel()
            assert len(wire.slaves.requests) == 1
            line.close()

    async def test_a_cancelled_read_leaves_the_port_open_and_its_answer_is_late(self):
        asked = asyncio.Event()
        with serial_line(unit_1=lambda _: asked.set()) as wire:
            line = ModbusLine(a_bus(wire))
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(line.read(1, 4, 0, 2))
                await asked.wait()
                reading.cancel()
            assert reading.cancelled()
            wire.slaves.behaviours[1] = lambda asked: addresses(Asked(1, 4, 0, 2)) + addresses(asked)
            assert await line.read(1, 4, 5, 1) == [5]
            assert line.counts == {Fault.OTHER_ANSWER: 1}
            line.close()

    async def test_a_meter_tells_what_it_is_in_as_many_answers_as_it_needs(self):
        def parts_of(asked: Asked) -> bytes:
            texts = {0: b"Eastron ", 1: b"SDM630\0", 2: b"1.\xff"}
            return asked.identity({asked.address: texts[asked.address]}, (asked.address + 1) % 3)

        with serial_line(unit_1=parts_of) as wire:
            line = ModbusLine(a_bus(wire))
            assert await line.identify(1) == {0: "Eastron", 1: "SDM630", 2: "1.\N{REPLACEMENT CHARACTER}"}
            wire.slaves.behaviours[1] = lambda asked: asked.identity({0: b"again"}, 0xFF - asked.address)
            assert await line.identify(1) == {0: "again"}
            line.close()

    async def test_of_real_requests_a_third_of_them_answered_late_none_is_misattributed(self):
        outcomes, counts = await _outcomes_of(REAL_REQUESTS, Guard())
        assert outcomes["wrong"] == 0
        assert outcomes["right"] > REAL_REQUESTS / 2
        assert outcomes["lost"] >= REAL_REQUESTS / 3 - 1
        assert counts[Fault.OTHER_ANSWER] > REAL_REQUESTS / 4

    async def test_without_the_guard_late_answers_would_be_taken_for_the_next_ones(self):
        outcomes, _ = await _outcomes_of(30, Guard(window_s=0))
        assert outcomes["wrong"] > 3


async def _outcomes_of(requests: int, guard: Guard) -> tuple[Counter[str], Counter[Fault]]:
    with serial_line() as wire:
        meters = LateMeters(wire.slaves)
        wire.slaves.behaviours.update(dict.fromkeys((1, 2), meters.answer))
        line, loop = ModbusLine(a_bus(wire)), asyncio.get_running_loop()
        outcomes: Counter[str] = Counter()

        async def ask(unit: int, address: int, count: int) -> str:
            try:
                got = await line.read(unit, 3, address, count, SHORT_S)
            except (NoReplyError, BadReplyError):
                guard.lost(unit, 3, count, MonotonicS(loop.time()))
                meters.lost(unit)
                return "lost"
            return "right" if got == meters.words(wire.slaves.requests[-1]) else "wrong"

        while meters.asked < requests:
            for unit, count in ((1, 20), (2, 76)):
                avoided = guard.avoided(unit, 3, MonotonicS(loop.time()))
                for address, part in parts(0, count, range(2, count, 2), avoided):
                    outcomes[await ask(unit, address, part)] += 1
                    for frame in line.take_late():
                        guard.came(frame.unit, frame.function, frame.count)
        line.close()
        return outcomes, line.counts


@dataclass
class LateMeters:
    """Every third answer is late: before the next request to its unit, before that one's answer, or behind it."""

    slaves: Slaves
    withheld: dict[int, list[bytes]] = field(default_factory=lambda: {1: [], 2: []})

    @property
    def asked(self) -> int:
        return len(self.slaves.requests)

    def words(self, asked: Asked) -> list[int]:
        return [(251 * self.asked + asked.address + n) & 0xFFFF for n in range(asked.count)]

    def answer(self, asked: Asked) -> bytes:
        reply = asked.registers(self.words(asked))
        if self.asked % 3 == 0:
            self.withheld[asked.unit].append(reply)
            return b""
        late = self._released(asked.unit)
        return late + reply if self.asked % 2 else reply + late

    def lost(self, unit: int) -> None:
        if self.asked % 4 == 0:
            self.slaves.say(self._released(unit))

    def _released(self, unit: int) -> bytes:
        late = b"".join(self.withheld[unit])
        self.withheld[unit].clear()
        return late


@pytest.mark.slow
class TestPort:
    async def test_one_that_another_program_holds_is_said_so_and_opens_when_it_is_free(self):
        with serial_line(unit_1=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            other = os.open(wire.path, os.O_RDWR | os.O_NOCTTY)
            fcntl.flock(other, fcntl.LOCK_EX)
            opened = _descriptors()
            for _ in range(3):
                with pytest.raises(LineError, match="reason=another program uses the port: stop it"):
                    await line.read(1, 4, 7, 1)
            assert _descriptors() == opened
            os.close(other)
            assert await line.read(1, 4, 7, 1) == [7]
            line.close()
            assert _descriptors() == opened - 1

    async def test_one_that_fails_while_it_is_opened_can_be_opened_later(self):
        # A pty has no parity; some kernels refuse it, and only after the port was locked.
        with serial_line(unit_1=addresses) as wire:
            opened = _descriptors()
            even = ModbusLine(a_bus(wire, parity="E"))
            with suppress(LineError):
                await even.read(1, 4, 7, 1)
            even.close()
            assert _descriptors() == opened
            line = ModbusLine(a_bus(wire))
            assert await line.read(1, 4, 7, 1) == [7]
            line.close()

    async def test_one_that_does_not_exist_is_said_so(self, tmp_path: Path):
        line = ModbusLine(BusConfig("mains", f"serial://{tmp_path}/ttyUSB0"))
        with pytest.raises(LineError) as caught:
            await line.read(1, 4, 0, 1)
        assert str(caught.value) == (
            f"no connection: bus=mains url=serial://{tmp_path}/ttyUSB0 reason=no such port: plug the adapter in"
        )

    async def test_one_that_is_unplugged_ends_the_read_and_comes_back_under_another_name(self, tmp_path: Path):
        link = tmp_path / "usb-adapter-port0"
        with serial_line(unit_1=addresses) as old, serial_line(unit_1=addresses) as new:
            link.symlink_to(old.path)
            line = ModbusLine(a_bus(old), [tmp_path])
            assert await line.read(1, 4, 7, 1) == [7]
            old.slaves.behaviours[1] = lambda _: old.unplug()
            with pytest.raises(LineError, match="connection lost: bus=mains unit=1"):
                await line.read(1, 4, 7, 1)
            link.unlink()
            for _ in range(2):
                with pytest.raises(LineError, match="no such port: plug the adapter in"):
                    await line.read(1, 4, 7, 1)
            link.symlink_to(new.path)
            assert await line.read(1, 4, 7, 1) == [7]
            assert new.slaves.requests == [Asked(1, 4, 7, 1)]
            line.close()

    async def test_one_that_is_unplugged_between_reads_is_opened_anew(self):
        with serial_line(unit_1=addresses) as wire:
            line = ModbusLine(a_bus(wire))
            await line.read(1, 4, 7, 1)
            wire.unplug()
            for _ in range(3):
                with pytest.raises(LineError):
                    await line.read(1, 4, 7, 1, SHORT_S)
            assert line._client is None
            line.close()


@pytest.mark.slow
class TestBehindAConverter:
    async def test_the_registers_asked_for_come_back(self):
        async with converter(unit_1=addresses) as (port, slaves, connections):
            line = ModbusLine(BusConfig("mains", f"rtu+tcp://127.0.0.1:{port}", timeout_s=LONG_S))
            assert await line.read(1, 4, 7, 2) == [7, 8]
            slaves.behaviours[1] = lambda asked: asked.refusal(2)
            with pytest.raises(ExceptionReplyError):
                await line.read(1, 4, 7, 2)
            assert len(connections) == 1
            line.close()

    async def test_silence_keeps_the_connection_and_a_late_answer_is_passed_over(self):
        async with converter(unit_2=addresses) as (port, slaves, connections):
            line = ModbusLine(BusConfig("mains", f"rtu+tcp://127.0.0.1:{port}", timeout_s=LONG_S))
            await line.read(2, 4, 7, 2)
            with pytest.raises(NoReplyError):
                await line.read(1, 4, 7, 2, SHORT_S)
            slaves.behaviours[1] = lambda asked: addresses(Asked(1, 4, 7, 2)) + addresses(asked)
            assert await line.read(1, 4, 7, 1) == [7]
            assert line.counts == {Fault.OTHER_ANSWER: 1}
            assert len(connections) == 1
            line.close()

    async def test_a_broken_reply_keeps_it_too(self):
        async with converter(unit_1=lambda asked: addresses(asked)[:-2] + b"\0\0") as (port, slaves, connections):
            line = ModbusLine(BusConfig("mains", f"rtu+tcp://127.0.0.1:{port}", timeout_s=LONG_S))
            with pytest.raises(BadReplyError, match="checksum wrong"):
                await line.read(1, 4, 7, 2)
            slaves.behaviours[1] = addresses
            assert await line.read(1, 4, 7, 2) == [7, 8]
            assert len(connections) == 1
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


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
