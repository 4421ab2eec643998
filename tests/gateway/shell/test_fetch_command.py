import argparse
import json
import sys

import pytest

from firmware_bridge.errors import Exit, SettingError
from gateway import config as settings
from gateway.shell import fetch_command
from gateway.shell.bundle_files import BundleFiles

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


def test_models_folder_is_where_the_gateway_keeps_its_bundles(tmp_path):
    config = settings.load(config_text(tmp_path))
    assert (
        BundleFiles(fetch_command.models_folder(config)).path_of(DIGEST).parent == tmp_path / "data/models/versions"
    )
