"""A serial line on a terminal: answers in their time, speeds, faults, and the cable."""

import os

import pytest

from firmware_bridge.clock import SystemClock
from firmware_bridge.simulator.line_settings import WireFaultSettings
from firmware_bridge.simulator.rtu_frames import rtu_frame
from firmware_bridge.simulator.serial_line import WAITING_BYTES_MAX, exact_loop
from tests.firmware_bridge.simulator.one_line import ASKED, Master, answered, served, until

pytestmark = pytest.mark.slow

SERIAL = {"kind": "serial", "link": "dev/rs485", "baud": 115200}
LINK = "dev/rs485"


async def test_units_answer_in_turn_and_what_they_carried_is_counted(tmp_path):
    async with served(tmp_path, **SERIAL) as line:
        assert line.url == f"serial://{tmp_path}/dev/rs485"
        master = Master(tmp_path / LINK, 115200)
        for unit in (1, 2, 1):
            assert await master.answer_of(unit) == rtu_frame(unit, answered(unit))
        counts = line.counts()
        assert counts["units"] == {"1": 2, "2": 1}
        assert (counts["bytes"], counts["requests"], counts["replies"]) == (3 * (8 + 9), 3, 3)
        # a nanosecond for the difference of two large numbers
        assert 0 < counts["wire_s"] <= counts["elapsed_s"] + 1e-9
        line.reset_counts()
        assert (line.counts()["bytes"], line.counts()["units"]) == (0, {})
        master.close()


def test_a_loop_of_its_own_wakes_in_time_for_it():
    loop = exact_loop()
    assert loop.run_until_complete(loop.run_in_executor(None, os.getpid)) == os.getpid()
    loop.close()


async def test_silence_strangers_and_a_wrong_crc_are_not_answered(tmp_path):
    async with served(tmp_path, **SERIAL) as line:
        master = Master(tmp_path / LINK, 115200)
        master.ask(9)
        await until(lambda: line.counts()["units"] == {"9": 1})
        master.write(rtu_frame(1, ASKED)[:-1] + b"\0")
        await until(lambda: line.counts()["garbled"] == 1)
        assert await master.answer_of(1) == rtu_frame(1, answered(1)), "nothing came before it"
        master.close()


async def test_a_request_in_two_pieces_without_a_silence_is_one(tmp_path):
    async with served(tmp_path, kind="serial", link=LINK, baud=300) as line:
        master = Master(tmp_path / LINK, 300)
        frame = rtu_frame(1, ASKED)
        master.write(frame[:3])
        await until(lambda: line.counts()["requests"])
        master.write(frame[3:])
        assert await master.receive(1) == frame[:1]
        assert line.counts()["requests"] == 1
        master.close()


@pytest.mark.parametrize("baud", [9600, 57600, 230400])
async def test_another_speed_is_not_understood_until_the_master_changes_it(tmp_path, baud):
    async with served(tmp_path, **SERIAL) as line:
        stranger = Master(tmp_path / LINK, baud)
        stranger.ask(1)
        await until(lambda: line.counts()["garbled"] == 1)
        stranger.close()
        master = Master(tmp_path / LINK, 115200)
        assert await master.answer_of(1) == rtu_frame(1, answered(1))
        master.close()


async def test_another_parity_is_not_understood_where_it_is_noted(tmp_path):
    settings = {**SERIAL, "parity": "E", "parity_notes": "parity"}
    async with served(tmp_path, **settings) as line:
        master = Master(tmp_path / LINK, 115200)
        note = tmp_path / "parity" / (tmp_path / LINK).readlink().name
        note.write_text("N")
        master.ask(1)
        await until(lambda: line.counts()["garbled"] == 1)
        note.write_text("E")
        assert await master.answer_of(1) == rtu_frame(1, answered(1))
        master.close()


async def test_a_request_that_comes_too_early_is_answered_and_counted(tmp_path):
    async with served(tmp_path, **SERIAL) as line:
        master = Master(tmp_path / LINK, 115200)
        await master.answer_of(1)
        await master.answer_of(2)  # at once: the silence takes 1.75 ms
        assert line.counts()["early"] == 1
        master.close()


async def test_an_adapter_with_echo_hears_its_own_request_first(tmp_path):
    async with served(tmp_path, **SERIAL, echo=True):
        master = Master(tmp_path / LINK, 115200)
        master.ask(1)
        request, reply = rtu_frame(1, ASKED), rtu_frame(1, answered(1))
        assert await master.receive(len(request + reply)) == request + reply
        master.close()


async def test_a_delayed_reply_comes_after_that_of_the_next_request(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="delay", unit=1, delay_s=0.2), **SERIAL) as line:
        master = Master(tmp_path / LINK, 115200)
        master.ask(1)
        await until(lambda: line.counts()["units"] == {"1": 1})
        assert await master.answer_of(2) == rtu_frame(2, answered(2))
        late = rtu_frame(1, answered(1))
        assert await master.receive(len(late)) == late
        master.close()


async def test_more_than_the_adapter_can_keep_is_lost_and_counted(tmp_path):
    async with served(tmp_path, kind="serial", link=LINK, baud=300) as line:
        master = Master(tmp_path / LINK, 300)
        for _ in range(4 * WAITING_BYTES_MAX // 512):
            master.write(bytes(512))
            await SystemClock().sleep_for(0)  # the line has its turn
        await until(lambda: line.counts()["overrun"] >= 2 * WAITING_BYTES_MAX)
        master.close()


async def test_babble_is_heard_without_being_asked_for_and_nobody_answers(tmp_path):
    async with served(tmp_path, WireFaultSettings(kind="babble", for_s=0.2), **SERIAL) as line:
        master = Master(tmp_path / LINK, 115200)
        await master.receive(64)
        master.ask(1)
        await until(lambda: line.counts()["requests"])
        await until(lambda: not line.responder.faults.is_babbling(SystemClock().monotonic_s()))
        assert line.counts()["units"] == {}
        master.close()


async def test_a_pulled_cable_is_dead_and_comes_back_under_another_name(tmp_path):
    by_id = tmp_path / "dev/serial/by-id/usb-adapter"
    async with served(tmp_path, **SERIAL, id_link="dev/serial/by-id/usb-adapter") as line:
        assert by_id.resolve() == (tmp_path / LINK).resolve()
        master = Master(tmp_path / LINK, 115200)
        await master.answer_of(1)
        line.pull()
        await master.is_dead.wait()
        master.close()
        assert not (tmp_path / LINK).is_symlink()
        assert not by_id.is_symlink()
        assert not line.is_plugged
        await line.plug("rs485-2")
        assert line.url == f"serial://{tmp_path}/dev/rs485-2"
        assert by_id.resolve() == (tmp_path / "dev/rs485-2").resolve()
        master = Master(tmp_path / "dev/rs485-2", 115200)
        assert await master.answer_of(1) == rtu_frame(1, answered(1))
        master.close()
