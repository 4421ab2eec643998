import json

import psycopg
import pytest

from cloud_trainer.__main__ import main
from firmware_bridge.errors import Exit
from tests.sim.fleet import tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]


async def test_a_gateway_is_listed_revoked_and_restored(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    ours = await tenant(dsn, "ours")
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE gateway SET suspect_since = '2024-01-02 03:04Z', seen_at = '2024-01-05 06:07Z'")
    whose = ["--organisation", "ours", "--dsn", dsn]
    assert main(["gateway", "list", *whose]) == Exit.OK
    printed = capsys.readouterr().out
    for shown in (ours.gateway, "home", "active", "0.1.0", "a board", "2024-01-02 03:04", "2024-01-05 06:07"):
        assert shown in printed
    assert main(["gateway", "revoke", ours.gateway, *whose, "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"gateway": ours.gateway, "status": "revoked"}
    assert main(["gateway", "revoke", ours.gateway, *whose]) == Exit.CONFLICT
    assert main(["gateway", "restore", ours.gateway, *whose]) == Exit.OK
    assert "is active" in capsys.readouterr().out
    assert main(["gateway", "list", *whose, "--json"]) == Exit.OK
    (seen,) = json.loads(capsys.readouterr().out)
    assert (seen["status"], seen["suspect_since_us"], len(seen["keys"])) == ("active", None, 1)
