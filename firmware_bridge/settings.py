"""What a settings file says, checked; and what is wrong with it, in words for whoever wrote it. Pure.

The words come from the types. A choice and a range speak for themselves; a text with a pattern, and
what may be of several types, carries `Meta(description="address of a line", examples=["tcp://..."])`
and is told as: is no <description>; write <example>.
"""

import json
import re
import reprlib
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from firmware_bridge.errors import SettingError

T = TypeVar("T")

# Our deepest file has three levels. What walks a tree may then recurse without a thought.
_DEPTH_MAX = 16
# One line of a terminal; addresses and names are shown whole.
_SHOWN_CHARACTERS_MAX = 100
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = _SHOWN_CHARACTERS_MAX
_SHOWN.maxlevel = 2


class Words(NamedTuple):
    """About a value that cannot be taken: what is wrong with it, and what can be written instead."""

    problem: str
    wanted: str

    @property
    def next_step(self) -> str:
        """What to do now."""
        return f"{'use' if self.wanted.startswith('one of') else 'write'} {self.wanted}"


def read_toml(text: str, field: str, file: str) -> dict[str, Any]:
    """The tree that `text` holds; `field` and `file` say in an error what was read.

    Raises:
        SettingError: not TOML, or nested deeper than any file of ours.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(field, file, f"is not TOML: {error}", "correct that line") from error
    except ValueError as error:  # the one that Python itself raises: an integer of 5,000 digits
        raise SettingError(field, file, "holds a number of thousands of digits", "correct it") from error
    except RecursionError as error:
        raise _too_deep(field, file) from error
    level: list[object] = [tree]
    for _ in range(_DEPTH_MAX):
        level = [below for one in level for below in _below(one)]
    if level:
        raise _too_deep(field, file)
    return tree


def convert(tree: dict[str, Any], kind: type[T], prefix: str = "") -> T:
    """`tree`, as `read_toml` gives it, as the struct `kind`; `prefix` stands before each field in errors.

    Raises:
        SettingError: an unknown or missing key, or a value that its type does not take.
    """
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise mistakes(tree, kind, prefix)[0] from error


def mistakes(tree: dict[str, Any], kind: type[Any], prefix: str = "") -> list[SettingError]:
    """All that is wrong with `tree` as the struct `kind`: unknown keys, and the first mistake in each setting."""
    strange = list(_strangers(tree, inspect.type_info(kind), prefix))
    found = [
        SettingError(at, shown(value), "is not a setting", "remove it or mind its spelling") for at, value in strange
    ]
    for one in msgspec.structs.fields(kind):
        name = one.encode_name
        if name not in tree:
            found += [_missing(prefix + name, name, inspect.type_info(one.type))] if one.required else []
        elif not any(at.startswith((f"{prefix}{name}.", f"{prefix}{name}[")) for at, _ in strange):
            try:
                msgspec.convert(tree[name], one.type)
            except msgspec.ValidationError as error:
                # all names left are ours: no key of a stranger can imitate a path
                found.append(_refusal(f".{name}{str(error).partition(' - at `$')[2]}", tree, kind, prefix))
    return found


def words_for(kind: inspect.Type, value: object, name: str) -> Words:
    """What to say about `value` where the setting `name` wants something of `kind`."""
    bare, description, examples = _bare(kind)
    words = _derived(bare, value, name)
    return Words(
        f"is no {description}" if description else words.problem,
        " or ".join(_toml(one) for one in examples) or words.wanted,
    )


def shown(value: object) -> str:
    """The value for an error message: one line of bounded length, near to how TOML writes it."""
    if isinstance(value, bool):
        return _toml(value)
    if isinstance(value, date):
        return value.isoformat()
    try:
        text = _SHOWN.repr(value)
    except ValueError:  # an integer too long for Python to print, from hexadecimal digits
        return "(a number of thousands of digits)"
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}…"


def _below(one: object) -> list[object]:
    if isinstance(one, dict):
        return list(one.values())
    return one if isinstance(one, list) else []


def _too_deep(field: str, file: str) -> SettingError:
    return SettingError(field, file, "is nested too deeply", "mind its brackets and dots")


def _strangers(value: object, kind: inspect.Type, at: str) -> Iterator[tuple[str, object]]:
    """Every key that is no setting, with its value."""
    bare = _bare(kind)[0]
    if isinstance(bare, inspect.ListType) and isinstance(value, list):
        for place, item in enumerate(value):
            yield from _strangers(item, bare.item_type, f"{at.removesuffix('.')}[{place}].")
    elif isinstance(bare, inspect.StructType) and isinstance(value, dict):
        known = {one.encode_name: one.type for one in bare.fields}
        for key, item in value.items():
            if key in known:
                yield from _strangers(item, known[key], f"{at}{key}.")
            else:
                yield at + (key or '""'), item


def _refusal(path: str, tree: dict[str, Any], root: type, prefix: str) -> SettingError:
    """What is wrong at `path`, which is written as msgspec does: `.meter[0].unit`."""
    name, value, kind = "", cast("object", tree), inspect.type_info(root)
    for step in re.findall(r"\w+|\.{3}", path):
        bare = _bare(kind)[0]
        if isinstance(bare, inspect.StructType) and isinstance(value, dict):
            name, value = step, value[step]
            kind = next(one.type for one in bare.fields if one.encode_name == step)
        elif isinstance(value, list):
            value, kind = value[int(step)], _item_type(bare, int(step))
        elif isinstance(bare, inspect.DictType):  # its keys are the writer's own; msgspec does not say which
            kind = bare.value_type
    field = prefix + path.strip(".`")
    bare = _bare(kind)[0]
    if isinstance(bare, inspect.StructType) and isinstance(value, dict):
        missing = next(one for one in bare.fields if one.required and one.encode_name not in value)
        return _missing(f"{field}.{missing.encode_name}", missing.encode_name, missing.type)
    words = words_for(kind, value, name)
    return SettingError(field, shown(value), words.problem, words.next_step)


def _missing(field: str, name: str, kind: inspect.Type) -> SettingError:
    wanted = words_for(kind, None, name).wanted
    next_step = f"add {wanted}" if wanted.startswith("it ") else f"add it: {wanted}"
    return SettingError(field, "(missing)", "is needed", next_step)


def _item_type(kind: inspect.Type, place: int) -> inspect.Type:
    if isinstance(kind, inspect.TupleType):
        return kind.item_types[place]
    assert isinstance(kind, inspect.ListType | inspect.VarTupleType), kind
    return kind.item_type


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str, list[object]]:
    """The type itself, its description and its examples; what may be absent is told as what is wanted."""
    about: dict[str, Any] = {}
    while True:
        if isinstance(kind, inspect.Metadata):
            about, kind = (kind.extra_json_schema or {}) | about, kind.type
        elif isinstance(kind, inspect.UnionType) and len(wanted := _present(kind)) == 1:
            kind = wanted[0]
        else:
            return kind, about.get("description", ""), about.get("examples", [])


def _present(kind: inspect.UnionType) -> list[inspect.Type]:
    return [one for one in kind.types if not isinstance(one, inspect.NoneType)]


def _derived(kind: inspect.Type, value: object, name: str) -> Words:
    """The words that need no description."""
    match kind:
        case inspect.IntType() | inspect.FloatType():
            return _number_words(kind, value)
        case inspect.LiteralType() | inspect.EnumType():
            choices = kind.values if isinstance(kind, inspect.LiteralType) else [one.value for one in kind.cls]
            return Words("is none of the choices", "one of: " + ", ".join(_toml(one) for one in choices))
        case inspect.StructType():
            return Words("is no section", f"[{name}] on a line of its own, and its settings below")
        case inspect.ListType() | inspect.VarTupleType() | inspect.TupleType() | inspect.DictType():
            return _collection_words(kind, value, name)
        case inspect.BoolType():
            return Words("is not a yes or no", "true or false")
        case inspect.StrType() if isinstance(value, str) and kind.max_length is not None:
            return Words(f"has {len(value)} characters", f"{kind.min_length or 0} to {kind.max_length} of them")
    return Words("is no text", "it in quotes")


def _number_words(kind: inspect.IntType | inspect.FloatType, value: object) -> Words:
    noun = "whole number" if isinstance(kind, inspect.IntType) else "number"
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and value == value  # nan is none
    if noun == "whole number" and isinstance(value, float):
        is_one = value.is_integer()
    wanted = f"a {noun} {_range(kind)}".strip() + (", without quotes" if isinstance(value, str) else "")
    return Words("is out of range" if is_one else f"is no {noun}", wanted)


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"from {_digits(kind.ge)} to {_digits(kind.le)}"
    bounds = (("of at least", kind.ge), ("above", kind.gt), ("up to", kind.le), ("below", kind.lt))
    return " and ".join(f"{word} {_digits(bound)}" for word, bound in bounds if bound is not None)


def _collection_words(kind: inspect.Type, value: object, name: str) -> Words:
    if isinstance(kind, inspect.DictType):
        return Words("is no table", '{ name = "value" }, in braces')
    problem = f"has {len(value)} entries" if isinstance(value, list) else "is no list"
    if isinstance(kind, inspect.TupleType):
        return Words(problem, f"{len(kind.item_types)} in brackets")
    assert isinstance(kind, inspect.ListType | inspect.VarTupleType), kind
    wanted = f"[[{name}]], in double brackets, for each" if _is_section(kind.item_type) else "it in brackets"
    return Words(problem, wanted if kind.max_length is None else f"{wanted}, at most {kind.max_length}")


def _is_section(kind: inspect.Type) -> bool:
    return isinstance(_bare(kind)[0], inspect.StructType)


def _digits(bound: float) -> str:
    return f"{int(bound):_}" if bound == int(bound) else f"{bound:g}"


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
