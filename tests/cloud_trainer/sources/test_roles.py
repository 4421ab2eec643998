import pytest

from cloud_trainer.sources.roles import SiteRoles, choose_roles, load_roles
from firmware_bridge.errors import SettingError


def chosen(*meters, given=None):
    found = choose_roles(meters, given)
    return found.grid, found.solar, found.load, [(one.check, one.severity) for one in found.findings]


ERROR, WARNING = [("roles", "error")], [("roles", "warning")]


@pytest.mark.parametrize(
    ("meters", "found"),
    [
        (["grid"], (("grid",), (), (), [])),
        (["Main-Meter", "pv_roof", "battery"], (("Main-Meter",), ("pv_roof",), (), [])),
        (["grid", "solar", "load"], (("grid",), ("solar",), (), [])),
        (["load", "inverter"], ((), ("inverter",), ("load",), [])),
        (["m1"], (("m1",), (), (), WARNING)),
        (["solar"], (("solar",), (), (), WARNING)),
        (["m1", "m2"], ((), (), (), ERROR)),
        (["grid-1", "grid-2"], (("grid-1", "grid-2"), (), (), ERROR)),
        (["grid", "pv-1", "pv-2"], (("grid",), ("pv-1", "pv-2"), (), ERROR)),
        (["migrid", "m2"], ((), (), (), ERROR)),
    ],
)
def test_names_say_where_meters_are_and_doubt_is_an_error(meters, found):
    assert chosen(*meters) == found


def test_what_somebody_said_holds():
    given = SiteRoles(grid=["m1", "m2"], solar=["m3"], load=["m4"])
    assert chosen("m1", "m2", "m3", "m4", "grid", given=given) == (("m1", "m2"), ("m3",), (), [])
    assert chosen("m1", given=SiteRoles(time_zone="UTC"))[0] == ("m1",)
    assert chosen("a", "b", given=SiteRoles(load=["b"]))[2] == ("b",)


def test_what_somebody_said_may_be_wrong():
    assert chosen("m1", given=SiteRoles(grid=["m9"]))[3] == ERROR
    assert chosen("m1", "m2", given=SiteRoles(solar=["m1"]))[3] == ERROR


FILE = """
[[site]]
name = "mill"
time_zone = "Africa/Lagos"
grid = ["m1"]
rated_power_w = 20000
[[site]]
name = "shop"
"""


def test_a_file_says_it_site_by_site(tmp_path):
    (tmp_path / "roles.toml").write_text(FILE)
    sites = load_roles(tmp_path / "roles.toml")
    assert list(sites) == ["mill", "shop"]
    mill = sites["mill"]
    assert (mill.time_zone, mill.grid, mill.rated_power_w) == ("Africa/Lagos", ["m1"], 20_000)
    assert (sites["shop"].grid, sites["shop"].time_zone) == ([], None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[site]]\nname = "mill"\ngird = []', "gird"),
        ("[[site]]\ngrid = []", "site[0].name"),
        ('[[site]]\nname = "mill"\ntime_zone = "Lagos"', "is not a known zone"),
        ('[[site]]\nname = "mill"\nrated_power_w = -5', "rated_power_w"),
        ('[[site]]\nname = "mill"\n[[site]]\nname = "mill"', "names a site twice"),
        ("x", "is not TOML"),
        ("", "site = (missing)"),
        ("#" * 5_000_000, "is larger than"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, says):
    path = tmp_path / "roles.toml"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        load_roles(path)
    assert says in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SettingError, match="cannot be read"):
        load_roles(tmp_path / "none.toml")
    (tmp_path / "roles.toml").write_bytes(b"\xff")
    with pytest.raises(SettingError, match="not UTF-8"):
        load_roles(tmp_path / "roles.toml")
