import msgspec
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.map_file import RegisterType
from firmware_bridge.poll_plan import plan
from firmware_bridge.profile import Profile, Register

BASE = load_profile("eastron_sdm630")
MAX_READ = st.integers(4, 20)


@st.composite
def profiles(draw) -> Profile:
    """Registers anywhere, of any size, of two functions, none overlapping, in any order."""
    registers = []
    for function in (3, 4):
        address = 0
        for hole, kind in draw(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(RegisterType)), max_size=8)):
            template = BASE.registers[0]
            registers.append(msgspec.structs.replace(template, function=function, address=address + hole, type=kind))
            address = registers[-1].end
    file = msgspec.structs.replace(BASE.file, max_read=draw(MAX_READ))
    return Profile("drawn", file, tuple(draw(st.permutations(registers))))


def place(register: Register) -> tuple[int, int]:
    return register.function, register.address


def fewest(registers: list[Register], count_max: int) -> int:
    """By trying every way to cut a sorted row of registers."""
    best = [0] + [len(registers)] * len(registers)
    for end in range(1, len(registers) + 1):
        for start in range(end):
            if registers[end - 1].end - registers[start].address <= count_max:
                best[end] = min(best[end], best[start] + 1)
    return best[-1]


@given(profiles())
def test_every_register_is_read_once_and_whole(profile: Profile):
    blocks = plan(profile)
    read = [register for block in blocks for register in block.registers]
    assert sorted(map(place, read)) == sorted(map(place, profile.registers))
    for block in blocks:
        for register in block.registers:
            assert register.function == block.function
            assert block.address <= register.address
            assert register.end <= block.address + block.count


@given(profiles())
def test_no_request_is_longer_than_the_meter_allows_or_than_needed(profile: Profile):
    for block in plan(profile):
        assert block.count <= profile.file.max_read
        assert block.address == block.registers[0].address
        assert block.address + block.count == block.registers[-1].end


@given(profiles())
def test_there_is_no_plan_with_fewer_requests(profile: Profile):
    rows = [sorted((r for r in profile.registers if r.function == function), key=place) for function in (3, 4)]
    assert len(plan(profile)) == sum(fewest(row, profile.file.max_read) for row in rows)


@given(profiles(), st.randoms())
def test_the_plan_does_not_depend_on_the_order_in_the_file(profile: Profile, random):
    registers = list(profile.registers)
    random.shuffle(registers)
    assert plan(msgspec.structs.replace(profile, registers=tuple(registers))) == plan(profile)


def test_known_meters_take_two_requests_each():
    assert {name: len(plan(load_profile(name))) for name in profile_names()} == dict.fromkeys(profile_names(), 2)
