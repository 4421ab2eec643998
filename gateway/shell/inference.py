"""Inference with a child process: asks the model host, counts its strikes, replaces it.

A forecast that does not come in time, or not at all, is None: the baseline speaks. Three strikes
end the life of a bundle; the caller rolls back.
"""

import logging

from gateway.contract.inputs import F32
from gateway.shell.bundle_files import ActiveBundle
from gateway.shell.host_process import HostError, ModelHost

log = logging.getLogger(__name__)

# A hang or crash may be bad luck once, and the machine's fault twice.
STRIKES_MAX = 3


class Inference:
    """The running model host and the bundle in it."""

    def __init__(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._host: ModelHost | None = None
        self._bundle: ActiveBundle | None = None
        self.strikes = 0

    @property
    def bundle(self) -> ActiveBundle | None:
        """What answers at present."""
        return self._bundle

    @property
    def is_struck_out(self) -> bool:
        """Whether the bundle has had its chances."""
        return self.strikes >= STRIKES_MAX

    async def use(self, bundle: ActiveBundle) -> None:
        """Switch to `bundle`: the new host answers before the old one goes.

        Raises:
            HostError: the new host does not start; the old one stays.
        """
        host = ModelHost(bundle.path, self._deadline_s)
        await host.start()
        before, self._host, self._bundle, self.strikes = self._host, host, bundle, 0
        if before is not None:
            await before.close()

    async def forecast(self, tensor: F32) -> tuple[F32, str] | None:
        """The forecaster's output and the digest of the bundle that made it; None when it failed."""
        if self._bundle is None or self.is_struck_out:
            return None
        try:
            if self._host is None:
                self._host = ModelHost(self._bundle.path, self._deadline_s)
                await self._host.start()
            return await self._host.infer("energy_forecast", tensor), self._bundle.digest
        except HostError as error:
            self.strikes += 1
            log.warning("model host failed: strike=%d of %d error=%s", self.strikes, STRIKES_MAX, error)
            await self.close()
            return None

    async def close(self) -> None:
        """End the host, if there is one."""
        host, self._host = self._host, None
        if host is not None:
            await host.close()
