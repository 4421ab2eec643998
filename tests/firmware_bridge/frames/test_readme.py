"""What README.md tells makers of sensors is what the reader takes: its programs run, its bytes are a frame."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.frames import sensor
from firmware_bridge.frames.frame import Frame
from firmware_bridge.frames.sensor import SensorReader
from firmware_bridge.settings import convert, read_toml
from tests.firmware_bridge.frames import golden
from tests.firmware_bridge.frames.sensor_encoder import json_frame

README = (Path(sensor.__file__).parent / "README.md").read_text(encoding="utf-8")
FRAME = Frame("7", {"temperature_c": (21.5, "")})

# What the sketch needs of an Arduino, on a computer: one loop, and the serial line is the standard output.
ARDUINO = """
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
using std::isnan;
struct String : std::string {
  String(const char *text) : std::string(text) {}
  String(const std::string &text) : std::string(text) {}
  String(int number) : std::string(std::to_string(number)) {}
  String(double number, int digits) {
    char text[40];
    snprintf(text, sizeof text, "%.*f", digits, number);
    assign(text);
  }
};
struct {
  void begin(long) {}
  void write(const uint8_t *data, size_t size) { fwrite(data, 1, size, stdout); }
} Serial1;
int loops = 0;
void delay(int) { if (++loops == 3) exit(0); }
"""


def blocks(language: str) -> list[str]:
    """Of this language, in their order, as far to the left as they go."""
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for name, text in fenced if name == language]


def hex_blocks() -> list[bytes]:
    """Bytes are two digits and a space, until the words begin."""
    found = []
    for block in blocks(""):
        rows = [re.match(r"((?:[0-9a-f]{2} )*[0-9a-f]{2})(?=  )", row) for row in block.splitlines()]
        if all(rows):
            found.append(bytes.fromhex("".join(row[1] for row in rows if row)))
    return found


def test_the_examples_byte_by_byte_are_frames():
    assert hex_blocks() == [golden.SENSOR_JSON, golden.SENSOR_CBOR]
    assert [SensorReader().feed(one) for one in hex_blocks()] == [[FRAME], [FRAME]]


def test_the_micropython_program_makes_frames():
    program, main = blocks("python")
    names: dict = {}
    exec(compile(program, "sensor_frame.py", "exec"), names)
    assert "frame(" in main
    assert SensorReader().feed(names["frame"]({"id": 7, "seq": 0, "temperature_c": 21.5})) == [FRAME]
    assert SensorReader().feed(names["frame"]({"id": 7, "temperature_c": None})) == [Frame("7", {})]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_the_arduino_sketch_makes_frames(tmp_path: Path):
    (sketch,) = blocks("cpp")
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    (tmp_path / "sketch.cpp").write_text(sketch + "\nint main() { setup(); for (;;) loop(); }\n")
    build = ["g++", "-std=c++11", "-Wall", "-Werror", "-I.", "-o", "sketch", "sketch.cpp"]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=120)
    sent = subprocess.run([tmp_path / "sketch"], capture_output=True, check=True, timeout=60).stdout
    reader = SensorReader()
    assert reader.feed(sent) == [FRAME] * 3
    assert (reader.lost, reader.refused.total()) == (0, 0)


def test_the_names_are_those_of_the_profile():
    table = README.partition("## Names of values")[2].partition("##")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
        one.code for one in load_profile("serial_sensor").fields
    ]


def test_all_names_with_long_numbers_fit_one_frame():
    values = {one.code: -99999.123 for one in load_profile("serial_sensor").fields}
    (frame,) = SensorReader().feed(json_frame(id=247, seq=65535, **values))
    assert frame.values.keys() == values.keys()


def test_the_limits_are_those_of_the_reader():
    assert f"| body | {sensor.BODY_BYTES_MAX} bytes |" in README
    assert f"| frame | {sensor.FRAME_BYTES_MAX} bytes |" in README
    assert f"after {load_profile('serial_sensor').file.stale_s:g} s without a frame" in README


def test_the_settings_are_a_bus_and_a_meter():
    (settings,) = blocks("toml")
    tree = read_toml(settings, "README.md", "README.md")
    (bus,), (meter,) = tree["bus"], tree["meter"]
    assert convert(bus, BusConfig).protocol == "sensor"
    assert convert(meter, MeterConfig).unit == 7
    assert meter["bus"] == bus["name"]
    assert meter["profile"] == "serial_sensor"
