import msgspec
import pytest

from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import Exit
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.line import Place
from firmware_bridge.probe.plan import Options
from provisioning import probe_run
from provisioning.__main__ import main
from provisioning.probe_run import Finder, Wanted, head
from tests.firmware_bridge.probe.devices import Rig, meter
from tests.provisioning.probe_lines import simulated

PROFILES = [load_profile(name) for name in ("eastron_sdm630", "carlo_gavazzi_em340")]


def wanted(tmp_path, **options) -> Wanted:
    return Wanted(Place(path="/dev/ttyUSB0"), Options(listen_s=0, **options), tmp_path / "journal")


def test_a_journal_is_gone_on_with_only_for_the_same_line_and_options(tmp_path):
    one = head(wanted(tmp_path))
    assert one == head(wanted(tmp_path))
    assert one != head(wanted(tmp_path, all_units=True))
    assert one != head(wanted(tmp_path)._replace(place=Place(path="/dev/ttyUSB1")))


def test_a_search_that_was_over_is_told_without_asking_again(tmp_path, capsys):
    asked = wanted(tmp_path)
    finder = Finder(asked, PROFILES, SystemClock())
    journal, search = Journal(asked.state, head(asked)), finder.search
    assert search.ask is not None
    rig = Rig({(search.ask.wire, 2): meter("eastron_sdm630")})
    while search.ask is not None:
        heard = rig.hear(search.ask)
        journal.add(search.ask, heard)
        search.take(heard)
    journal.close()
    again = Finder(asked, PROFILES, SystemClock())
    journal = Journal(asked.state, head(asked))
    again.run(journal)  # there is no such port: nothing was asked
    journal.close()
    assert again.conclusions() == finder.conclusions()
    said = capsys.readouterr().err
    assert f"going on after {len(rig.asked)} answers" in said
    assert "found unit 2" in said


def test_without_a_device_that_shows_power_there_is_no_load_step(tmp_path):
    assert Finder(wanted(tmp_path), PROFILES, SystemClock()).load_steps(is_prompting=False) == {}


@pytest.mark.slow
def test_a_kettle_tells_the_sign_of_every_meter(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(probe_run, "BEFORE_S", 3.0)
    monkeypatch.setattr(probe_run, "DURING_S", 3.0)
    with simulated(tmp_path, 'kind = "tcp"') as line:
        line.show(3, active_power_w=300.0, active_power_l2_w=100.0)
        line.show(7, active_power_w=-300.0, active_power_l1_w=-100.0)

        def person(request: str, **_: object) -> None:
            """Switches the kettle on; behind meter 7 the current transformer of L1 is turned round."""
            if "ON" in request:
                line.show(3, active_power_w=2300.0, active_power_l2_w=2100.0)
                line.show(7, active_power_w=-2300.0, active_power_l1_w=-2100.0)

        monkeypatch.setattr(probe_run.click, "prompt", person)
        argv = ["probe", "--tcp", line.url.partition("://")[2], "--listen", "0", "--json", "--load-step"]
        assert main(argv) == Exit.OK
    steps = {one["unit"]: one["load_step"] for one in msgspec.json.decode(capsys.readouterr().out)["devices"]}
    assert steps[3]["step_w"] == pytest.approx(2000, abs=20)
    assert steps[3]["phase"] == "L2"
    assert steps[7]["step_w"] == pytest.approx(-2000, abs=20)
    assert "NEGATIVE on L1" in steps[7]["sentence"]
    assert steps[12]["step_w"] is None
