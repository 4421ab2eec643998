"""The meter profiles by name: in folders of the installer, and those of the program. A shell: it reads files."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from firmware_bridge.errors import NotFoundError, SettingError
from firmware_bridge.map_file import MAP_CHARACTERS_MAX
from firmware_bridge.map_parser import parse_profile
from firmware_bridge.profile import Profile

_MAPS = resources.files("firmware_bridge") / "maps"
ENDING = ".toml"
# Below that a likeness is chance: "sdm630" is 0.6 of "eastron_sdm630".
_LIKENESS_MIN = 0.5
_LIKE_MAX = 3
# A character has four bytes at most.
_MAP_BYTES_MAX = 4 * MAP_CHARACTERS_MAX


def profile_names(folders: Iterable[Path] = ()) -> list[str]:
    """All known profiles, sorted.

    Raises:
        SettingError: a folder cannot be read.
    """
    return sorted({name for place in _places(folders) for name in _names_in(place)})


def load_profile(name: str, folders: Iterable[Path] = ()) -> Profile:
    """The profile `name`: from the first of `folders` that has it, else the one that comes with the program.

    Raises:
        NotFoundError: there is none of that name.
        SettingError: its file is wrong or cannot be read.
    """
    return parse_profile(map_text(name, folders), name)


def map_text(name: str, folders: Iterable[Path] = ()) -> str:
    """The text of the map `name`, as it stands.

    Raises:
        NotFoundError: there is none of that name.
        SettingError: it cannot be read.
    """
    places = list(_places(folders))
    for place in places:
        if name in _names_in(place):
            return read_map(place / f"{name}{ENDING}")
    known = sorted({one for place in places for one in _names_in(place)})
    raise NotFoundError("profile", repr(name), "is not a known meter", _remedy(name, known))


def read_map(file: Traversable) -> str:
    """The text of a map's file.

    Raises:
        SettingError: it cannot be read, or is too long to be a map.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAP_BYTES_MAX + 1)
        text = data[:_MAP_BYTES_MAX].decode("utf-8-sig")  # some editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingError("profile", str(file), f"cannot be read ({reason})", "name a readable TOML file") from error
    if len(data) > _MAP_BYTES_MAX:
        raise SettingError("profile", str(file), f"is larger than {_MAP_BYTES_MAX} bytes", "name a map of a meter")
    return text


def _places(folders: Iterable[Path]) -> Iterator[Traversable]:
    yield from folders
    yield _MAPS


def _names_in(place: Traversable) -> list[str]:
    try:
        return [file.name.removesuffix(ENDING) for file in place.iterdir() if file.name.endswith(ENDING)]
    except OSError as error:
        raise SettingError(
            "profiles", str(place), f"cannot be read ({error.strerror})", "name a folder with profiles"
        ) from error


def _remedy(name: str, known: Sequence[str]) -> str:
    """The names most like this one; all of them are more than anybody reads in one sentence."""
    small = name[:64].lower()
    like = [one for one in known if len(small) > 1 and small in one]
    like += [one for one in difflib.get_close_matches(small, known, _LIKE_MAX, _LIKENESS_MIN) if one not in like]
    more = f"the {len(known)} that `smartwatts-provision profile list` shows"
    return f"use one of: {', '.join(like[:_LIKE_MAX])}, or another of {more}" if like else f"use one of {more}"
