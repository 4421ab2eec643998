"""Lines of the network: framing, turns, what a gateway says for the silent, and faults."""

import asyncio
import struct

import pytest

from firmware_bridge.simulator.frames import Request
from firmware_bridge.simulator.line_settings import WireFaultSettings
from firmware_bridge.simulator.rtu_frames import rtu_frame
from firmware_bridge.simulator.server import WAITING_REPLIES_MAX
from tests.firmware_bridge.simulator.one_line import ASKED, answered, served, until

pytestmark = pytest.mark.slow


def tcp(transaction: int, unit: int, pdu: bytes = ASKED) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


async def connect(line):
    host, _, port = line.url.rpartition("/")[2].rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def exchange(line, data: bytes, count: int) -> bytes:
    """Send `data` over a connection of its own and give the next `count` bytes."""
    reader, writer = await connect(line)
    writer.write(data)
    received = await reader.readexactly(count)
    writer.close()
    return received


REFUSED = b"\x84\x0b"


async def test_modbus_tcp_answers_for_all_units_and_refuses_for_who_is_not_there(tmp_path):
    async with served(tmp_path, kind="tcp") as line:
        expected = tcp(1, 1, answered(1)) + tcp(2, 2, answered(2)) + tcp(3, 7, REFUSED)
        asked = tcp(1, 1) + tcp(2, 2) + tcp(4, 9) + tcp(3, 7)
        assert await exchange(line, asked, len(expected)) == expected, "9 stays silent"
        assert line.counts()["units"] == {"1": 1, "2": 1, "9": 1}
        assert line.counts()["requests"] == 4


async def test_what_a_gateway_says_for_the_silent_can_be_set(tmp_path):
    async with served(tmp_path, kind="tcp", unknown_unit="silence", silent_unit="exception") as line:
        expected = tcp(2, 9, REFUSED)
        assert await exchange(line, tcp(1, 7) + tcp(2, 9), len(expected)) == expected


async def test_nobody_is_served_while_a_gateway_waits_for_a_silent_unit(tmp_path):
    async with served(tmp_path, kind="tcp", silent_unit_s=0.1) as line:
        asked_s = asyncio.get_running_loop().time()
        assert line.reply(Request(1, 9, ASKED)) is None
        assert line.reply(Request(2, 1, ASKED)).due_s >= asked_s + 0.1


async def test_a_delay_holds_up_a_gateway_and_not_a_converter(tmp_path):
    fault = WireFaultSettings(kind="delay", unit=1, delay_s=0.1)
    late, prompt = answered(1), answered(2)
    async with served(tmp_path, fault, kind="tcp") as line:
        expected = tcp(1, 1, late) + tcp(2, 2, prompt)
        assert await exchange(line, tcp(1, 1) + tcp(2, 2), len(expected)) == expected
    async with served(tmp_path, fault, kind="rtu_over_tcp") as line:
        expected = rtu_frame(2, prompt) + rtu_frame(1, late)
        assert await exchange(line, rtu_frame(1, ASKED) + rtu_frame(2, ASKED), len(expected)) == expected


async def test_a_converter_passes_rtu_in_any_pieces_and_says_nothing_for_the_silent(tmp_path):
    async with served(tmp_path, kind="rtu_over_tcp") as line:
        reader, writer = await connect(line)
        for byte in rtu_frame(7, ASKED) + rtu_frame(9, ASKED) + rtu_frame(1, ASKED):
            writer.write(bytes((byte,)))
            await writer.drain()
        expected = rtu_frame(1, answered(1))
        assert await reader.readexactly(len(expected)) == expected
        writer.close()


async def test_half_a_request_is_forgotten_after_a_pause(tmp_path):
    async with served(tmp_path, kind="rtu_over_tcp") as line:
        reader, writer = await connect(line)
        writer.write(rtu_frame(1, ASKED)[:5])
        pause = asyncio.get_running_loop().time() + 0.1
        await until(lambda: asyncio.get_running_loop().time() > pause)
        writer.write(rtu_frame(2, ASKED))
        expected = rtu_frame(2, answered(2))
        assert await reader.readexactly(len(expected)) == expected
        writer.close()


@pytest.mark.parametrize("kind", ["tcp", "rtu_over_tcp"])
async def test_a_line_with_a_speed_takes_the_time_of_its_bytes(tmp_path, kind):
    async with served(tmp_path, kind=kind, baud=115200) as line:
        request = Request(1, 1, ASKED)
        first, second = line.reply(request), line.reply(request)
        on_the_wire_s = (8 + 9) * 10 / 115200 + 2 * 0.00175
        assert second.due_s - first.due_s >= 0.99 * on_the_wire_s
        assert line.counts()["wire_s"] == pytest.approx(2 * on_the_wire_s)
        assert line.counts()["early"] == 0


async def test_requests_that_wait_for_their_turn_are_bounded(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="delay", delay_s=0.001), kind="tcp") as line:
        reader, writer = await connect(line)
        count = 5 * WAITING_REPLIES_MAX
        writer.write(b"".join(tcp(number, 1) for number in range(count)))
        for number in range(count):
            assert await reader.readexactly(len(tcp(0, 1, answered(1)))) == tcp(number, 1, answered(1))
            asked = line.counts()["requests"]
            assert asked <= number + 1 + 2 * WAITING_REPLIES_MAX
        writer.close()


async def test_faults_strike_frames_of_modbus_tcp_too(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="wrong_unit"), kind="tcp") as line:
        expected = tcp(5, 2, answered(1))
        assert await exchange(line, tcp(5, 1), len(expected)) == expected
        await line.heal()
        line.inject(WireFaultSettings(kind="truncated", bytes_count=4))
        expected = tcp(6, 1, answered(1))[:-4]
        assert await exchange(line, tcp(6, 1), len(expected)) == expected


async def test_babble_reaches_every_client(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="babble"), kind="rtu_over_tcp") as line:
        assert len(await exchange(line, b"", 100)) == 100


async def test_a_line_that_was_pulled_comes_back_on_its_port(tmp_path):
    async with served(tmp_path, kind="tcp") as line:
        url = line.url
        reader, writer = await connect(line)
        line.pull()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError):
            await connect(line)
        await line.plug()
        assert line.url == url
        expected = tcp(1, 1, answered(1))
        assert await exchange(line, tcp(1, 1), len(expected)) == expected
