"""Which bundle the gateway runs: at start, after an update, after three strikes.

The states are the table of `core.update`; this carries out its actions. The readings never wait for
any of it.
"""

import asyncio
import logging
from pathlib import Path

from firmware_bridge.clock import Clock
from gateway.config import UpdateConfig
from gateway.contract.manifest import ManifestError
from gateway.contract.records import TEXT_CHARACTERS_MAX, ModelReport
from gateway.core.update import NO_BUNDLE, Action, Event, Outcome, State, event_of, step
from gateway.shell.bundle_files import FACTORY, ActiveBundle, BundleFiles, read_state
from gateway.shell.host_process import HostError
from gateway.shell.inference import Inference
from gateway.shell.recorder import Recorder
from gateway.shell.update_client import check, deadline_s, fetch_command
from gateway.shell.verified_bundle import BundleMissingError

log = logging.getLogger(__name__)


class ModelService:
    """Owns the bundle files and the inference, and moves the update's state machine."""

    def __init__(
        self, models: Path, model_deadline_s: float, recorder: Recorder, clock: Clock, factory: Path = FACTORY
    ) -> None:
        self._models = models
        self._files = BundleFiles(models, factory)
        self._recorder, self._clock = recorder, clock
        self._state = State.IDLE
        self._struck_out = asyncio.Event()
        self._check_scope: asyncio.Timeout | None = None
        self.inference = Inference(model_deadline_s, self._strike, self._struck_out.set)
        self.last_report: ModelReport | None = None

    async def start(self) -> None:
        """Load what should run; without a usable bundle the baseline speaks alone."""
        try:
            bundle = self._files.start()
        except (BundleMissingError, ManifestError, OSError) as error:
            log.error("no model runs, the baseline speaks: error=%s", error)  # noqa: TRY400 - expected trouble
            return
        await self.inference.insist(bundle)
        log.info("model chosen: bundle=%s release=%d origin=%s", bundle.digest[:12], bundle.release, bundle.origin)
        if bundle.trouble:
            await self._report("rolled_back", bundle.release, bundle.digest, bundle.trouble)

    async def watch_strikes(self) -> None:
        """Roll back whenever a bundle has had its chances."""
        while True:
            await self._struck_out.wait()
            self._struck_out.clear()
            await self._move(Event.HOST_STRUCK_OUT, Outcome("local", reason="its model host failed three times"))

    async def check_for_ever(self, update: UpdateConfig, config_file: Path) -> None:
        """Look for a new bundle every period."""
        while True:
            _, action = step(self._state, Event.CHECK_DUE)
            if action is Action.START_CHECK:
                self._state = State.CHECKING
                outcome = await self._check(update, config_file)
                if self._state is State.CHECKING:  # else a rollback came between
                    await self._move(event_of(outcome), outcome)
            await self._clock.sleep_for(update.period_s)

    async def close(self) -> None:
        """End the model host."""
        await self.inference.close()

    async def _check(self, update: UpdateConfig, config_file: Path) -> Outcome:
        bundle = self.inference.bundle
        current = NO_BUNDLE if bundle is None else bundle.digest
        try:
            async with asyncio.timeout(None) as self._check_scope:
                return await check(fetch_command(config_file), current, deadline_s(update.timeout_s))
        except TimeoutError:
            return Outcome("local", reason="the check was ended for a rollback")
        finally:
            self._check_scope = None

    async def _move(self, event: Event, outcome: Outcome) -> None:
        self._state, action = step(self._state, event)
        match action:
            case Action.ACTIVATE:
                await self._activate(outcome)
            case Action.REPORT_ACTIVATED:
                await self._report("activated", outcome.release, outcome.digest, outcome.reason)
            case Action.REPORT_REFUSED | Action.REFUSE_INSTALLED:
                await self._refuse(outcome)
            case Action.NOTE_TROUBLE:
                log.info("no update: outcome=%s reason=%s", outcome.outcome, outcome.reason)
            case Action.ROLL_BACK | Action.STOP_CHECK_AND_ROLL_BACK:
                if self._check_scope is not None:
                    self._check_scope.reschedule(0)
                await self._roll_back(outcome.reason)
            case Action.REPORT_ROLLED_BACK:
                await self._report("rolled_back", outcome.release, outcome.digest, outcome.reason)
            case _:
                pass

    async def _activate(self, outcome: Outcome) -> None:
        """The new host answers first; only then does the pointer on disk move."""
        assert outcome.digest is not None
        assert outcome.release is not None
        before = self.inference.bundle
        new = ActiveBundle(self._files.path_of(outcome.digest), outcome.digest, outcome.release, "installed")
        try:
            await self.inference.use(new)
            self._files.activate(outcome.digest)
        except (HostError, ManifestError) as error:
            await self._use_again(before)
            reason = f"it does not run here: {error}"
            failed = Outcome("refused", outcome.release, outcome.digest, reason, lasting=True)
            await self._move(Event.ACTIVATION_FAILED, failed)
        except OSError as error:
            await self._use_again(before)
            await self._move(Event.TROUBLE, Outcome("local", reason=f"the disk: {error.strerror}"))
        else:
            await self._move(Event.ACTIVATED, outcome)

    async def _use_again(self, before: ActiveBundle | None) -> None:
        if before is not None and self.inference.bundle is not before:
            await self.inference.insist(before)

    async def _refuse(self, outcome: Outcome) -> None:
        if outcome.lasting and outcome.digest is not None:
            if self._is_current(outcome.digest):  # a damaged one that was fetched again
                await self._move(Event.HOST_STRUCK_OUT, outcome)
                return
            self._files.refuse(outcome.digest, outcome.reason)
        before = self.last_report  # the same refusal every hour is one event
        if before is None or (before.event, before.reason) != ("refused", _text(outcome.reason)):
            await self._report("refused", outcome.release, outcome.digest, outcome.reason)

    def _is_current(self, digest: str) -> bool:
        try:
            return read_state(self._models).current == digest
        except (OSError, ValueError):
            return False

    async def _roll_back(self, why: str) -> None:
        before = self.inference.bundle
        try:
            bundle = self._files.roll_back(why)
            if before is not None and bundle.digest == before.digest:
                await self.inference.use(bundle)  # the factory's: it starts anew, or stays silenced
            else:
                await self.inference.insist(bundle)
        except OSError as error:
            await self._move(Event.TROUBLE, Outcome("local", reason=f"the disk: {error.strerror}"))
        except (BundleMissingError, ManifestError, HostError) as error:
            # The baseline speaks until a check brings a bundle.
            await self._move(Event.TROUBLE, Outcome("local", reason=f"nothing to go back to: {error}"))
        else:
            reason = f"the bundle before it was given up: {why}"
            await self._move(Event.ROLLED_BACK, Outcome("local", bundle.release, bundle.digest, reason))

    def _strike(self) -> int:
        """Count a failure of the host; one that the disk cannot keep is no reason to stop the tick."""
        try:
            return self._files.strike()
        except OSError as error:
            log.error("strike not counted: error=%s", error)  # noqa: TRY400 - expected trouble
            return 0

    async def _report(self, event: str, release: int | None, digest: str | None, reason: str) -> None:
        report = ModelReport(self._clock.utc_us(), event, release, digest, _text(reason))  # type: ignore[arg-type]
        self.last_report = report
        log.warning("model %s: release=%s bundle=%s reason=%s", event, release, (digest or "")[:12], report.reason)
        await self._recorder.write([report])


def _text(reason: str) -> str:
    return reason[:TEXT_CHARACTERS_MAX]
