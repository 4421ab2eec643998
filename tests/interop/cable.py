"""Two pseudo-terminals joined as two serial adapters are by a cable."""

import os
import select
import tty
from pathlib import Path
from threading import Thread
from typing import Self

_READ_BYTES_MAX = 1024


class Cable:
    """What is written to one end comes out of the other, at once: whoever needs a pace takes the simulator's line."""

    def __init__(self) -> None:
        pairs = [os.openpty() for _ in range(2)]
        # Both sides of each stay open: without a program on it, a terminal would fail every read.
        self._ours, self._theirs = zip(*pairs, strict=True)
        for descriptor in self._theirs:
            tty.setraw(descriptor)
        self.ends = [Path(os.ttyname(descriptor)) for descriptor in self._theirs]
        self._stop, self._stopper = os.pipe()
        self._thread = Thread(target=self._carry)

    def _carry(self) -> None:
        other = dict(zip(self._ours, reversed(self._ours), strict=True))
        while True:
            ready, _, _ = select.select([*self._ours, self._stop], [], [])
            if self._stop in ready:
                return
            for descriptor in ready:
                os.write(other[descriptor], os.read(descriptor, _READ_BYTES_MAX))

    def parities(self, notes: Path) -> list[str]:
        """The parity that each end was last set to, as hil/parity_notes.c noted it."""
        return [(notes / end.name).read_text() for end in self.ends]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        os.write(self._stopper, b".")
        self._thread.join()
        for descriptor in (*self._ours, *self._theirs, self._stop, self._stopper):
            os.close(descriptor)
