import numpy as np
import pytest

from cloud_trainer.sources.generated import generated_sites, home, workshop
from gateway.contract.forecast_spec import DAY_US, ENERGY, LOAD

DAYS = 9


@pytest.fixture(scope="module")
def sites():
    return generated_sites(4, 3, DAYS, seed=0)


def test_the_same_seed_is_the_same_site_and_another_is_not():
    for make in (home, workshop):
        assert (make(5, DAYS).consumption_w == make(5, DAYS).consumption_w).all()
        assert (make(5, DAYS).consumption_w != make(6, DAYS).consumption_w).any()


def test_every_other_home_has_panels(sites):
    assert [site.production_w is not None for site in sites] == [True, False, True, False, False, False, False]


def test_panels_do_not_change_the_load():
    without, with_solar = home(5, DAYS), home(5, DAYS, solar=True)
    assert (without.consumption_w == with_solar.consumption_w).all()


def test_panels_produce_by_day_alone(sites):
    for site in (sites[0], sites[2]):
        hour = site.at_us() % DAY_US // 3_600_000_000
        noons = [site.production_w[hour == one].mean() for one in range(24)]
        assert min(noons) == 0
        assert 300 < max(noons) < 9_000


def test_homes_and_workshops_are_of_their_size(sites):
    assert all(100 < site.consumption_w.mean() < 8_000 for site in sites[:4])
    assert all(np.isfinite(site.consumption_w).all() and site.consumption_w.min() >= 0 for site in sites)
    assert all(len(site) == DAYS * ENERGY.day_steps for site in sites)


def test_sites_begin_on_different_days_in_different_zones(sites):
    assert len({site.start_us for site in sites}) > 3
    assert len({site.zone for site in sites}) > 1


def test_a_home_at_five_minutes_is_the_same_home():
    fine, coarse = (home(7, DAYS, step_us=spec.step_us, solar=True) for spec in (LOAD, ENERGY))
    assert fine.step_us == LOAD.step_us
    seen = fine.coarser(ENERGY.step_us)
    np.testing.assert_allclose(seen.production_w, coarse.production_w)
    # what always runs is a quantile of the steps, so drift differs a little
    np.testing.assert_allclose(seen.consumption_w, coarse.consumption_w, rtol=0.35)


def test_seeds_of_training_share_no_site():
    names = [{site.name for site in generated_sites(2, 2, 1, seed=seed)} for seed in (1, 2)]
    assert not names[0] & names[1]
