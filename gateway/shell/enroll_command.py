"""`smartwatts-gateway enroll`, `rotate` and `identity`: become one of the cloud's, change the key, say who this is.

The claim code is typed at a prompt or read from standard input, never from the command line: every user of a machine
can read the arguments of all programs.
"""

import argparse
import asyncio
import getpass
import platform
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from firmware_bridge.clock import Clock, open_clock
from firmware_bridge.errors import ConflictError, Exit, SettingError
from firmware_bridge.lookup_loop import LookupLoop
from gateway import config as settings
from gateway.contract.enrolment import Enrolled, EnrolmentError, decode_key, read_code
from gateway.contract.records import TEXT_CHARACTERS_MAX
from gateway.contract.signatures import key_id
from gateway.shell.identity import IdentityFolder

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# A code has 24 characters as it is shown; whoever pipes more pipes something else.
_TYPED_CHARACTERS_MAX = 200
_COMPARE = "Its operator sees the keys of the cloud by `smartwatts-trainer server-key list`: compare them now.\n"
# What a Raspberry Pi says of itself.
_MODEL_FILE = Path("/proc/device-tree/model")


class Told(msgspec.Struct, omit_defaults=True):
    """What the three commands say with `--json`. Keys are told by their ids, which are public."""

    enrolled: bool
    gateway: str
    key: str | None = None
    next_key: str | None = None
    organisation: str | None = None
    site: str | None = None
    url: str | None = None
    server_keys: list[str] = []
    enrolled_us: int | None = None


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the three commands."""
    enroll = commands.add_parser("enroll", help="become one of the cloud's gateways, by a claim code")
    enroll.add_argument(
        "--server-key", metavar="KEYID", help="key of the cloud, as its operator tells it: no other cloud is believed"
    )
    enroll.add_argument("--new-key", action="store_true", help="with another key: the old one was revoked or copied")
    enroll.add_argument(
        "--with-history", action="store_true", help="what is kept here may go to another organisation than before"
    )
    rotate = commands.add_parser("rotate", help="change the key of this gateway")
    identity = commands.add_parser("identity", help="say who this gateway is, and by which keys")
    for parser, run in ((enroll, run_enroll), (rotate, run_rotate), (identity, run_identity)):
        parser.add_argument("--config", type=Path, required=True, metavar="FILE")
        parser.add_argument("--json", action="store_true", help="print the answer as one line of JSON")
        parser.set_defaults(run=run)


def run_enroll(arguments: argparse.Namespace) -> int:
    """Ask for the code, then the cloud; say what came of it."""
    from gateway.shell.enrolment import enrol, enrol_request  # aiohttp is needed for this alone
    from gateway.shell.http_exchange import open_session

    config = settings.load_file(arguments.config)
    sync, folder, clock = _sync(config), _folder(config), _clock(config)
    pinned = _server_key(arguments.server_key)
    anew = arguments.new_key

    async def ask(code: str) -> None:
        signer = folder.enrolment_key(anew=anew)
        request = enrol_request(code, config.site.gateway_id, signer, _hardware())
        async with open_session(sync.ca_file, sync.timeout_s) as session:
            enrolled = await enrol(session, sync.url, request, signer, pinned, clock)
        if not arguments.with_history:
            _refuse_another_owner(folder, enrolled)
        folder.take_in(enrolled, sync.url, clock.utc_us(), anew=anew)

    code = _typed_code()
    with folder.locked():
        _complete(ask(code))
    _say(_told(config, folder), as_json=arguments.json, first="this gateway is enrolled")
    if pinned is None and not arguments.json:
        sys.stdout.write(_COMPARE)
    return Exit.OK


def _refuse_another_owner(folder: IdentityFolder, enrolled: Enrolled) -> None:
    """The readings of one owner are not for the next, until somebody says so."""
    try:
        before = folder.load()
    except SettingError:
        return  # it cannot be read, and enrolling is what mends it
    if before is None or before.file.organisation == enrolled.organisation:
        return
    raise ConflictError(
        "organisation",
        repr(enrolled.organisation),
        f"is not {before.file.organisation!r}, whose readings are kept here and would be sent there",
        "give the same code again with --with-history, or begin with an empty store.folder",
    )


def run_rotate(arguments: argparse.Namespace) -> int:
    """Change the key."""
    from gateway.shell.cloud_client import Cloud
    from gateway.shell.enrolment import rotate
    from gateway.shell.http_exchange import open_session

    config = settings.load_file(arguments.config)
    sync, folder, clock = _sync(config), _folder(config), _clock(config)

    async def ask() -> None:
        async with open_session(sync.ca_file, sync.timeout_s) as session:
            cloud = Cloud(sync.url, folder, clock, session, timeout_s=sync.timeout_s)
            await rotate(cloud, sync.url, folder)

    with folder.locked():
        _complete(ask())
    first = "the cloud knows the next key; the gateway takes it up with its next upload"
    _say(_told(config, folder), as_json=arguments.json, first=first)
    return Exit.OK


def run_identity(arguments: argparse.Namespace) -> int:
    """Say who this gateway is."""
    config = settings.load_file(arguments.config)
    told = _told(config, _folder(config))
    _say(told, as_json=arguments.json, first="this gateway is enrolled" if told.enrolled else "not enrolled")
    return Exit.OK


def _sync(config: settings.Config) -> settings.SyncConfig:
    if config.sync is None:
        raise SettingError("sync", "(missing)", "is needed to reach the cloud", "add [sync] with url")
    return config.sync


def _folder(config: settings.Config) -> IdentityFolder:
    return IdentityFolder(Path(config.store.folder), config.site.gateway_id)


def _clock(config: settings.Config) -> Clock:
    return open_clock(None if config.clock is None else Path(config.clock.origin))


def _server_key(given: str | None) -> str | None:
    if given is not None and not _KEY_ID.fullmatch(given):
        raise SettingError("--server-key", repr(given), "is no key id", "give its 22 letters, digits, - and _")
    return given


def _typed_code() -> str:
    """What was typed or piped, read as a code.

    Raises:
        SettingError: it cannot be one; does not repeat it.
    """
    try:
        typed = getpass.getpass("Claim code: ") if sys.stdin.isatty() else sys.stdin.readline(_TYPED_CHARACTERS_MAX)
    except (EOFError, UnicodeDecodeError):
        typed = ""
    try:
        return read_code(typed)
    except EnrolmentError as error:
        raise SettingError("code", "(not shown)", f"is none: {error}", "type it as it was given") from error


def _complete(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=LookupLoop) as runner:
        runner.run(work)


def _hardware() -> str:
    """What this machine is, in its own words."""
    try:
        words = _MODEL_FILE.read_text(errors="replace").strip("\0 \n")
    except OSError:
        words = platform.machine()
    return "".join(one for one in words if one.isprintable())[:TEXT_CHARACTERS_MAX]


def _told(config: settings.Config, folder: IdentityFolder) -> Told:
    identity = folder.load()
    if identity is None:
        return Told(enrolled=False, gateway=config.site.gateway_id, key=folder.key_id)
    file = identity.file
    return Told(
        enrolled=True,
        gateway=file.gateway,
        key=next(one.key_id for one in identity.signers if one.key_id != identity.next_key_id),
        next_key=identity.next_key_id,
        organisation=file.organisation,
        site=file.site,
        url=file.url,
        server_keys=[key_id(decode_key(text)) for text in file.server_keys],
        enrolled_us=file.enrolled_us,
    )


def _say(told: Told, *, as_json: bool, first: str) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        return
    facts = {
        "gateway": told.gateway,
        "organisation": told.organisation,
        "site": told.site,
        "cloud": told.url,
        "key of this gateway": told.key,
        "its next key": told.next_key,
        "keys of the cloud": ", ".join(told.server_keys),
    }
    lines = [f"  {name + ':':<21} {fact}" for name, fact in facts.items() if fact]
    sys.stdout.write("\n".join([f"{first[0].upper()}{first[1:]}.", *lines, ""]))
