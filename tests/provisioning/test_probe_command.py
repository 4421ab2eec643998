import os

import msgspec
import pytest

from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.errors import Exit, NotFoundError, SettingError
from firmware_bridge.probe.adapters import Adapter
from gateway.config import load
from provisioning import probe_command
from provisioning.__main__ import main
from provisioning.probe_command import place_of
from tests.provisioning.probe_lines import WHO, Prober, named, parity_environment, simulated


@pytest.fixture(autouse=True)
def _own_state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_without_a_line_the_adapters_are_listed_with_what_to_type(monkeypatch, capsys):
    there = [Adapter("/dev/serial/by-id/usb-x", "/dev/ttyUSB0"), Adapter("/dev/ttyAMA0", "/dev/ttyAMA0")]
    monkeypatch.setattr(probe_command, "adapters", lambda: there)
    assert main(["probe"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "smartwatts-provision probe --serial /dev/serial/by-id/usb-x (now /dev/ttyUSB0)",
        "smartwatts-provision probe --serial /dev/ttyAMA0",
        "smartwatts-provision probe --tcp HOST[:PORT]",
    ]
    assert main(["probe", "--json"]) == Exit.OK
    tree = msgspec.json.decode(capsys.readouterr().out)
    assert [one["is_lasting"] for one in tree["adapters"]] == [True, False]


def test_a_machine_without_adapters_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(probe_command, "adapters", list)
    assert main(["probe"]) == Exit.OK
    assert "No serial adapter is plugged in" in capsys.readouterr().out


def test_an_address_may_leave_out_its_port():
    assert place_of(None, "10.0.0.2")[1:] == ("10.0.0.2", 502)
    assert place_of(None, "meter.local:8899")[1:] == ("meter.local", 8899)


@pytest.mark.parametrize(
    "tcp", ["", ":502", "host:", "host:0", "host:99999", "tcp://host", "[::1]:502", "a b", "h:²"]
)
def test_an_address_that_is_none_is_refused(tcp: str):
    with pytest.raises(SettingError, match="--tcp"):
        place_of(None, tcp)


def test_an_adapter_that_is_not_there_is_refused(tmp_path, capsys):
    for path in (tmp_path / "ttyUSB0", tmp_path):
        with pytest.raises(NotFoundError, match="is no serial adapter"):
            place_of(str(path), None)
    assert main(["probe", "--serial", str(tmp_path)]) == Exit.NOT_FOUND
    assert capsys.readouterr().err.count("\n") == 1


def test_two_lines_at_once_are_refused():
    with pytest.raises(SettingError, match="probe one after the other"):
        place_of("/dev/ttyUSB0", "host")


def test_a_mistake_in_the_file_to_write_is_told_before_the_search(tmp_path, capsys):
    file = tmp_path / "gateway.toml"
    file.write_text("[site]\n")
    assert main(["probe", "--tcp", "127.0.0.1:1", "--write", str(file)]) == Exit.BAD_SETTING
    assert "is needed" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_the_search_and_not_made(tmp_path, capsys):
    file = tmp_path / "nowhere" / "gateway.toml"
    assert main(["probe", "--tcp", "127.0.0.1:1", "--write", str(file)]) == Exit.BAD_SETTING
    assert "make the folder first" in capsys.readouterr().err
    assert not file.parent.exists()


def test_an_address_where_nobody_listens_is_unreachable(tmp_path, capsys):
    state = tmp_path / "journal"
    argv = ["probe", "--tcp", "127.0.0.1:1", "--listen", "0", "--state", str(state)]
    assert main(argv) == Exit.UNREACHABLE
    err = capsys.readouterr().err
    assert "no connection to 127.0.0.1:1" in err
    assert "goes on where this one was" in err
    assert state.exists()


def check(result) -> None:
    """All five are named, nothing is claimed that is not so, and each says how sure it is and why."""
    assert named(result) == WHO
    for one in result["devices"]:
        assert one["sureness"] in ("certain", "likely")
        assert one["reasons"]
        assert one["rivals"] == []
    assert {one["sureness"] for one in result["devices"]} == {"certain", "likely"}


@pytest.mark.slow
def test_five_meters_behind_modbus_tcp_are_named_and_written(tmp_path):
    file = tmp_path / "gateway.toml"
    with simulated(tmp_path, 'kind = "tcp"') as line:
        address = line.url.partition("://")[2]
        options = ("--tcp", address, "--listen", "0.2", "--write", str(file))
        result = Prober(tmp_path, *options).run()
        check(result)
        assert any("choose tcp" in note for note in result["notes"])
        config = load(file.read_text())
        assert config.buses[0].url == line.url
        assert {one.unit: one.profile for one in config.meters} == WHO
        before = file.read_bytes()
        assert Prober(tmp_path, *options).run()["written"] is None  # it says it all already
        assert file.read_bytes() == before
    assert not (tmp_path / "gateway.toml.probe").exists()


@pytest.mark.slow
def test_a_meter_of_a_profile_of_ones_own_is_written_with_its_folder(tmp_path, capsys):
    folder, file = tmp_path / "mine", tmp_path / "gateway.toml"
    folder.mkdir()
    assert main(["profile", "new", "corner_shop", "--into", str(folder)]) == Exit.OK
    with simulated(tmp_path, 'kind = "tcp"', {5: "corner_shop"}, profiles=folder) as line:
        argv = ["probe", "--tcp", line.url.partition("://")[2], "--listen", "0", "--write", str(file)]
        assert main(argv) == Exit.BAD_SETTING
        told = capsys.readouterr()
        assert "answers Modbus, but like none of our profiles" in " ".join(told.out.split())
        assert "no meter that is sure enough" in told.err
        assert main([*argv, "--profiles", str(folder)]) == Exit.OK
        assert main(["config", "validate", str(file)]) == Exit.OK
        before = file.read_bytes()
        assert 'profiles = "mine"' in before.decode()
        assert main(argv) == Exit.OK
    assert "is left as it is: there is nothing to add" in capsys.readouterr().out
    assert file.read_bytes() == before


@pytest.mark.nightly
def test_five_meters_behind_a_transparent_converter_are_named(tmp_path):
    with simulated(tmp_path, 'kind = "rtu_over_tcp"') as line:
        options = ("--tcp", line.url.partition("://")[2], "--listen", "0", "--wait", "0.2")
        result = Prober(tmp_path, *options).run()
    check(result)
    assert any("choose rtu+tcp" in note for note in result["notes"])
    assert "rtu+tcp://" in result["suggestion"]


@pytest.mark.slow
def test_no_device_of_any_profile_is_taken_for_another(tmp_path):
    profiles = [one for one in map(load_profile, profile_names()) if one.file.protocol == "modbus"]
    who = {unit: one.name for unit, one in enumerate(profiles, 2) if one.name != "victron_gx"} | {100: "victron_gx"}
    with simulated(tmp_path, 'kind = "tcp"', who) as line:
        result = Prober(tmp_path, "--tcp", line.url.partition("://")[2], "--listen", "0").run()
    assert {one["unit"] for one in result["devices"]} == set(who)
    for one in result["devices"]:
        if one["sureness"] in ("certain", "likely"):
            assert one["profile"] == who[one["unit"]]
        else:
            assert who[one["unit"]] in {one["profile"], *one["rivals"]}
    assert sum(one["sureness"] in ("certain", "likely") for one in result["devices"]) > len(who) / 2


def serial_line(folder, baud: int, parity: str, stop_bits: int = 1) -> str:
    return (
        f'kind = "serial"\nlink = "dev/rs485"\nbaud = {baud}\nparity = "{parity}"\nstop_bits = {stop_bits}\n'
        f'parity_notes = "{folder / "notes"}"\n'
    )


@pytest.mark.slow
def test_five_meters_on_one_rtu_line_are_named_also_when_interrupted(tmp_path):
    environment = parity_environment(tmp_path)
    if environment is None:
        pytest.skip("needs a C compiler: a pseudo-terminal has no parity")
    with simulated(tmp_path, serial_line(tmp_path, 19200, "E")) as line:
        options = ("--serial", line.url.removeprefix("serial://"), "--listen", "0")
        prober = Prober(tmp_path, *options, environment=environment)
        code, said = prober.run_until("found unit 7")
        assert code == Exit.INTERRUPTED
        assert "found unit 3 at 19200 8E1" in said
        assert "the same command goes on where this one was" in said
        result = prober.run()
    check(result)
    assert {one["settings"] for one in result["devices"]} == {"19200 8E1"}
    assert 'parity = "E"' in result["suggestion"]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits"),
    [
        (9600, "N", 1),
        (2400, "N", 1),
        (9600, "E", 1),
        (38400, "O", 1),
        (115200, "N", 1),
        (4800, "N", 2),
        (1200, "E", 1),
    ],
)
def test_five_meters_are_named_whatever_the_settings_of_their_line(tmp_path, baud: int, parity: str, stop_bits: int):
    environment = parity_environment(tmp_path)
    assert environment is not None, "the long tier needs a C compiler"
    with simulated(tmp_path, serial_line(tmp_path, baud, parity, stop_bits)) as line:
        options = ("--serial", line.url.removeprefix("serial://"), "--listen", "0")
        result = Prober(tmp_path, *options, environment=environment).run()
    check(result)
    assert {(one["wire"]["baud"], one["wire"]["parity"]) for one in result["devices"]} == {(baud, parity)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "unit", "baud", "quantity"),
    [
        ("serial_sensor", 7, 115200, "sensor"),
        pytest.param("dsmr_p1", 1, 115200, "grid", marks=pytest.mark.nightly),
        pytest.param("sml_meter", 1, 9600, "grid", marks=pytest.mark.nightly),
    ],
)
def test_a_device_that_sends_by_itself_is_heard_and_named(
    tmp_path, profile: str, unit: int, baud: int, quantity: str
):
    file = tmp_path / "gateway.toml"
    described = f'kind = "serial"\nlink = "dev/port"\nbaud = {baud}'
    with simulated(tmp_path, described, {unit: profile}, quantity) as line:
        options = ("--serial", line.url.removeprefix("serial://"), "--listen", "2.5", "--write", str(file))
        result = Prober(tmp_path, *options).run()
    (one,) = result["devices"]
    assert (one["profile"], one["unit"], one["sureness"]) == (profile, unit, "certain")
    assert one["wire"]["baud"] == baud
    config = load(file.read_text())
    assert (config.buses[0].protocol, config.buses[0].baud) == (one["protocol"], baud)


def test_the_lasting_name_of_an_adapter_is_written(monkeypatch):
    monkeypatch.setattr(probe_command, "best_name", lambda _: "/dev/serial/by-id/usb-x")
    master, near = os.openpty()
    try:
        assert place_of(os.ttyname(near), None).path == "/dev/serial/by-id/usb-x"
    finally:
        os.close(master)
        os.close(near)
