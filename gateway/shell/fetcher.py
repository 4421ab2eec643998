"""How python-tuf gets its bytes here: with deadlines, limits and resumption.

python-tuf's own fetcher retries on its own terms, waits for ever when a byte arrives now and then,
starts every cut download again, lets errors of urllib3 through, and spools where the temporary
folder may be RAM. This one has one budget of time for all files of a check, knows no retries and no
redirects, keeps the part of a target that arrived, and raises nothing but `DownloadError` (and
`OSError` when this machine's disk fails).
"""

import http.client
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.ngclient.fetcher import FetcherInterface
from urllib3.exceptions import HTTPError, NewConnectionError

from firmware_bridge.clock import Clock, SystemClock
from firmware_bridge.reading import MonotonicS

# Between two packets: a mobile link that is silent for longer has lost the connection.
GAP_S_MAX = 10.0
_CHUNK_BYTES = 64 * 1024
# Targets are content-addressed: such a name always means the same bytes, so a part of it can be
# completed by any later check.
_CONTENT_ADDRESSED = re.compile(r"[0-9a-f]{64}\.[A-Za-z0-9_.-]{1,100}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")
# A server that cannot give the part, or gives another one: all of it is asked for instead.
_RANGE_REFUSED = frozenset({http.client.PARTIAL_CONTENT, http.client.REQUESTED_RANGE_NOT_SATISFIABLE})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class BundleFetcher(FetcherInterface):
    """Fetches metadata into memory and targets into `spool`, all within `budget_s` real seconds.

    `last_name` is the file asked for last: what a failed verification that follows is about.
    `last_was_resumed` says that its first bytes came from the spool, which a power cut can spoil.
    """

    def __init__(
        self, url: str, spool: Path, budget_s: float, *, gap_s: float = GAP_S_MAX, clock: Clock | None = None
    ) -> None:
        """Prepare to fetch from the host of `url`, an address that can be parsed."""
        self._clock = clock or SystemClock()
        self._deadline_s = MonotonicS(self._clock.monotonic_s() + budget_s)
        self._gap_s = gap_s
        self._spool = spool
        self._pool = _pool_for(url)
        self.last_name = ""
        self.last_was_resumed = False

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """The file at `url`, of `max_length` bytes at most.

        Raises:
            DownloadError: it did not arrive, or not in time.
            OSError: the spool cannot be written.
        """
        name = self.last_name = url.rpartition("/")[2]
        self.last_was_resumed = False
        if _CONTENT_ADDRESSED.fullmatch(name):
            with self._spooled(url, self._spool / name, max_length) as file:
                yield file
        else:
            memory = io.BytesIO()
            self._download(url, memory, max_length)
            memory.seek(0)
            yield memory

    @contextmanager
    def _spooled(self, url: str, part: Path, max_length: int) -> Iterator[IO[bytes]]:
        """A target, completed from the part that an earlier try left.

        The part stays while the link is at fault, and goes as soon as its bytes are: too many, or
        refused by the caller, who verifies within the `with` block.
        """
        part.touch(mode=0o600)
        try:
            with part.open("r+b") as file:
                self.last_was_resumed = file.seek(0, io.SEEK_END) > 0
                if file.tell() < max_length:
                    self._download(url, file, max_length)
                file.seek(0)
                yield file
        except (RepositoryError, DownloadLengthMismatchError):
            part.unlink()
            raise
        part.unlink()

    def _download(self, url: str, file: IO[bytes], max_length: int) -> None:
        """Append to `file` what it still lacks of `url`."""
        response = self._request(url, file.tell())
        try:
            if file.tell() and response.status != http.client.PARTIAL_CONTENT:
                file.seek(0)
                file.truncate()
            for chunk in self._chunks(url, response):
                if file.tell() + len(chunk) > max_length:
                    raise DownloadLengthMismatchError(f"{url} is longer than {max_length} bytes")
                file.write(chunk)
        finally:
            response.close()
        file.flush()

    def _request(self, url: str, offset: int) -> urllib3.BaseHTTPResponse:
        """The answer to a request for `url` from `offset` on: 200 with all, or 206 with the rest."""
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        response = self._get(url, headers)
        if response.status == http.client.OK or (offset and _starts_at(response, offset)):
            return response
        response.close()
        if offset and response.status in _RANGE_REFUSED:
            return self._request(url, 0)
        raise DownloadHTTPError(f"{url} answered with status {response.status}", response.status)

    def _get(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        with _as_download_error(url):
            return self._pool.request(
                "GET",
                url,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(min(self._gap_s, self._left_s(url))),
            )

    def _fetch(self, url: str) -> Iterator[bytes]:
        """The bytes at `url`; asked for by the interface, `download_file` is what python-tuf uses."""
        return self._chunks(url, self._request(url, 0))

    def _chunks(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        while True:
            self._left_s(url)
            with _as_download_error(url):
                # read1 gives what is there; read() and stream() would wait for a whole chunk,
                # and a byte now and then would keep them waiting beyond every budget.
                chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk

    def _left_s(self, url: str) -> float:
        left_s = self._deadline_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise SlowRetrievalError(f"{url} did not arrive within the time of the check")
        return left_s


def _starts_at(response: urllib3.BaseHTTPResponse, offset: int) -> bool:
    """Whether the answer is the part that was asked for."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return response.status == http.client.PARTIAL_CONTENT and found is not None and int(found[1]) == offset


def _pool_for(url: str) -> urllib3.PoolManager:
    """Connections to the host of `url`, through the proxy that the environment names for it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme)
    if proxy is None or host in _LOOPBACK or proxy_bypass(host):
        return urllib3.PoolManager()
    return urllib3.ProxyManager(proxy)


@contextmanager
def _as_download_error(url: str) -> Iterator[None]:
    """Whatever the network does within becomes a `DownloadError`."""
    try:
        yield
    except NewConnectionError as error:
        # A subclass of urllib3's timeout; a refused connection is none.
        raise DownloadError(f"{url}: no connection") from error
    except urllib3.exceptions.TimeoutError as error:
        raise SlowRetrievalError(f"{url}: nothing arrived in time") from error
    except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise DownloadError(f"{url}: {error}") from error


def clear_spool(spool: Path, keep: frozenset[str] = frozenset()) -> None:
    """Forget the parts of all files but those in `keep`: nothing else will be asked for again."""
    for part in spool.iterdir():
        if part.name not in keep:
            part.unlink()
