"""Our SunSpec profiles beside the published definitions of the models, which come with pysunspec2."""

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.map_file import RegisterEntry, RegisterType
from firmware_bridge.settings import convert

MODELS = resources.files("sunspec2") / "models" / "json"
PROFILES = ["sunspec_inverter", "sunspec_inverter_float", "sunspec_meter", "sunspec_meter_float"]
COMMON_MODEL = 1
# Where the common model begins when SunS stands at 40000.
COMMON_ADDRESS = 40_002

# measurand -> names of the point in the inverters' and the meters' models
POINTS = {
    "current_a": "A",
    "current_l1_a": "AphA",
    "current_l2_a": "AphB",
    "current_l3_a": "AphC",
    "voltage_v": "PhV",
    "voltage_l1_v": "PhVphA",
    "voltage_l2_v": "PhVphB",
    "voltage_l3_v": "PhVphC",
    "active_power_w": "W",
    "active_power_l1_w": "WphA",
    "active_power_l2_w": "WphB",
    "active_power_l3_w": "WphC",
    "frequency_hz": "Hz",
    "apparent_power_va": "VA",
    "reactive_power_var": "VAr",
    "power_factor": "PF",
    "power_factor_l1": "PFphA",
    "energy_export_wh": "WH",
    "dc_power_w": "DCW",
    "temperature_c": "TmpCab",
    "operating_state": "St",
}
METER_POINTS = POINTS | {
    "reactive_power_var": "VAR",
    "energy_export_wh": "TotWhExp",
    "energy_export_l1_wh": "TotWhExpPhA",
    "energy_import_wh": "TotWhImp",
    "energy_import_l1_wh": "TotWhImpPhA",
    "energy_import_l2_wh": "TotWhImpPhB",
    "energy_import_l3_wh": "TotWhImpPhC",
}
TYPES = {"uint16": "u16", "int16": "s16", "acc32": "acc32", "float32": "f32", "enum16": "u16"}
UNITS = {"Pct": "%", "C": "°C"}
# Unimplemented values, SunSpec Device Information Model Specification V1.2, table of point types.
UNIMPLEMENTED = {"u16": 0xFFFF, "s16": -0x8000, "acc32": 0}
STATES = {"STARTING": "starting", "MPPT": "running", "SHUTTING_DOWN": "stopping"}


class Point(NamedTuple):
    """One point of a published model, with its offset from the model's id."""

    offset: int
    definition: dict[str, Any]


@cache
def points(model: int) -> dict[str, Point]:
    group = json.loads((MODELS / f"model_{model}.json").read_text())["group"]
    there, offset = {}, 0
    for point in group["points"]:
        there[point["name"]] = Point(offset, point)
        offset += point.get("size", 1)
    return there


@cache
def entries(name: str) -> dict[str, RegisterEntry]:
    registers = load_profile(name).file.registers
    return {key: convert(raw, RegisterEntry) for key, raw in registers.items()}


CASES = [
    (name, model, measurand)
    for name in PROFILES
    for model in load_profile(name).file.sunspec.models
    for measurand in entries(name)
]


def test_all_models_of_meters_and_inverters_are_there():
    models = {model for name in PROFILES for model in load_profile(name).file.sunspec.models}
    assert models == {101, 102, 103, 111, 112, 113, 201, 202, 203, 204, 211, 212, 213, 214}


@pytest.mark.parametrize(("name", "model", "measurand"), CASES)
def test_every_register_lies_where_the_published_model_has_it(name: str, model: int, measurand: str):
    entry, there = entries(name)[measurand], points(model)
    offset, definition = there[(METER_POINTS if "meter" in name else POINTS)[measurand]]
    assert entry.address == offset
    assert entry.function == 3
    assert entry.type == TYPES[definition["type"]]
    if entry.values:
        return
    assert entry.scale == 1
    assert entry.unit == UNITS.get(definition["units"], definition["units"])
    if "sf" in definition:
        assert there[definition["sf"]].definition["type"] == "sunssf"
        assert entry.scale_address == there[definition["sf"]].offset
    else:
        assert entry.scale_address is None


@pytest.mark.parametrize("name", PROFILES[:2])
def test_every_published_state_is_one_of_ours(name: str):
    values = entries(name)["operating_state"].values
    for model in load_profile(name).file.sunspec.models:
        for symbol in points(model)["St"].definition["symbols"]:
            state = symbol["name"].removeprefix("gg")  # so in model 111
            assert values[str(symbol["value"])] == STATES.get(state, state.lower())


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_not_implemented_is_missing(name: str):
    for register in load_profile(name).registers:
        if register.type is not RegisterType.F32 and not register.choices:
            assert register.invalid == (UNIMPLEMENTED[register.type],)


@pytest.mark.parametrize("name", PROFILES)
def test_the_identity_lies_in_the_common_model(name: str):
    common = points(COMMON_MODEL)
    published = {"manufacturer": "Mn", "model": "Md", "version": "Vr", "serial_number": "SN"}
    identities = {one.name: one for one in load_profile(name).file.identify}
    assert set(identities) == set(published)
    for key, identity in identities.items():
        offset, definition = common[published[key]]
        assert (identity.address, identity.registers) == (COMMON_ADDRESS + offset, definition["size"])
