"""Settings files in words: no mistake is told in the words of a library, and no field lacks its own."""

from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, inspect

from firmware_bridge.errors import SettingError
from firmware_bridge.settings import convert, mistakes, read_toml, shown, words_for
from firmware_bridge.simulator.replay_map import ReplayMap
from firmware_bridge.simulator.scenario import Scenario
from gateway.config import Config


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Door(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-z]+$", description="name of a door", examples=["front"])]
    width_mm: Annotated[int, Meta(ge=600, le=2_400)] = 900
    weight_kg: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    steps: Annotated[int, Meta(ge=1)] | None = None
    side: Literal["left", "right"] = "left"
    colour: Colour = Colour.RED
    remark: str = ""
    opens: Annotated[str | float, Meta(description="time of day", examples=["08:00", 28_800])] = "08:00"
    is_locked: bool = False
    label: Annotated[str, Meta(min_length=1, max_length=9)] = "x"
    hinges_mm: list[tuple[Annotated[int, Meta(ge=0)], int]] = []
    keys: tuple[int, ...] = ()
    paints: dict[str, Annotated[str, Meta(min_length=1, max_length=9)]] = {}


class House(msgspec.Struct, forbid_unknown_fields=True, rename={"doors": "door"}):
    doors: Annotated[list[Door], Meta(min_length=1, max_length=3)]
    front: Door | None = None


DOOR = '[[door]]\nname = "front"\n'


def read(text: str, prefix: str = "") -> House:
    return convert(read_toml(text, "house", "house.toml"), House, prefix)


def refusal(text: str, prefix: str = "") -> str:
    with pytest.raises(SettingError) as caught:
        read(text, prefix)
    return str(caught.value)


def test_what_fits_is_taken():
    assert read(DOOR).doors[0].name == "front"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "door = (missing): is needed; add it: [[door]], in double brackets, for each, at most 3."),
        ("door = []", "door = []: has 0 entries; write [[door]], in double brackets, for each, at most 3."),
        (DOOR * 4, "has 4 entries; write [[door]], in double brackets, for each, at most 3."),
        ("[door]", "door = {}: is no list; write [[door]], in double brackets, for each, at most 3."),
        ("[[door]]", 'door[0].name = (missing): is needed; add it: "front".'),
        ('[[door]]\nname = "Front"', "door[0].name = 'Front': is no name of a door; write \"front\"."),
        ("[[door]]\nname = 5", 'door[0].name = 5: is no name of a door; write "front".'),
        (DOOR + "width_mm = 5", "door[0].width_mm = 5: is out of range; write a whole number from 600 to 2_400."),
        (DOOR + "width_mm = 700.5", "door[0].width_mm = 700.5: is no whole number; write a whole number from 600 to"),
        (DOOR + "width_mm = true", "door[0].width_mm = true: is no whole number; write a whole number from 600 to"),
        (DOOR + "width_mm = '700'", "is no whole number; write a whole number from 600 to 2_400, without quotes."),
        (DOOR + "width_mm = 2026-01-05", "door[0].width_mm = 2026-01-05: is no whole number; write"),
        (DOOR + "width_mm = 1" + "0" * 70, "is out of range"),
        (DOOR + "width_mm = 0x" + "f" * 6_000, "door[0].width_mm = (a number of thousands of digits): is out of"),
        (DOOR + "weight_kg = 0", "weight_kg = 0: is out of range; write a number above 0 and up to 1_000_000."),
        (DOOR + "weight_kg = nan", "weight_kg = nan: is no number; write a number above 0 and up to 1_000_000."),
        (DOOR + "steps = 0", "door[0].steps = 0: is out of range; write a whole number of at least 1."),
        (DOOR + 'side = "lift"', 'door[0].side = \'lift\': is none of the choices; use one of: "left", "right".'),
        (DOOR + "colour = 3", 'door[0].colour = 3: is none of the choices; use one of: "red", "blue".'),
        (DOOR + "remark = 3", "door[0].remark = 3: is no text; write it in quotes."),
        (DOOR + "opens = []", 'door[0].opens = []: is no time of day; write "08:00" or 28800.'),
        (DOOR + "[front]", 'front.name = (missing): is needed; add it: "front".'),
        (
            "front = 1\n" + DOOR,
            "front = 1: is no section; write [front] on a line of its own, and its settings below.",
        ),
        (DOOR + "is_locked = 1", "is_locked = 1: is not a yes or no; write true or false."),
        (DOOR + 'label = ""', "label = '': has 0 characters; write 1 to 9 of them."),
        (DOOR + "hinges_mm = [[1, 2], [1]]", "hinges_mm[1] = [1]: has 1 entries; write 2 in brackets."),
        (
            DOOR + "hinges_mm = [[-1, 2]]",
            "hinges_mm[0][0] = -1: is out of range; write a whole number of at least 0.",
        ),
        (DOOR + "keys = [1, 'a']", "keys[1] = 'a': is no whole number; write a whole number, without quotes."),
        (DOOR + "keys = 1", "keys = 1: is no list; write it in brackets."),
        (DOOR + "paints = 1", 'paints = 1: is no table; write { name = "value" }, in braces.'),
        (DOOR + "paints = { a = 1 }", "paints[...] = {'a': 1}: is no text; write it in quotes."),
        (DOOR + 'nmae = "x"', "door[0].nmae = 'x': is not a setting; remove it or mind its spelling."),
        ('"" = 1', '"" = 1: is not a setting; remove it or mind its spelling.'),
        (DOOR + '"x - at `$.front" = 1', "door[0].x - at `$.front = 1: is not a setting;"),
    ],
)
def test_every_kind_of_mistake_has_plain_words_and_a_next_step(text: str, says: str):
    assert says in refusal(text)


def test_all_mistakes_are_told_one_for_each_setting():
    tree = read_toml('dor = 1\n[[door]]\nname = "F"\n[front]\nnmae = 2\n', "house", "house.toml")
    assert [str(one) for one in mistakes(tree, House)] == [
        "dor = 1: is not a setting; remove it or mind its spelling.",
        "front.nmae = 2: is not a setting; remove it or mind its spelling.",
        "door[0].name = 'F': is no name of a door; write \"front\".",
    ]
    assert mistakes(read_toml(DOOR, "house", "house.toml"), House) == []


def test_a_prefix_stands_before_every_field():
    assert refusal("", "my.toml: ").startswith("my.toml: door = ")
    assert refusal("door = 1", "house.").startswith("house.door = 1")
    assert refusal("dor = 1", "house.").startswith("house.dor = 1")
    assert refusal(DOOR + "steps = 0", "my.toml: ").startswith("my.toml: door[0].steps = 0")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = \nb = 1", "house = house.toml: is not TOML: Invalid value (at line 1, column 5)"),
        ("a = " + "1" * 5_000, "house = house.toml: holds a number of thousands of digits"),
        ("a = " + "[" * 100_000, "house = house.toml: is nested too deeply"),
        ("a = " + "[" * 50 + "]" * 50, "house = house.toml: is nested too deeply"),
        ("x=" + "{a=" * 3_000, "house = house.toml: is nested too deeply"),
        ("a" + ".a" * 5_000 + " = 1", "house = house.toml: is nested too deeply"),
    ],
)
def test_what_is_not_toml_names_the_file(text: str, says: str):
    assert says in refusal(text)


@pytest.mark.parametrize(
    "value", ["x" * 1_000, "a\nb", [["x" * 90] * 90] * 90, {"a": {"b": {"c": 1}}}, 10**100, float("inf"), object()]
)
def test_a_value_is_shown_on_one_line_of_bounded_length(value: object):
    assert "\n" not in shown(value)
    assert len(shown(value)) <= 101


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "door",
                        "front",
                        "name",
                        "steps",
                        "opens",
                        "keys",
                        "paints",
                        "hinges_mm",
                        "x - at `$.front",
                        "`",
                        "",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_any_tree_is_a_house_or_a_setting_error(tree: Any):
    with suppress(SettingError):
        convert({"door": tree, "front": tree}, House)


def fields(kind: inspect.Type, at: str) -> Iterator[tuple[str, inspect.Type]]:
    """Every setting below `kind`, by its name."""
    match kind:
        case inspect.Metadata():
            yield from fields(kind.type, at)
        case inspect.UnionType():
            for one in kind.types:
                yield from fields(one, at)
        case inspect.ListType():
            yield from fields(kind.item_type, at)
        case inspect.StructType():
            for one in kind.fields:
                yield f"{at}.{one.encode_name}", one.type
                yield from fields(one.type, f"{at}.{one.encode_name}")


ROOTS = {root.__name__: root for root in (Config, Scenario, ReplayMap)}
SETTINGS = dict(pair for name, root in ROOTS.items() for pair in fields(inspect.type_info(root), name))


def metadata(kind: inspect.Type) -> dict[str, Any]:
    """Description and examples of a setting, given or not."""
    if isinstance(kind, inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind.extra_json_schema or {} if isinstance(kind, inspect.Metadata) else {}


def bare(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.Metadata):
        return bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [leaf for one in kind.types for leaf in bare(one) if not isinstance(one, inspect.NoneType)]
    return [kind]


def cannot_speak_for_itself(kind: inspect.Type) -> bool:
    first, *others = bare(kind)
    return bool(others) or (isinstance(first, inspect.StrType) and first.pattern is not None)


def test_the_settings_of_all_three_files_are_looked_at():
    assert len(SETTINGS) > 60
    assert {"Config.meter.unit", "Scenario.fault.at", "ReplayMap.value.unit"} <= set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_words(name: str):
    kind = SETTINGS[name]
    known = (
        inspect.StrType,
        inspect.IntType,
        inspect.FloatType,
        inspect.LiteralType,
        inspect.EnumType,
        inspect.BoolType,
    )
    assert all(isinstance(one, (*known, inspect.StructType, inspect.ListType)) for one in bare(kind))
    words = words_for(kind, object(), name.rpartition(".")[2])
    assert words.problem.startswith("is no")
    assert words.wanted
    if cannot_speak_for_itself(kind):
        assert metadata(kind).get("description"), "what cannot speak for itself needs Meta(description=...)"
        assert metadata(kind).get("examples"), "what cannot speak for itself needs Meta(examples=[...])"


def struct_of(owner: str) -> type[msgspec.Struct]:
    root, *names = owner.split(".")
    kind: Any = ROOTS[root]
    for name in names:
        found = bare(next(one.type for one in inspect.type_info(kind).fields if one.encode_name == name))[0]
        kind = (bare(found.item_type)[0] if isinstance(found, inspect.ListType) else found).cls
    return kind


@pytest.mark.parametrize("name", [name for name, kind in SETTINGS.items() if metadata(kind).get("examples")])
def test_every_example_would_be_taken(name: str):
    owner, _, key = name.rpartition(".")
    struct = struct_of(owner)
    hint = msgspec.structs.fields(struct)[[one.encode_name for one in msgspec.structs.fields(struct)].index(key)].type
    for one in metadata(SETTINGS[name])["examples"]:
        assert msgspec.convert(one, hint) == one
