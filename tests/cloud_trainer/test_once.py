import pytest

from cloud_trainer.bundle import write_bundle as write_again
from cloud_trainer.keys import has_key
from cloud_trainer.once import FACTORY, Shop, ensure_keys, in_use, models_of, publish
from firmware_bridge.clock import SystemClock
from firmware_bridge.errors import SettingError
from gateway.contract.manifest import MANIFEST_NAME, Training, decode_golden, decode_manifest
from gateway.contract.repository import followed_channels, organisation_channel
from tests.sim.bundles import MODEL_FILE, write_bundle


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path / "repository", tmp_path / "keys", followed_channels("stable", None))


@pytest.fixture
def acme(shop):
    return shop._replace(channels=followed_channels("stable", "acme"))


def now_us():
    return SystemClock().utc_us()


def bundle(tmp_path, model):
    write_bundle(tmp_path / model.decode(), model=model)
    return tmp_path / model.decode()


def used(shop, tmp_path, name="scratch"):
    (tmp_path / name).mkdir()
    return in_use(shop, tmp_path / name, now_us())


def test_keys_are_made_once_and_a_channel_gets_its_own(shop, acme):
    assert ensure_keys(shop)
    assert not ensure_keys(shop)
    assert not ensure_keys(acme)
    assert has_key(shop.keys, f"channel-{organisation_channel('stable', 'acme')}")


def test_the_first_release_for_an_organisation_makes_the_keys_of_both_channels(acme):
    assert ensure_keys(acme)
    assert all(has_key(acme.keys, f"channel-{channel}") for channel in acme.channels)


def test_what_gateways_run_is_the_latest_release_of_their_first_channel_that_has_one(shop, acme, tmp_path):
    ensure_keys(shop)
    assert used(shop, tmp_path, "none") == (FACTORY, "the factory's bundle")
    for model in (b"first", b"second"):
        publish(shop, bundle(tmp_path, model), now_us())
    of_all = used(shop, tmp_path, "all")
    assert of_all.words == "release 2 of stable"
    assert (of_all.folder / MODEL_FILE).read_bytes() == b"second"
    assert decode_manifest((of_all.folder / MANIFEST_NAME).read_bytes()).release == 2
    assert used(acme, tmp_path, "before").words == "release 2 of stable"
    ensure_keys(acme)
    out = publish(acme, bundle(tmp_path, b"of acme"), now_us())
    assert (out.release, out.root.name) == (1, "1.root.json")
    assert used(acme, tmp_path, "after").words == f"release 1 of {acme.channel}"
    assert used(shop, tmp_path, "others").words == "release 2 of stable"


def test_a_release_that_was_altered_is_named(shop, tmp_path):
    ensure_keys(shop)
    publish(shop, bundle(tmp_path, b"first"), now_us())
    stored = next(shop.repository.rglob(f"*.{MODEL_FILE}"))
    stored.write_bytes(b"firsT")
    with pytest.raises(SettingError, match="is damaged"):
        used(shop, tmp_path)
    stored.unlink()
    with pytest.raises(SettingError, match="is damaged"):
        used(shop, tmp_path, "again")


def test_without_its_keys_an_old_repository_gets_no_new_ones(shop, tmp_path):
    ensure_keys(shop)
    publish(shop, bundle(tmp_path, b"first"), now_us())
    shop.keys.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingError, match="cannot be read"):
        ensure_keys(shop)
    assert not shop.keys.exists()
    with pytest.raises(SettingError, match="cannot be read"):
        publish(shop, bundle(tmp_path, b"second"), now_us())


def test_models_go_on_in_another_bundle_as_they_were(tmp_path):
    models = models_of(FACTORY)
    manifest = decode_manifest((FACTORY / MANIFEST_NAME).read_bytes())
    assert [model.name for model in models] == [model.name for model in manifest.models]
    again = tmp_path / "again"
    write_again(again, models, Training("", "", 0, 0, {}), "A card.\n", created_us=0)
    found = decode_manifest((again / MANIFEST_NAME).read_bytes())
    assert (found.models, found.golden) == (manifest.models, manifest.golden)
    golden = manifest.golden[0].file
    assert decode_golden((again / golden).read_bytes()) == decode_golden((FACTORY / golden).read_bytes())
