from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_bridge.config import BusConfig, MeterConfig
from firmware_bridge.errors import SettingError
from gateway.config import CONFIG_BYTES_MAX, PageConfig, RecordConfig, SiteConfig, load, load_file
from gateway.core.emissions import GridFactor, constant_factor

GOOD = """
[site]
gateway_id = "gw-1"
time_zone = "Africa/Lagos"

[[bus]]
name = "line"
url = "tcp://127.0.0.1:502"

[[meter]]
name = "grid"
bus = "line"
unit = 1
profile = "eastron_sdm630"
role = "grid"

[[meter]]
name = "solar"
bus = "line"
unit = 2
profile = "eastron_sdm630"
role = "solar"
"""
SYNC = '\n[sync]\nurl = "http://127.0.0.1:8080"\n'
UPDATE = '\n[update]\nurl = "https://models.example/repository/"\nroot = "/etc/smartwatts/root.json"\n'


def refusal(text: str) -> SettingError:
    with pytest.raises(SettingError) as caught:
        load(text)
    return caught.value


def loads_or_refuses(text: str) -> None:
    try:
        load(text)
    except SettingError as error:
        refused = error
    else:
        return
    assert refused.field
    assert refused.next_step


def test_what_is_not_given_has_a_default():
    config = load(GOOD)
    assert config.site == SiteConfig("gw-1", "Africa/Lagos")
    assert config.buses == [BusConfig("line", "tcp://127.0.0.1:502")]
    assert config.meters[1] == MeterConfig("solar", "line", 2, "eastron_sdm630", "solar")
    assert config.record == RecordConfig(1, 60)
    assert config.page == PageConfig("127.0.0.1", 8480)
    assert (config.sync, config.update, config.emissions, config.clock) == (None, None, None, None)


def test_every_section_can_be_given():
    config = load(
        GOOD
        + SYNC
        + UPDATE
        + '[record]\npoll_period_s = 60\nrecording_period_s = 300\n[store]\nfolder = "data"\n'
        + '[model]\ndeadline_s = 2\n[page]\nport = 0\n[clock]\norigin = "data/clock"\n'
        + '[emissions]\nsource = "IEA 2024"\nkg_per_kwh = [0.4]\n'
    )
    assert config.emissions is not None
    assert config.emissions.grid_factor == constant_factor(0.4, "IEA 2024")
    assert config.sync is not None
    assert config.sync.period_s == 300
    assert config.update is not None
    assert config.update.channel == "stable"
    assert config.record == RecordConfig(60, 300)


def test_a_grid_factor_can_have_a_value_for_each_hour():
    hours = [0.1 + hour / 100 for hour in range(24)]
    config = load(f'{GOOD}[emissions]\nsource = "operator"\nkg_per_kwh = {hours}\n')
    assert config.emissions is not None
    assert config.emissions.grid_factor == GridFactor(tuple(hours), "operator")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ('source = "me"', "kg_per_kwh"),
        ('source = ""\nkg_per_kwh = [0.4]', "source"),
        ('source = "g per kWh"\nkg_per_kwh = [400]', "kg_per_kwh"),
        ('source = "me"\nkg_per_kwh = [-0.1]', "kg_per_kwh"),
        (f'source = "me"\nkg_per_kwh = {[0.4] * 23}', "kg_per_kwh"),
        (f'source = "me"\nkg_per_kwh = {[0.4] * 23 + [4.0]}', "kg_per_kwh"),
        ("kg_per_kwh = [0.4]", "source"),
    ],
)
def test_a_grid_factor_that_cannot_be_is_refused(section: str, says: str):
    assert says in str(refusal(f"{GOOD}[emissions]\n{section}\n"))


def after(section: str, line: str) -> str:
    return GOOD.replace(section, f"{section}\n{line}", 1)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("", "site", "(missing)"),
        ("[site]\n", "site.gateway_id", "(missing)"),
        ("site = 5", "site", "5"),
        ("= 1", "config", "text"),
        ("a = 1\na = 2", "config", "text"),
        ("a = " + "[" * 100_000, "config", "text"),
        ("a = " + "[" * 2_000 + "]" * 2_000, "config", "text"),
        ("a = " + "1" * 5_000, "config", "text"),
        (GOOD.replace("gw-1", "GW 1"), "site.gateway_id", "'GW 1'"),
        (GOOD.replace("gw-1", r"gw-1\n"), "site.gateway_id", r"'gw-1\n'"),
        (GOOD.replace("gw-1", "g" * 64), "site.gateway_id", repr("g" * 64)),
        (GOOD.replace("Africa/Lagos", "Africa/Atlantis"), "site.time_zone", "'Africa/Atlantis'"),
        (GOOD.replace("Africa/Lagos", "Africa"), "site.time_zone", "'Africa'"),
        (GOOD.replace("Africa/Lagos", "../../etc/passwd"), "site.time_zone", "'../../etc/passwd'"),
        (GOOD.replace("Africa/Lagos", ""), "site.time_zone", "''"),
        (GOOD.replace("Africa/Lagos", r"a\u0000b"), "site.time_zone", r"'a\x00b'"),
        (after("[site]", "nominal_voltage_v = 24"), "site.nominal_voltage_v", "24"),
        (after("[site]", "nominal_voltage_v = nan"), "site.nominal_voltage_v", "nan"),
        (after("[site]", "colour = 'red'"), "site.colour", "'red'"),
        ("colour = 'red'\n" + GOOD, "colour", "'red'"),
        (GOOD.replace("[[bus]]", "[bus]"), "bus", None),
        (GOOD.replace("tcp://127.0.0.1:502", "127.0.0.1"), "bus[0].url", "'127.0.0.1'"),
        (GOOD.replace(":502", r":502\n"), "bus[0].url", None),
        (after("[[bus]]", "timeout_s = 0"), "bus[0].timeout_s", "0"),
        (GOOD.replace("unit = 2", "unit = 0"), "meter[1].unit", "0"),
        (GOOD.replace("unit = 2", "unit = 248"), "meter[1].unit", "248"),
        (GOOD.replace("unit = 2", "unit = 99999999999999999999999"), "meter[1].unit", "99999999999999999999999"),
        (GOOD.replace("unit = 2", "unit = '2'"), "meter[1].unit", "'2'"),
        (GOOD.replace("unit = 2", "unit = true"), "meter[1].unit", "true"),
        (GOOD.replace("unit = 2", "unit = 2024-01-01"), "meter[1].unit", "2024-01-01"),
        (GOOD.replace("unit = 2\n", ""), "meter[1].unit", "(missing)"),
        (GOOD.replace('role = "solar"', 'role = "sun"'), "meter[1].role", "'sun'"),
        (after("[[meter]]", "rated_power_w = -1"), "meter[0].rated_power_w", "-1"),
        (after("[[meter]]", "rated_power_w = inf"), "meter[0].rated_power_w", "inf"),
        (after("[[meter]]", "rated_power_w = nan"), "meter[0].rated_power_w", "nan"),
        (GOOD + "[store]\nfolder = ''", "store.folder", "''"),
        (GOOD + '[store]\nfolder = "a\\u0000b"', "store.folder", r"'a\x00b'"),
        (GOOD + "[page]\nport = 65536", "page.port", "65536"),
        (GOOD + "[page]\nport = -1", "page.port", "-1"),
        (GOOD + "[page]\nhost = ''", "page.host", "''"),
        (GOOD + "[model]\ndeadline_s = 0", "model.deadline_s", "0"),
        (GOOD + "[model]\ndeadline_s = inf", "model.deadline_s", "inf"),
        (GOOD + SYNC + "period_s = inf", "sync.period_s", "inf"),
        (GOOD + SYNC + "period_s = 1e300", "sync.period_s", "1e+300"),
        (GOOD + SYNC + "timeout_s = 0.0", "sync.timeout_s", "0.0"),
        (GOOD + SYNC.replace("http:", "ftp:"), "sync.url", "'ftp://127.0.0.1:8080'"),
        (GOOD + SYNC.replace("8080", r"8080\n"), "sync.url", None),
        (GOOD + SYNC.replace("8080", "80800"), "sync.url", "'http://127.0.0.1:80800'"),
        (GOOD + SYNC.replace("8080", "port"), "sync.url", "'http://127.0.0.1:port'"),
        (GOOD + SYNC.replace("127.0.0.1", ""), "sync.url", "'http://:8080'"),
        (GOOD + SYNC.replace("127.0.0.1", "["), "sync.url", "'http://[:8080'"),
        (GOOD + SYNC.replace("127.0.0.1", "a" * 64), "sync.url", None),
        (GOOD + UPDATE.replace("models.example", "models..example"), "update.url", None),
        (GOOD + UPDATE + "channel = 'Stable'", "update.channel", "'Stable'"),
        (GOOD + UPDATE.replace("/etc/smartwatts/root.json", ""), "update.root", "''"),
        (GOOD + "[clock]\norigin = ''", "clock.origin", "''"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_the_next_step(text: str, field: str, value: str | None):
    error = refusal(text)
    assert error.field == field
    assert value is None or error.value == value
    assert error.problem
    assert error.next_step
    assert str(error) == f"{error.field} = {error.value}: {error.problem}; {error.next_step}."
    assert "\n" not in error.value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            GOOD.replace("tcp://127.0.0.1:502", "127.0.0.1:15020"),
            "bus[0].url = '127.0.0.1:15020': is no address of a line; "
            'write "tcp://192.168.1.20:502" or "serial:///dev/serial/by-id/usb-adapter-port0".',
        ),
        (
            GOOD.replace("gw-1", "Shop Ikeja"),
            "site.gateway_id = 'Shop Ikeja': is no name of small letters, digits and \"-\", at most 63 of them; "
            'write "shop-ikeja-01".',
        ),
        (
            GOOD.replace('name = "grid"', 'name = "Main Meter"'),
            'meter[0].name = \'Main Meter\': is no name of small letters, digits, "-" and "_", at most 32 of them; '
            'write "main-2".',
        ),
        (
            GOOD.replace('role = "grid"', 'role = "gird"'),
            'meter[0].role = \'gird\': is none of the choices; use one of: "grid", "load", "other", "solar".',
        ),
        (
            GOOD.replace("unit = 2", "unit = 300"),
            "meter[1].unit = 300: is out of range; write a whole number from 1 to 247.",
        ),
        (
            GOOD + SYNC.replace("http:", "ftp:"),
            "sync.url = 'ftp://127.0.0.1:8080': is no address of a server; "
            'write "https://companion.example.org" or "http://192.168.1.10:8470".',
        ),
        (GOOD + "[clock]\norigin = ''", "clock.origin = '': is no path of a file; write \"/srv/site/clock\"."),
    ],
)
def test_a_mistake_is_told_in_plain_words(text: str, says: str):
    assert str(refusal(text)) == says


def test_keys_nested_without_end_and_numbers_too_long_to_print_are_refused():
    assert refusal("a" + ".a" * 5_000 + " = 1").field == "config"
    assert refusal(GOOD.replace("unit = 2", "unit = 0x" + "f" * 6_000)).field == "meter[1].unit"


def test_two_of_one_name_and_a_bus_nobody_knows_are_refused():
    error = refusal(GOOD.replace('name = "solar"', 'name = "grid"'))
    assert (error.field, error.value) == ("meter.name", "'grid'")
    error = refusal(GOOD + '[[bus]]\nname = "line"\nurl = "tcp://10.0.0.9:502"\n')
    assert (error.field, error.value) == ("bus.name", "'line'")
    error = refusal(GOOD.replace('bus = "line"\nunit = 2', 'bus = "lime"\nunit = 2'))
    assert (error.field, error.value, error.next_step) == ("meter.solar.bus", "'lime'", "use one of: line")


def test_a_unit_may_be_used_once_on_each_bus():
    twice = GOOD.replace("unit = 2", "unit = 1")
    assert (refusal(twice).field, refusal(twice).value) == ("meter.unit", "'line unit 1'")
    second = '[[bus]]\nname = "second"\nurl = "tcp://10.0.0.9:502"\n'
    assert load(twice.replace('bus = "line"\nunit = 1', 'bus = "second"\nunit = 1', 1) + second).meters[0].unit == 1


def periods(poll_s: int, recording_s: int) -> str:
    return GOOD + f"[record]\npoll_period_s = {poll_s}\nrecording_period_s = {recording_s}\n"


@pytest.mark.parametrize(("poll_s", "recording_s"), [(1, 1), (1, 60), (60, 60), (45, 90), (900, 900)])
def test_periods_that_divide_each_other_and_the_forecast_step_are_taken(poll_s: int, recording_s: int):
    assert load(periods(poll_s, recording_s)).record == RecordConfig(poll_s, recording_s)


@pytest.mark.parametrize(
    ("poll_s", "recording_s", "field", "next_step"),
    [
        (7, 70, "record.poll_period_s", "use one of: 1, 2, 3, 4, 5, 6, 9, 10, 12, 15, 18, 20, 25, 30"),
        (60, 90, "record.recording_period_s", "use one of: 60, 180, 300, 900"),
        (60, 30, "record.recording_period_s", "use one of: 60, 180, 300, 900"),
        (45, 135, "record.recording_period_s", "use one of: 45, 90, 180, 225, 450, 900"),
        (1, 7, "record.recording_period_s", "use one of: 1, 2, 3, 4, 5, 6, 9, 10, 12, 15, 18, 20, 25, 30"),
        (0, 60, "record.poll_period_s", "write a whole number from 1 to 900"),
        (1, 901, "record.recording_period_s", "write a whole number from 1 to 900"),
    ],
)
def test_periods_that_do_not_fit_are_refused_with_those_that_would(
    poll_s: int, recording_s: int, field: str, next_step: str
):
    error = refusal(periods(poll_s, recording_s))
    assert error.field == field
    assert error.next_step.startswith(next_step)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 900), st.integers(1, 900))
def test_what_is_offered_instead_of_a_period_works(poll_s: int, recording_s: int):
    try:
        load(periods(poll_s, recording_s))
    except SettingError as error:
        offered = [int(one) for one in error.next_step.removeprefix("use one of: ").split(",")]
        for period_s in offered:
            is_poll = error.field == "record.poll_period_s"
            load(periods(period_s, 900) if is_poll else periods(poll_s, period_s))


PIECES = st.sampled_from(
    [*GOOD.splitlines(), *SYNC.splitlines(), *UPDATE.splitlines(), "[record]", "[page]", "unit = -1", "[x.y]", "[[["]
)
KEYS = st.sampled_from(["site", "bus", "meter", "unit", "name", '"a.b"', '"`"', '"x - at `y"', '""', "url"])
VALUES = st.sampled_from(
    ["1", "-1", "inf", "nan", "true", '""', '"x"', r'"\u0000"', "[]", "{}", "[[1]]", "1979-05-27", "0x" + "f" * 40]
)
LINES = PIECES | st.builds("{} = {}".format, KEYS, VALUES) | st.text(max_size=20)


@settings(deadline=None, max_examples=100)
@given(st.lists(LINES, max_size=25).map("\n".join))
@example("x=" + "{a=" * 3_000)
def test_any_text_is_a_configuration_or_a_setting_error(text: str):
    loads_or_refuses(text)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(GOOD.splitlines())), LINES)
def test_any_line_added_to_a_good_file_is_taken_or_a_setting_error(place: int, line: str):
    lines = (GOOD + SYNC + UPDATE).splitlines()
    lines.insert(place, line)
    loads_or_refuses("\n".join(lines))


def test_a_file_is_read_with_and_without_the_mark_that_windows_editors_write(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text(GOOD, encoding)
        assert load_file(path) == load(GOOD)


def test_a_folder_with_profiles_is_seen_from_the_file(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    path.write_text('profiles = "mine"\n' + GOOD)
    assert load_file(path).profile_folders == (tmp_path / "mine",)
    path.write_text('profiles = "/srv/mine"\n' + GOOD)
    assert load_file(path).profile_folders == (Path("/srv/mine"),)
    assert load(GOOD).profile_folders == ()


def test_a_file_that_is_not_toml_is_named(tmp_path: Path):
    (tmp_path / "gateway.toml").write_text("[site")
    with pytest.raises(SettingError, match=r"config = .*gateway\.toml: is not TOML: .*at"):
        load_file(tmp_path / "gateway.toml")


def test_a_file_larger_than_any_configuration_is_refused(tmp_path: Path):
    (tmp_path / "huge").write_bytes(b"#" * (CONFIG_BYTES_MAX + 1))
    with pytest.raises(SettingError, match="is larger than 1048576 bytes"):
        load_file(tmp_path / "huge")


def test_a_file_that_cannot_be_read_is_a_setting_error(tmp_path: Path):
    (tmp_path / "latin.toml").write_bytes("# für".encode("latin-1"))
    for name, reason in (("none.toml", "No such file"), (".", "Is a directory"), ("latin.toml", "not UTF-8")):
        with pytest.raises(SettingError, match=reason) as caught:
            load_file(tmp_path / name)
        assert caught.value.field == "config"
        assert caught.value.value == str(tmp_path / name)
