"""A line whose devices send by themselves: P1, SML, sensors. Takes what came since the last sweep. A shell."""

import asyncio
from collections.abc import Sequence

from firmware_bridge.breaker import Breaker
from firmware_bridge.clock import Clock
from firmware_bridge.config import BusConfig
from firmware_bridge.errors import BusError, LineError, NoReplyError
from firmware_bridge.frames.fields import FieldDecoder
from firmware_bridge.frames.frame import Frame
from firmware_bridge.frames.reader import reader_of
from firmware_bridge.meter import Meter
from firmware_bridge.reading import US_PER_S, MonotonicS, UtcUs
from firmware_bridge.serial_stream import SerialStream

# A line that cannot be opened is tried again at once, then less and less often.
REST_FIRST_S, REST_LAST_S = 0.5, 10.0
# More names than that help nobody.
_SENDERS_MAX = 8


class Listener:
    """The devices that send on one line."""

    def __init__(self, bus: BusConfig, here: Sequence[Meter], clock: Clock) -> None:
        """Nothing is opened yet.

        Raises:
            SettingError: the address cannot be one, or the extra for this protocol is not installed.
        """
        self._bus, self._clock = bus, clock
        self._stream = SerialStream(bus)
        self._reader = reader_of(bus.protocol)
        self._breaker = Breaker(silences_max=1, rest_first_s=REST_FIRST_S, rest_last_s=REST_LAST_S)
        self._error: BusError = LineError("not tried yet")
        # whose frames came, for who looks for one that does not
        self._senders: set[str] = set()
        self._seats = [_Seat(meter) for meter in here]

    async def sweep(self, tick_us: UtcUs, until_s: MonotonicS) -> None:  # noqa: ARG002 - as a line that asks
        """Give each device's meter the last of its frames that came since the last sweep."""
        frames: list[Frame] = []
        try:
            frames = await self._hear()
        finally:  # also when the sweep is over before the line is open
            self._tell(frames, tick_us)

    async def _hear(self) -> list[Frame]:
        """The frames that came; none while the line is not there."""
        if self._breaker.is_resting(self._clock.monotonic_s()):
            return []
        try:
            if not self._stream.is_open:
                await self._stream.open()
            frames = self._reader.feed(self._stream.take())
            self._senders.update(frame.sender for frame in frames[: _SENDERS_MAX - len(self._senders)])
            self._error = self._silence()
        except BusError as error:
            self._fail(error)
            return []
        except asyncio.CancelledError:
            self._fail(LineError(f"no connection by the deadline of the sweep: bus={self._bus.name}"))
            raise
        self._breaker.answered(self._clock.monotonic_s())
        return frames

    def _silence(self) -> NoReplyError:
        """What to say of a device that is not heard though the line is open."""
        why = "no frame came"
        if self._senders:
            why = f"frames came from {', '.join(sorted(self._senders))}"
        elif self._reader.refused:
            reasons = ", ".join(f"{count} for {reason}" for reason, count in self._reader.refused.items())
            why = f"of what came, was refused: {reasons}"
        return NoReplyError(f"not heard: {why}: bus={self._bus.name}")

    def _fail(self, error: BusError) -> None:
        self._error = error
        self._breaker.was_silent(self._clock.monotonic_s())

    def _tell(self, frames: Sequence[Frame], tick_us: UtcUs) -> None:
        now_us = self._clock.utc_us()
        for seat in self._seats:
            mine = [frame for frame in frames if self._bus.protocol != "sensor" or seat.is_from(frame)]
            seat.sweep(mine, tick_us, now_us, self._error)

    def end_sweep(self) -> None:
        """Nothing is left open by a sweep."""

    def close(self) -> None:
        """Drop the connection."""
        self._stream.close()


class _Seat:
    """One device on the line, and when it was last heard."""

    def __init__(self, meter: Meter) -> None:
        self._meter, profile = meter, meter.profile
        self._decode = FieldDecoder(profile.fields).decode
        self._measurands = [field.measurand for field in profile.fields]
        self._stale_us = round(profile.file.stale_s * US_PER_S)
        # when it was last heard; before that, since when it is listened to
        self._heard_us: UtcUs | None = None
        self._was_heard = False

    def is_from(self, frame: Frame) -> bool:
        """Sensors share a line and say who they are."""
        return frame.sender == str(self._meter.config.unit)

    def sweep(self, frames: Sequence[Frame], tick_us: UtcUs, now_us: UtcUs, error: BusError) -> None:
        """Show the last of these frames; without any, what was shown before stands until it is stale."""
        if self._heard_us is None:
            self._heard_us = tick_us
        if frames:
            self._heard_us, self._was_heard = now_us, True
            self._meter.begin_sweep(())
            self._meter.ask(self._measurands)
            self._meter.serial_number = frames[-1].sender
            self._meter.take(self._measurands, self._decode(frames[-1]), now_us)
        elif abs(tick_us - self._heard_us) > self._stale_us or (isinstance(error, LineError) and not self._was_heard):
            self._meter.begin_sweep(self._measurands)
            self._meter.fail(error)
        else:
            self._meter.begin_sweep(())
