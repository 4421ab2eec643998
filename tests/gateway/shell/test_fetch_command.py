import argparse
import hashlib
import json
import shutil
import sys

import pytest

from firmware_bridge.errors import Exit, SettingError
from gateway import config as settings
from gateway.contract.manifest import MANIFEST_NAME, FileEntry, decode_manifest, encode_manifest
from gateway.core.update import Outcome
from gateway.shell import fetch_command
from gateway.shell.bundle_files import FACTORY, BundleFiles
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
    assert (check.root, check.channel, check.current, check.budget_s) == (b"root", "stable", DIGEST, 7.5)
    assert check.models == tmp_path / "data" / "models"


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


@pytest.mark.slow
def test_command_prints_one_line_of_json(tmp_path, capfdbinary):
    (tmp_path / "root.json").write_bytes(b"no root")
    (tmp_path / "site.toml").write_text(config_text(tmp_path))
    parser = argparse.ArgumentParser()
    fetch_command.add(parser.add_subparsers())
    arguments = parser.parse_args(["fetch", "--config", str(tmp_path / "site.toml"), "--current", DIGEST])
    assert arguments.run(arguments) == Exit.FAILED
    sys.stdout.flush()
    line = capfdbinary.readouterr().out
    assert line.count(b"\n") == 1
    assert json.loads(line)["outcome"] == "local"


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
