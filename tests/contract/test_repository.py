from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import DelegatedRole

from gateway.contract.repository import (
    channel_patterns,
    file_target,
    followed_channels,
    manifest_target,
    organisation_channel,
    served_name,
)

channels = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
names = st.from_regex(r"[a-z0-9_]{1,48}\.(tflite|json|md|png)", fullmatch=True)
hashes = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


def role_of(channel):
    return DelegatedRole(channel, [], 1, terminating=True, paths=channel_patterns(channel))


@given(channels, names, hashes)
def test_role_of_a_channel_may_sign_all_that_the_channel_offers(channel, name, sha256):
    role = role_of(channel)
    assert role.is_delegated_path(manifest_target(channel))
    assert role.is_delegated_path(file_target(channel, name, sha256))


@given(channels, channels, names, hashes)
def test_role_of_another_channel_may_sign_nothing_of_it(channel, other, name, sha256):
    if channel != other:
        assert not role_of(other).is_delegated_path(manifest_target(channel))
        assert not role_of(other).is_delegated_path(file_target(channel, name, sha256))


@given(channels, st.text(), st.text())
def test_channel_of_an_organisation_is_its_own_and_does_not_tell_whose(channel, organisation, other):
    name = organisation_channel(channel, organisation)
    assert (name == organisation_channel(channel, other)) == (organisation == other)
    assert name.startswith(f"{channel}-")
    assert not role_of(channel).is_delegated_path(manifest_target(name))


def test_gateway_looks_at_the_channel_of_its_organisation_first():
    assert followed_channels("stable", None) == ("stable",)
    assert followed_channels("stable", "acme") == (organisation_channel("stable", "acme"), "stable")


def test_layout_is_fixed_for_gateways_in_the_field():
    assert manifest_target("stable") == "bundles/stable/manifest.json"
    assert file_target("stable", "a.tflite", "00ff") == "bundles/stable/00ff/a.tflite"
    assert organisation_channel("stable", "acme") == "stable-0b3128a9dbc1e8d8"
    assert served_name("00ff", "a.tflite") == "00ff.a.tflite"
    assert channel_patterns("stable") == ["bundles/stable/*", "bundles/stable/*/*"]
