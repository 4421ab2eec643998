"""How the demonstration's gateway becomes one of its cloud's: as an operator and an installer would do it.

The keys and the claim are made for this run and lie in its folder.
"""

import asyncio
from pathlib import Path

from provisioning.demo.processes import run_command
from provisioning.demo.site import GATEWAY_ID

TRAINER, GATEWAY = "cloud_trainer", "gateway"
SITE = "demo"


class Enrolment:
    """The operator's claim, and the installer's use of it."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the file `dsn` and gets `server-keys/` and `claim-code`."""
        self._dsn, self._code = f"@{folder / 'dsn'}", folder / "claim-code"
        self.server_keys = folder / "server-keys"
        self._server_key = ""

    async def claim(self) -> None:
        """Make a code for this gateway, in a file for our eyes alone, and look up by which key to know the cloud."""
        await asyncio.to_thread(
            run_command, TRAINER, "claim", "create", "--dsn", self._dsn, "--site", SITE, "--gateway", GATEWAY_ID,
            "--code-file", self._code,
        )  # fmt: skip
        keys = await asyncio.to_thread(run_command, TRAINER, "server-key", "list", "--keys", self.server_keys)
        self._server_key = keys[-1]["key"]

    async def enrol(self, config: Path) -> None:
        """Let the gateway make its key and use the code, with that cloud and no other.

        One key of 64 begins with a dash, as an option would.
        """
        await asyncio.to_thread(
            run_command, GATEWAY, "enroll", "--config", config, f"--server-key={self._server_key}", stdin=self._code
        )
