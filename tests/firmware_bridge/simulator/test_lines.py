"""All lines of a scenario, by name."""

import pytest

from firmware_bridge.errors import ConflictError, NotFoundError
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.lines import Lines
from tests.firmware_bridge.simulator.one_line import answer

SERIAL = LineSettings(name="rs485", kind="serial", link="dev/rs485", units=[2])
TCP = LineSettings(name="net", kind="tcp")


@pytest.fixture
def lines(tmp_path):
    lines = Lines([SERIAL, TCP], tmp_path, answer, [1, 2])
    yield lines
    lines.pull()


async def test_each_line_has_its_address_and_its_units(lines, tmp_path):
    await lines.plug()
    port = lines.urls["net"].removeprefix("tcp://127.0.0.1:")
    assert lines.urls == {"rs485": f"serial://{tmp_path}/dev/rs485", "net": f"tcp://127.0.0.1:{port}"}
    assert int(port) > 0
    assert [line.responder.units for line in lines] == [{2}, {1, 2}]


def test_a_line_that_is_not_there_is_named(lines):
    with pytest.raises(NotFoundError, match="line = 'wifi': is not a line here; use one of: rs485, net"):
        lines.named("wifi")


async def test_a_port_that_is_taken_is_a_conflict(lines, tmp_path):
    await lines.plug()
    taken = LineSettings(name="net", kind="rtu_over_tcp", port=int(lines.urls["net"].rpartition(":")[2]))
    with pytest.raises(ConflictError):
        await Lines([taken], tmp_path, answer, [1]).plug()
