"""Where bundles lie in the signed repository: what the publisher and the gateway must agree on. Pure.

    metadata/   1.root.json, 7.stable.json, 7.snapshot.json, ..., timestamp.json
    targets/    bundles/<channel>/<sha256>.manifest.json
                bundles/<channel>/<sha256>/<sha256>.<file>

A channel has one manifest under a fixed target path; each file it names is a target of its own under
its hash, so that releases share what they have in common and no file is ever replaced. The hash in
front of each name is TUF's way of consistent snapshots.

An organisation may have a channel of its own beside each channel. Its name is a hash: whoever reads the
public metadata learns how many there are, not whose.
"""

import hashlib

from gateway.contract.manifest import MANIFEST_NAME

METADATA_FOLDER = "metadata"
TARGETS_FOLDER = "targets"
# Enough that no two organisations share a name by chance.
_HASH_CHARACTERS = 16


def organisation_channel(channel: str, organisation: str) -> str:
    """The channel of what is offered to one organisation alone, in place of what `channel` offers to all."""
    digest = hashlib.sha256(b"smartwatts-channel\0" + organisation.encode()).hexdigest()
    return f"{channel}-{digest[:_HASH_CHARACTERS]}"


def followed_channels(channel: str, organisation: str | None) -> tuple[str, ...]:
    """The channels that a gateway looks at: the first that offers something counts.

    `organisation` is None while it is not enrolled.
    """
    return (channel,) if organisation is None else (organisation_channel(channel, organisation), channel)


def manifest_target(channel: str) -> str:
    """The target path of the manifest of `channel`."""
    return f"bundles/{channel}/{MANIFEST_NAME}"


def file_target(channel: str, name: str, sha256: str) -> str:
    """The target path of a bundle's file."""
    return f"bundles/{channel}/{sha256}/{name}"


def channel_patterns(channel: str) -> list[str]:
    """The target paths that the role of `channel` may sign, and no other role; `*` stands for no slash."""
    return [f"bundles/{channel}/*", f"bundles/{channel}/*/*"]


def served_name(sha256: str, name: str) -> str:
    """The name of a target's file on the server and in the spool."""
    return f"{sha256}.{name}"
