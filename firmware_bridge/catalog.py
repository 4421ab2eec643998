"""The meter profiles that come with the program, by name. A shell: it reads files."""

from importlib import resources

from firmware_bridge.errors import SettingError
from firmware_bridge.map_parser import parse_profile
from firmware_bridge.profile import Profile

_MAPS = resources.files("firmware_bridge") / "maps"
_ENDING = ".toml"


def profile_names() -> list[str]:
    """All known profiles, sorted."""
    return sorted(file.name.removesuffix(_ENDING) for file in _MAPS.iterdir() if file.name.endswith(_ENDING))


def load_profile(name: str) -> Profile:
    """The profile `name`.

    Raises:
        SettingError: there is none of that name, or its file is wrong.
    """
    known = profile_names()
    if name not in known:
        raise SettingError("profile", repr(name), "is not a known meter", f"use one of: {', '.join(known)}")
    return parse_profile((_MAPS / f"{name}{_ENDING}").read_text(encoding="utf-8"), name)
