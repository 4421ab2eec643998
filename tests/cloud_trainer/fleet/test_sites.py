import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.sites import find_site, sites
from firmware_bridge.errors import NotFoundError
from tests.sim.fleet import tenant

pytestmark = [pytest.mark.slow, pytest.mark.pg]


async def test_a_site_knows_its_gateways_alone(dsn: str) -> None:
    ours, theirs = await tenant(dsn, "ours"), await tenant(dsn, "theirs")
    with connect(dsn) as connection:
        for one in (ours, theirs):
            (site,) = sites(connection, one.organisation)
            assert (site.site, site.gateways, site.gateways_active) == ("home", [one.gateway], 1)
            assert find_site(connection, one.organisation, "home") == site
        with pytest.raises(NotFoundError, match="is no site of ours"):
            find_site(connection, "ours", "default")
