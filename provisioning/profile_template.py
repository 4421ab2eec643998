"""The text that a new meter profile begins with: a copy of another one, or every key explained. Pure."""

import re
import textwrap

from firmware_bridge.measurand import Measurand

# One line of TOML at the top of the file.
_KEY = re.compile(r"^key\s*=.*$", re.MULTILINE)
_CONFIDENCE = re.compile(r"^confidence\s*=.*$", re.MULTILINE)
_UNCHECKED = 'confidence = "low"  # until its values were compared with the display of a meter'

_LINE_CHARACTERS_MAX = 118

_EMPTY = """\
# The profile of a meter. Change what differs, remove what your meter does not have, and let
# `smartwatts-provision profile lint {name}.toml` say what is wrong. A key that is left out has the value shown
# behind a "#"; the others are needed.

schema = 1
# the name of this file
key = "{name}"
vendor = "Maker"
models = ["Model as it is printed on the meter"]
# "meter", "inverter", "hybrid_inverter", "system" or "sensor"
kind = "meter"
# the maker's document first, with its version; then whatever else you went by
sources = ["Maker, document on communication, version 1.0"]
# "high": two sources agree; "medium": one good source; "low": to be checked before it is relied on
confidence = "low"
# 1 or 3; 0 for what is not about mains
phases = 3

# "modbus" is asked for [registers]; "sensor", "p1" and "sml" send by themselves and have [fields] instead
# protocol = "modbus"
# what it can be reached by: "rtu", "rtu_over_tcp", "tcp", "serial"
transport = ["rtu", "rtu_over_tcp"]
# how it leaves the factory
serial_defaults = {{ baud = 9600, data_bits = 8, parity = "N", stop_bits = 1, unit = 1 }}
# serial_notes = "other speeds that are seen"
# tcp_defaults = {{ port = 502, unit = 1 }}

# which register of a value of several registers comes first: "high_first" or "low_first"
word_order = "high_first"
# the most registers that are safe in one request
max_read = 60
# what a positive active power means to the meter: "import_positive" or "generation_positive"
# sign = "import_positive"
# true where reads must begin at an even address and have an even count
# even = false
# addresses, first and last, that must not be read, not even on the way
# forbidden = [[0x0100, 0x01FF]]
# a read must not reach from below one of these addresses across it
# never_across = [0x1000]
# seconds of rest between two requests, and after connecting
# pause_s = 0.0
# connect_pause_s = 0.0
# a device that sends by itself: seconds after which its last frame no longer stands
# stale_s = 15.0
# a SunSpec device: addresses are offsets from the id of the first of these models that it has
# sunspec = {{ models = [103] }}
# true where the two bytes of each register of a text are swapped
# byte_swapped_text = false
# what an installer should know
# quirks = ["switch Modbus on in its menu first"]
# raw values that mean "no value", by type; 64 bits and f32 in quotes
# invalid = {{ s16 = [0x7FFF], f32 = ["NaN"] }}

# How it is told from others. The entry named serial_number shows when another meter was put in its place.
# [[identify]]
# name = "device_code"
# function = 3
# address = 0x000B
# type = "u16"  # or "u32", or "str" with registers = its length
# values = {{ 0x0155 = "Model A" }}
# ranges = [{{ first = 400, last = 410, model = "Model B" }}]
# confidence = "medium"

# [[identify]]
# name = "model"
# function = 43  # Read Device Identification, which has no address
# contains = {{ "model c" = "Model C" }}  # in small letters

# [[identify]]
# name = "unit_address"
# function = 3
# address = 0x0006
# type = "u16"
# is_unit = true  # it holds the unit id that was asked

# [[identify]]
# name = "serial_number"
# function = 3
# address = 0x5000
# type = "str"
# registers = 7
# unit = 100  # only where another unit answers it
# note = "printed on the front as well"

# Addresses are those on the wire: a number like 40001 or 30001 in a document is address 0.
# Each value is raw * scale in its unit, and may have as well:
#   plus = [0x0014], minus = [0x0016]   registers that are added or taken off, from one request
#   scale_address = 0x0020              a signed register with a power of ten
#   values = {{ 0 = "right", 1 = "reversed" }}  instead of scale and unit, for what is chosen from a list
#   sign = "discharge_positive"         where this value counts another direction than the file
#   wraps_at = 100000000                raw value at which a counter begins again, if not at the end of its bits
#   period_s = 60                       seconds between reads; 0 for each sweep
#   confidence = "medium", note = "..."
# What can be read:
{measurands}
[registers]
active_power_w   = {{ address = 0x0000, function = 3, type = "s32", scale = 0.1, unit = "W" }}
voltage_l1_v     = {{ address = 0x0002, function = 3, type = "u16", scale = 0.1, unit = "V" }}
frequency_hz     = {{ address = 0x0003, function = 3, type = "u16", scale = 0.01, unit = "Hz" }}
energy_import_wh = {{ address = 0x0004, function = 3, type = "u32", scale = 0.01, unit = "kWh" }}
"""


def empty(name: str) -> str:
    """A map that can be used as it stands, with every key explained."""
    names = ", ".join(Measurand)
    measurands = textwrap.fill(names, _LINE_CHARACTERS_MAX, initial_indent="#   ", subsequent_indent="#   ")
    return _EMPTY.format(name=name, measurands=measurands)


def copied(text: str, name: str, source: str) -> str:
    """The map `text` of the profile `source` under another name; whether it is right is not known yet."""
    renamed = _KEY.sub(lambda _: f'key = "{name}"', text, count=1)
    unchecked = _CONFIDENCE.sub(lambda _: _UNCHECKED, renamed, count=1)
    return f"# Begun as a copy of {source}: compare every line with the maker's document.\n{unchecked}"
