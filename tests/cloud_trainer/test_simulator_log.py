import json
from pathlib import Path

import pytest

from cloud_trainer.simulator_log import read_log
from firmware_bridge.errors import SettingError

POLL_US = 60_000_000


def written(folder: Path, *lines: dict[str, object] | str) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def test_values_are_found_by_series_and_tick_in_order(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "at_us": 2 * POLL_US,
            "meter": "grid",
            "unit": 1,
            "function": 4,
            "values": {"voltage_v": 231, "current_a": 1.5},
        },
        {"at_us": POLL_US + 17, "meter": "grid", "values": {"voltage_v": 230.5}},
        {"fault": "stuck", "meter": "grid"},
    )
    log = read_log(path, POLL_US)
    assert set(log) == {("grid", "voltage_v"), ("grid", "current_a")}
    assert log["grid", "voltage_v"].ticks.tolist() == [1, 2]
    assert log["grid", "voltage_v"].last.tolist() == [230.5, 231.0]


def test_a_tick_that_was_answered_again_keeps_its_first_and_last_answer(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        *({"at_us": at, "meter": "m", "values": {"voltage_v": v}} for at, v in ((5, 1.0), (6, 2.0), (7, 3.0))),
    )
    series = read_log(path, POLL_US)["m", "voltage_v"]
    assert (series.ticks.tolist(), series.first.tolist(), series.last.tolist()) == ([0], [1.0], [3.0])


def test_a_value_that_is_none_was_not_given_out(tmp_path: Path) -> None:
    path = written(tmp_path, {"at_us": 5, "meter": "m", "values": {"voltage_v": None}})
    assert read_log(path, POLL_US) == {}


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, {"at_us": 5, "meter": "m", "values": {"voltage_v": 1}}, '{"at_us": 9, "me')
    assert read_log(path, POLL_US)["m", "voltage_v"].ticks.tolist() == [0]


@pytest.mark.parametrize(
    "line",
    [
        "no json\n",
        "[1]\n",
        '{"at_us": "x"}\n',
        '{"at_us": 1' + "0" * 20 + "}\n",
        '{"x": ' + "[" * 9999 + "\n",
        '{"values": {"a": "b"}}\n',
        "\xff\n",
    ],
)
def test_a_line_of_another_kind_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"fault": "x"}\n' + line.encode("latin-1"))
    with pytest.raises(SettingError, match="line 2"):
        read_log(path, POLL_US)


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"none\.jsonl"):
        read_log(tmp_path / "none.jsonl", POLL_US)
