"""One organisation asks for what is another's, by every function and every command: it is not there for it."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from cloud_trainer.__main__ import main
from cloud_trainer.database import Connection, connect, only_gateway
from cloud_trainer.fleet.claims import Terms, claims, create_claims, revoke_claim
from cloud_trainer.fleet.erase import erase_site
from cloud_trainer.fleet.export import export_site
from cloud_trainer.fleet.gateways import gateways, restore_gateway, revoke_gateway
from cloud_trainer.fleet.sites import find_site, sites
from firmware_bridge.errors import Exit, NotFoundError
from tests.sim.fleet import NOW_US, Tenant, tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]

OURS, THEIRS = "ours", "theirs"
# what only they have; "home" is the site of both
THEIR_SITE = "their-place"

Reach = Callable[[Connection, Tenant], object]

REACHES: list[Reach] = [
    lambda c, them: revoke_claim(c, OURS, them.open_claim.claim, NOW_US),
    lambda c, them: create_claims(c, OURS, Terms(site=None, gateway=them.gateway, replaces=True), NOW_US),
    lambda c, them: revoke_gateway(c, OURS, them.gateway, NOW_US),
    lambda c, them: restore_gateway(c, OURS, them.gateway, NOW_US),
    lambda c, _: find_site(c, OURS, THEIR_SITE),
    lambda c, _: export_site(c, OURS, THEIR_SITE, Path("x"), now_us=NOW_US, tell=print),
    lambda c, _: erase_site(c, OURS, THEIR_SITE, revoke=True),
    lambda c, them: only_gateway(c, OURS, them.gateway),
]


@pytest.fixture
async def them(dsn: str) -> Tenant:
    await tenant(dsn, OURS)
    them = await tenant(dsn, THEIRS)
    with connect(dsn) as connection:
        create_claims(connection, THEIRS, Terms(site=THEIR_SITE), NOW_US)
    return them


def everything(dsn: str, organisation: str) -> list[object]:
    with psycopg.connect(dsn) as connection:
        return [
            gateways(connection, organisation, NOW_US),
            sites(connection, organisation),
            claims(connection, organisation, NOW_US),
            connection.execute("SELECT count(*) FROM record").fetchall(),
        ]


def test_no_function_reaches_what_is_another_organisations(dsn: str, them: Tenant) -> None:
    before = everything(dsn, THEIRS)
    for reach in REACHES:
        with connect(dsn) as connection, pytest.raises(NotFoundError):
            reach(connection, them)
    assert everything(dsn, THEIRS) == before


def test_no_command_reaches_what_is_another_organisations(
    dsn: str, them: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(dsn, THEIRS)
    for command in (
        ["claim", "revoke", str(them.open_claim.claim)],
        ["claim", "create", "--replaces", them.gateway],
        ["gateway", "revoke", them.gateway],
        ["gateway", "restore", them.gateway],
        ["site", "export", THEIR_SITE, "--folder", str(tmp_path / "x")],
        ["site", "erase", THEIR_SITE, "--yes", "--revoke"],
        ["report", "--gateway", them.gateway],
        ["score", "--gateway", them.gateway, "--grid", "grid"],
        ["audit", "--gateway", them.gateway, "--log", str(tmp_path / "log"), "--poll-s", "60"],
    ):
        assert main([*command, "--organisation", OURS, "--dsn", dsn]) == Exit.NOT_FOUND, command
    assert everything(dsn, THEIRS) == before
    assert not (tmp_path / "x").exists()


def test_no_list_shows_what_is_another_organisations(
    dsn: str, them: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("claim", "gateway", "site"):
        assert main([command, "list", "--organisation", OURS, "--dsn", dsn, "--json"]) == Exit.OK
        printed = capsys.readouterr().out
        assert json.loads(printed)
        assert THEIRS not in printed
        assert "their-" not in printed


def test_two_sites_of_one_name_are_two(dsn: str, them: Tenant, tmp_path: Path) -> None:
    assert (
        main(["site", "export", "home", "--folder", str(tmp_path), "--organisation", OURS, "--dsn", dsn]) == Exit.OK
    )
    assert [one["gateway"] for one in json.loads((tmp_path / "manifest.json").read_text())["gateways"]] == ["ours-1"]
    before = everything(dsn, THEIRS)[:3]
    assert main(["site", "erase", "home", "--yes", "--revoke", "--organisation", OURS, "--dsn", dsn]) == Exit.OK
    assert everything(dsn, THEIRS)[:3] == before
