"""A meter profile: what one TOML file says of a meter model, as registers in SI units. Pure.

A meter is one file; adding one never needs Python. map_parser.py makes the profile and finds everything
that can be wrong in the file, before the first request.
"""

import msgspec

from firmware_bridge.map_file import MapFile, RegisterType, WordOrder
from firmware_bridge.measurand import Measurand


class Register(msgspec.Struct, frozen=True, kw_only=True):
    """Where a measurand lies in the meter and what makes an SI value of it.

    The value is `raw * numerator / denominator` in the unit of the measurand: whole numbers, because
    2301 / 10 is 230.1 and 2301 * 0.1 is not. `raw` is the register itself, with the registers at `plus`
    added and those at `minus` taken off, times ten to the power of the one at `scale_address`. `invalid`
    are raw values that mean "no value". In a SunSpec profile, addresses are offsets until `placed`.
    """

    measurand: Measurand
    function: int
    address: int
    type: RegisterType
    word_order: WordOrder
    numerator: int
    denominator: int
    invalid: tuple[float, ...] = ()
    plus: tuple[int, ...] = ()
    minus: tuple[int, ...] = ()
    scale_address: int | None = None
    # raw value -> value, for enumerations
    choices: tuple[tuple[int, int], ...] = ()
    # SI value at which a counter begins again at 0
    wraps_at: float | None = None
    # seconds between reads; 0 for each sweep
    period_s: float = 0.0

    @property
    def start(self) -> int:
        """The lowest address that the value needs."""
        return self.address if self._is_alone else min(place for place, _ in self.places)

    @property
    def end(self) -> int:
        """The address after the last register that the value needs."""
        return self.address + self.type.words if self._is_alone else max(sum(place) for place in self.places)

    @property
    def _is_alone(self) -> bool:
        """Whether it needs nothing besides itself: most are, and they are asked about often on a bad line."""
        return self.scale_address is None and not self.plus and not self.minus

    @property
    def places(self) -> list[tuple[int, int]]:
        """Address and count of everything the value needs, all from one request."""
        places = [(address, self.type.words) for address in (self.address, *self.plus, *self.minus)]
        return places if self.scale_address is None else [*places, (self.scale_address, 1)]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Which fields of a frame make up a measurand: `code` and `plus` less `minus`, scaled as in Register."""

    measurand: Measurand
    code: str
    unit: str
    numerator: int
    denominator: int
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    choices: tuple[tuple[str, int], ...] = ()


class Profile(msgspec.Struct, frozen=True):
    """A checked meter model: `registers` or `fields`, in the order of the file.

    No two registers overlap, each with all it needs fits one request.
    """

    name: str
    file: MapFile
    registers: tuple[Register, ...]
    fields: tuple[Field, ...] = ()


def placed(profile: Profile, base: int) -> Profile:
    """A SunSpec profile with its registers where they lie in this device: its model begins at `base`."""
    registers = tuple(
        msgspec.structs.replace(
            one,
            address=one.address + base,
            plus=tuple(address + base for address in one.plus),
            minus=tuple(address + base for address in one.minus),
            scale_address=None if one.scale_address is None else one.scale_address + base,
        )
        for one in profile.registers
    )
    return msgspec.structs.replace(profile, registers=registers)
