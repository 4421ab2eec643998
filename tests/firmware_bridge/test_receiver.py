import pytest

from firmware_bridge import mbap, rtu
from firmware_bridge.receiver import Receiver
from firmware_bridge.rtu import read_request
from firmware_bridge.verdict import WAITING, Fault, Frame, State
from tests.firmware_bridge.modbus_server import Request as AskedTcp
from tests.firmware_bridge.modbus_slave import Asked, addresses

REQUEST = read_request(1, 4, 7, 2).frame
ANSWER = addresses(Asked(1, 4, 7, 2))
OTHER = addresses(Asked(1, 4, 7, 3))


@pytest.fixture
def line() -> Receiver:
    return Receiver(rtu)


def test_an_answer_settles_the_request_and_counts_nothing(line: Receiver):
    line.ask(REQUEST)
    assert line.is_asking
    assert line.hear(ANSWER[:4]) == WAITING
    assert line.hear(ANSWER[4:]).words == (7, 8)
    assert not line.is_asking
    assert line.counts == {}


def test_what_comes_when_nobody_asks_is_no_answer(line: Receiver):
    assert line.hear(ANSWER) == WAITING
    assert line.take_late() == [Frame(1, 4, 2)]
    assert line.counts == {Fault.OTHER_ANSWER: 1}


def test_what_a_frame_differs_by_is_counted_unless_it_was_asked_for_earlier(line: Receiver):
    line.ask(REQUEST)
    line.hear(OTHER + ANSWER)
    assert line.counts == {Fault.LENGTH: 1}
    line.ask(read_request(1, 4, 7, 3).frame)
    line.give_up()
    line.ask(REQUEST)
    line.hear(OTHER + ANSWER)
    assert line.counts == {Fault.LENGTH: 1, Fault.OTHER_ANSWER: 1}
    line.ask(REQUEST)
    line.hear(OTHER + ANSWER)
    assert line.counts == {Fault.LENGTH: 2, Fault.OTHER_ANSWER: 1}


@pytest.mark.parametrize(
    ("stranger", "fault"),
    [
        (addresses(Asked(2, 4, 7, 2)), Fault.UNIT),
        (addresses(Asked(1, 3, 7, 2)), Fault.FUNCTION),
        (addresses(Asked(1, 4, 7, 3)), Fault.LENGTH),
        (ANSWER[:-1], None),
    ],
)
def test_what_a_frame_differs_by_is_counted_too_when_no_answer_follows_it(
    line: Receiver, stranger: bytes, fault: Fault | None
):
    line.ask(REQUEST)
    line.hear(stranger)
    line.give_up()
    assert line.counts == ({} if fault is None else {fault: 1})
    assert len(line.take_late()) == (fault is not None)


def test_the_answer_to_a_request_that_was_given_up_may_have_begun_before(line: Receiver):
    line.ask(REQUEST)
    line.hear(ANSWER[:5])
    line.give_up()
    line.give_up()
    line.hear(ANSWER[5:])
    assert line.take_late() == [Frame(1, 4, 2)]
    assert line.counts == {Fault.OTHER_ANSWER: 1}


def test_a_broken_answer_is_refused_when_the_line_is_idle_and_may_still_come_whole(line: Receiver):
    assert line.idle() == WAITING
    line.ask(REQUEST)
    line.hear(ANSWER[:-1])
    assert line.idle().state is State.REFUSED
    assert not line.is_asking
    line.ask(read_request(1, 4, 7, 1).frame)
    line.hear(ANSWER)
    line.give_up()
    assert line.counts == {Fault.LENGTH: 1, Fault.OTHER_ANSWER: 1}


def test_an_exception_to_a_request_that_was_given_up_is_late_too(line: Receiver):
    line.ask(read_request(2, 4, 0, 100).frame)
    line.give_up()
    line.ask(REQUEST)
    line.hear(Asked(2, 4, 0, 100).refusal(2) + ANSWER)
    assert line.counts == {Fault.OTHER_ANSWER: 1}


@pytest.mark.parametrize("address", [7, 0x0300])
def test_an_echo_without_an_answer_is_no_late_one(line: Receiver, address: int):
    request = read_request(1, 4, address, 2).frame
    for stray in (b"", b"\xff"):
        line.ask(request)
        line.hear(stray + request)
        assert line.idle() == WAITING
        line.give_up()
    assert line.counts == {}
    assert line.take_late() == []


def test_a_request_to_which_no_byte_came_is_mute(line: Receiver):
    line.hear(b"\xff")
    line.ask(REQUEST)
    assert line.is_mute
    line.hear(b"\xff")
    assert not line.is_mute


def test_on_a_stream_the_beginning_of_a_late_answer_is_kept_and_on_a_serial_line_it_is_noise(line: Receiver):
    late = AskedTcp(1, 1, 4, 0, 2).registers([1, 2])
    stream = Receiver(mbap)
    stream.hear(late[:9])
    stream.ask(mbap.read_request(2, 1, 4, 0, 1).frame)
    assert stream.hear(late[9:] + AskedTcp(2, 1, 4, 0, 1).registers([3])).words == (3,)
    line.hear(OTHER[:5])
    line.ask(REQUEST)
    assert line.hear(ANSWER).words == (7, 8)


def test_on_a_new_connection_nothing_of_the_old_one_goes_on():
    stream = Receiver(mbap)
    stream.hear(AskedTcp(1, 1, 4, 0, 2).registers([1, 2])[:9])
    stream.connected()
    stream.ask(mbap.read_request(2, 1, 4, 0, 1).frame)
    assert stream.hear(AskedTcp(2, 1, 4, 0, 1).registers([3])).words == (3,)


def test_a_peer_that_numbers_its_answers_is_held_to_it():
    stream = Receiver(mbap)
    stream.ask(mbap.read_request(2, 1, 4, 0, 1).frame, is_transaction_echoed=True)
    assert stream.hear(AskedTcp(0, 1, 4, 0, 1).registers([3])).state is State.WAITING


def test_what_is_remembered_is_bounded(line: Receiver):
    for count in range(1000):
        line.ask(read_request(1, 4, 0, count).frame)
        line.give_up()
        line.hear(ANSWER)
    assert len(line.take_late()) == 64
