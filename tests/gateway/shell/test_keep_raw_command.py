import json
from pathlib import Path

import pytest

from firmware_bridge.errors import Exit
from firmware_bridge.reading import UtcUs
from gateway.__main__ import main
from gateway.shell.raw_request import FILE_NAME, SECONDS_MAX, RawRequest, decode_request
from gateway.shell.store import Store
from tests.sim.home import gateway_text


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    path = tmp_path / "gateway.toml"
    path.write_text(gateway_text(tmp_path, 5020))
    return path


async def test_it_asks_the_gateway_that_runs(config: Path, capsys: pytest.CaptureFixture[str]):
    store = await Store.open(config.parent / "data", UtcUs(1))
    try:
        assert main(["keep-raw", "--config", str(config), "--before", "60", "--json"]) == Exit.OK
    finally:
        await store.close()
    asked = decode_request((config.parent / "data" / FILE_NAME).read_bytes())
    assert asked == RawRequest(60, 300)
    assert json.loads(capsys.readouterr().out) == {"before_s": 60, "after_s": 300}


def test_without_a_gateway_it_says_so(config: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["keep-raw", "--config", str(config)]) == Exit.BAD_SETTING
    assert "no gateway runs on it" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", [-1, SECONDS_MAX + 1])
def test_seconds_that_cannot_be_are_refused(config: Path, capsys: pytest.CaptureFixture[str], seconds: int):
    assert main(["keep-raw", "--config", str(config), "--after", str(seconds)]) == Exit.BAD_SETTING
    assert f"--after = {seconds}: is not within" in capsys.readouterr().err
