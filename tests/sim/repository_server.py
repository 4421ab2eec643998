"""A repository over real HTTP on loopback that misbehaves on demand, from another thread.

`faults[part of the path]` is a function that answers instead of the honest server; `requests`
keeps what was asked for, with its range.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[["Handler", bytes], None]


class RepositoryServer(ThreadingHTTPServer):
    """Serves the files of `folder`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.faults: dict[str, Fault] = {}
        self.requests: list[tuple[str, str | None]] = []
        # set when the tests are done with it: whoever waits on purpose stops waiting
        self.is_closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, part: str) -> list[str | None]:
        """The ranges of all requests whose path holds `part`."""
        return [asked_range for path, asked_range in self.requests if part in path]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, killed or fed up, is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: RepositoryServer

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        path = self.server.folder / self.path.lstrip("/")
        data = path.read_bytes() if path.is_file() else None
        for part, fault in self.server.faults.items():
            if part in self.path:
                fault(self, data or b"")
                return
        if data is None:
            self.answer(404, b"")
        else:
            self.honestly(data)

    def honestly(self, data: bytes) -> None:
        """The file, or the part of it that was asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found is None:
            self.answer(200, data)
        elif (offset := int(found[1])) >= len(data):
            self.answer(416, b"")
        else:
            self.answer(206, data[offset:], {"Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"})

    def answer(
        self, code: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """Send `body`; `length` lies about its length."""
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
        """Say nothing."""


def flip_byte(handler: Handler, data: bytes) -> None:
    """One byte of the file is another, its length is right."""
    middle = len(data) // 2
    handler.honestly(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def shorten(handler: Handler, data: bytes) -> None:
    """The file ends early, and the server believes that this is all."""
    handler.honestly(data[: len(data) // 2])


def lengthen(handler: Handler, data: bytes) -> None:
    """There is more than there should be."""
    handler.honestly(data + b"more")


def portal(handler: Handler, _: bytes) -> None:
    """A captive portal: everything is fine, here is a page."""
    handler.answer(200, b"<html><body>Welcome to the hotel. Please log in.</body></html>")


def status(code: int) -> Fault:
    """The server answers with an error, or a redirection."""
    return lambda handler, _: handler.answer(code, b"", {"Location": "http://127.0.0.1:9/"})


def cut_after(size: int) -> Fault:
    """The link breaks after `size` bytes of each answer."""

    def cut(handler: Handler, data: bytes) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        offset = int(found[1]) if found else 0
        rest = data[offset:]
        headers = {"Content-Range": f"bytes {offset}-{len(data) - 1}/{len(data)}"} if offset else {}
        handler.answer(206 if offset else 200, rest[:size], headers, length=len(rest))
        handler.close_connection = True

    return cut


def without_ranges(handler: Handler, data: bytes) -> None:
    """A server that does not know ranges: always all of it."""
    handler.answer(200, data)


def refuse_ranges(handler: Handler, data: bytes) -> None:
    """A server that finds every range beyond the end."""
    handler.answer(416 if handler.headers.get("Range") else 200, b"" if handler.headers.get("Range") else data)


def wrong_part(handler: Handler, data: bytes) -> None:
    """A server that gives another part than the one asked for."""
    if handler.headers.get("Range"):
        handler.answer(206, data, {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})
    else:
        handler.answer(200, data)


def endless(handler: Handler, _: bytes) -> None:
    """Bytes without end, as long as somebody takes them."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.is_closing.is_set():
        handler.wfile.write(b"x" * 65536)


def silent(handler: Handler, _: bytes) -> None:
    """The connection stands and nothing comes."""
    handler.server.is_closing.wait()


def stall_after(size: int, reached: threading.Event) -> Fault:
    """`size` bytes come, then nothing more; `reached` is set when that is so."""

    def stall(handler: Handler, data: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:size])
        handler.wfile.flush()
        reached.set()
        handler.server.is_closing.wait()

    return stall


def trickle(period_s: float) -> Fault:
    """A byte now and then, always in time for the gap, never done."""

    def drip(handler: Handler, data: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for byte in data:
            handler.wfile.write(bytes([byte]))
            if handler.server.is_closing.wait(period_s):
                return

    return drip


@contextmanager
def serving(folder: Path) -> Iterator[RepositoryServer]:
    """Serve `folder` within the block."""
    server = RepositoryServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.is_closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
