import argparse
import hashlib
import json
import shutil
import sys
from typing import get_args

import pytest

from firmware_bridge.errors import Exit, SettingError
from firmware_bridge.reading import UtcUs
from gateway import config as settings
from gateway.contract.enrolment import Enrolled, encode_bytes
from gateway.contract.manifest import MANIFEST_NAME, FileEntry, decode_manifest, encode_manifest
from gateway.contract.repository import organisation_channel
from gateway.core.update import NO_BUNDLE, Outcome, OutcomeKind
from gateway.shell import fetch_command
from gateway.shell.bundle_files import FACTORY, STATE_NAME, BundleFiles
from gateway.shell.identity import IDENTITY_NAME, IdentityFolder
from gateway.shell.update_client import check
from gateway.shell.update_client import fetch_command as fetch_command_of
from tests.sim.bundles import MODEL_FILE
from tests.sim.releases import Publisher
from tests.sim.repository_server import serving

DIGEST = "0" * 64


def config_text(tmp_path, url="http://127.0.0.1:9", root="root.json") -> str:
    return f"""
        [site]
        gateway_id = "gw-1"
        [[bus]]
        name = "line"
        url = "tcp://127.0.0.1:502"
        [[meter]]
        name = "grid"
        bus = "line"
        unit = 1
        profile = "eastron_sdm630"
        [store]
        folder = "{tmp_path}/data"
        [update]
        url = "{url}"
        root = "{tmp_path}/{root}"
        timeout_s = 7.5
    """


def test_check_is_what_the_configuration_asks_for(tmp_path):
    (tmp_path / "root.json").write_bytes(b"root")
    check = fetch_command.check_of(settings.load(config_text(tmp_path)), DIGEST)
    assert (check.root, check.channels, check.current, check.budget_s) == (b"root", ("stable",), DIGEST, 7.5)
    assert check.models == tmp_path / "data" / "models"


def test_check_of_an_enrolled_gateway_looks_at_its_organisations_channel_first(tmp_path):
    (tmp_path / "root.json").write_bytes(b"root")
    folder = IdentityFolder(tmp_path / "data", "gw-1")
    key = encode_bytes(bytes(32))
    with folder.locked():
        folder.take_in(Enrolled("gw-1", "acme", "shop", [key], UtcUs(1)), "http://cloud", UtcUs(1), anew=False)
    check = fetch_command.check_of(settings.load(config_text(tmp_path)), DIGEST)
    assert check.channels == (organisation_channel("stable", "acme"), "stable")
    (tmp_path / "data" / IDENTITY_NAME).write_bytes(b"{")
    with pytest.raises(SettingError, match="is damaged"):
        fetch_command.check_of(settings.load(config_text(tmp_path)), DIGEST)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"root": "nowhere.json"}, "update.root"), ({"url": "http://[::bad"}, "update.url")],
)
def test_mistake_in_the_configuration_is_named(tmp_path, changes, field):
    (tmp_path / "root.json").write_bytes(b"root")
    with pytest.raises(SettingError) as caught:
        fetch_command.check_of(settings.load(config_text(tmp_path, **changes)), DIGEST)
    assert caught.value.field == field


def test_configuration_without_updates_is_named(tmp_path):
    text = config_text(tmp_path).partition("[update]")[0]
    with pytest.raises(SettingError, match="update"):
        fetch_command.check_of(settings.load(text), DIGEST)


@pytest.mark.parametrize("current", ["", "newest", "0" * 63, "A" * 64, DIGEST + "\n"])
def test_what_is_no_digest_is_refused_before_anything_is_fetched(tmp_path, current):
    with pytest.raises(SettingError, match=r'is not a digest; .* or "none"') as caught:
        run(tmp_path, "--current", current)
    assert (caught.value.field, caught.value.value) == ("--current", repr(current))
    assert not (tmp_path / "data").exists()


def test_without_a_digest_the_gateways_own_state_says_what_runs(tmp_path):
    models = tmp_path / "models"
    assert fetch_command.current_digest(models, None) == BundleFiles(models).start().digest
    assert fetch_command.current_digest(models, DIGEST) == DIGEST
    assert fetch_command.current_digest(models, NO_BUNDLE) == NO_BUNDLE


@pytest.mark.parametrize("problem", ["is damaged", "cannot be read"])
def test_state_that_does_not_say_what_runs_is_named(tmp_path, problem):
    models = tmp_path / "models"
    BundleFiles(models).start()
    (models / STATE_NAME).unlink()
    if problem == "is damaged":
        (models / STATE_NAME).write_bytes(b"{}")
    else:
        (models / STATE_NAME).mkdir()
    with pytest.raises(
        SettingError, match=rf"--current = \(not given\): .*state.json {problem} \(.*start the gateway"
    ):
        fetch_command.current_digest(models, None)


OUTCOMES = [
    (Outcome("no_update", 3, DIGEST), f"nothing new: release 3, bundle {DIGEST}, runs already"),
    (Outcome("no_update", None, DIGEST), f"nothing new: bundle {DIGEST}, runs already"),
    (Outcome("no_update", reason="refused before: too large"), "nothing new: refused before: too large"),
    (
        Outcome("installed", 4, DIGEST),
        f"installed: release 4, bundle {DIGEST}; the gateway takes it up with its next check",
    ),
    (Outcome("refused", 4, DIGEST, "model: hash differs"), "refused: release 4: model: hash differs"),
    (Outcome("refused", reason="timestamp.json: not signed"), "refused: timestamp.json: not signed"),
    (Outcome("network", reason="no route"), "not reached: no route"),
    (Outcome("expired", reason="timestamp"), "too old, or this clock is wrong: timestamp"),
    (Outcome("local", reason="the disk is full"), "failed on this machine: the disk is full"),
]


@pytest.mark.parametrize(("outcome", "said"), OUTCOMES)
def test_outcome_is_told_to_people_in_one_sentence(outcome, said):
    assert fetch_command.sentence(outcome) == said


def test_every_kind_of_outcome_has_its_sentence():
    assert {outcome.outcome for outcome, _ in OUTCOMES} == set(get_args(OutcomeKind))


@pytest.mark.slow
def test_command_prints_a_sentence_or_one_line_of_json(tmp_path, capfd):
    (tmp_path / "root.json").write_bytes(b"no root")
    assert run(tmp_path) == Exit.FAILED
    assert capfd.readouterr().out.startswith("failed on this machine: update.root is not trusted root metadata")
    assert run(tmp_path, "--json", "--current", DIGEST) == Exit.FAILED
    line = capfd.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line)["outcome"] == "local"


def run(tmp_path, *arguments) -> int:
    """What the command ends in, with the configuration of `tmp_path`."""
    (tmp_path / "root.json").touch()
    (tmp_path / "site.toml").write_text(config_text(tmp_path))
    parser = argparse.ArgumentParser()
    fetch_command.add(parser.add_subparsers())
    given = parser.parse_args(["fetch", "--config", str(tmp_path / "site.toml"), *arguments])
    code = given.run(given)
    sys.stdout.flush()
    return code


@pytest.fixture
def site(tmp_path):
    """A gateway with the factory bundle, and a publisher whose root it trusts, served on loopback."""
    publisher = Publisher(tmp_path)
    publisher.publish_bundle(FACTORY, 1)
    (tmp_path / "root.json").write_bytes(publisher.root)
    with serving(publisher.repository) as server:
        (tmp_path / "site.toml").write_text(config_text(tmp_path, url=server.url))
        yield publisher


async def checked(tmp_path, current) -> Outcome:
    return await check(fetch_command_of(tmp_path / "site.toml"), current, 100.0)


@pytest.mark.slow
async def test_real_bundle_is_fetched_accepted_by_a_cold_process_and_activated(site, tmp_path):
    files = BundleFiles(tmp_path / "data" / "models")
    active = files.start()
    outcome = await checked(tmp_path, active.digest)
    assert (outcome.outcome, outcome.release, outcome.reason) == ("installed", 1, "")
    assert files.activate(outcome.digest or "").release == 1
    assert (await checked(tmp_path, outcome.digest)).outcome == "no_update"


@pytest.mark.slow
async def test_signed_bundle_whose_model_is_broken_is_refused_by_the_cold_process(site, tmp_path):
    wrong = tmp_path / "wrong"
    shutil.copytree(FACTORY, wrong)
    model = b"TFL3 but no model" * 10
    (wrong / MODEL_FILE).write_bytes(model)
    manifest = decode_manifest((wrong / MANIFEST_NAME).read_bytes())
    manifest.files[MODEL_FILE] = FileEntry(hashlib.sha256(model).hexdigest(), len(model))
    (wrong / MANIFEST_NAME).write_bytes(encode_manifest(manifest))
    site.publish_bundle(wrong, 2)
    outcome = await checked(tmp_path, DIGEST)
    assert (outcome.outcome, outcome.release, outcome.lasting) == ("refused", 2, True)
    assert MODEL_FILE in outcome.reason
    assert list((tmp_path / "data" / "models" / "versions").iterdir()) == []


def test_models_folder_is_where_the_gateway_keeps_its_bundles(tmp_path):
    config = settings.load(config_text(tmp_path))
    assert (
        BundleFiles(fetch_command.models_folder(config)).path_of(DIGEST).parent == tmp_path / "data/models/versions"
    )
