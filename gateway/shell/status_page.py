"""The status page: a few static files, one JSON and the metrics, over plain HTTP. A shell.

It shows and never acts, so it needs no password; who may reach it is the choice of the host it is
bound to. A web page from elsewhere cannot read it through the user's browser: a foreign Host header
is refused, and the content security policy allows nothing that did not come from here.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import hdrs, web

from firmware_bridge.errors import ConflictError, SettingError

Status = Callable[[], dict[str, Any]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A household's phones with a few tabs each. The newest comes in and the oldest is shown out, so a
# client that opens many and sends nothing cannot lock the page.
CONNECTIONS_MAX = 32
# Seconds without a request until a connection is closed; the page asks each second.
IDLE_S = 15.0
# Shutting down must not wait for a slow reader of the page.
SHUTDOWN_S = 1.0

_FOLDER = Path(__file__).with_name("page")
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/chart.js": ("chart.js", "text/javascript"),
    "/drawing.js": ("drawing.js", "text/javascript"),
    "/outlook.js": ("outlook.js", "text/javascript"),
    "/words.js": ("words.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PORT_PROBLEMS = {
    errno.EADDRINUSE: ("page.port", "is taken by another program", "choose another port or stop that program"),
    errno.EACCES: ("page.port", "needs rights that the gateway does not have", "choose a port above 1023"),
}


async def serve(
    status: Status, host: str, port: int, *, on_listening: Callable[[int], None] = lambda _: None
) -> None:
    """Serve the page until cancelled; `on_listening` hears the port once connections are accepted.

    Raises:
        SettingError: the address cannot be used; names `page.port` or `page.host`. A ConflictError when it is taken.
    """
    runner = web.AppRunner(
        make_app(status, host), access_log=None, keepalive_timeout=IDLE_S, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        listener = await _listen(runner, host, port)
        try:
            on_listening(listener.sockets[0].getsockname()[1])
            await asyncio.Event().wait()
        finally:
            listener.close()
    finally:
        await runner.cleanup()


def make_app(status: Status, host: str) -> web.Application:
    """The page as an application: `status` gives the JSON, `host` is what it will be bound to."""
    machine = socket.gethostname().lower()
    own_names = frozenset({"localhost", host.lower(), machine, f"{machine}.local"})

    @web.middleware
    async def refuse_foreign_hosts(request: web.Request, handler: _Handler) -> web.StreamResponse:
        transport = request.transport
        arrived_at = transport.get_extra_info("sockname")[0] if transport else ""
        if not is_own_host(request.headers.getall(hdrs.HOST, []), arrived_at, own_names):
            raise web.HTTPMisdirectedRequest(text="This gateway goes by another name.\n")
        return await handler(request)

    async def status_json(_: web.Request) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(status(), enc_hook=float),  # numpy's numbers are numbers too
            content_type="application/json",
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def metrics(_: web.Request) -> web.Response:
        # only who scrapes the gateway pays for the library
        from gateway.shell.metrics import metrics_text

        return web.Response(
            body=metrics_text(status()),
            content_type="text/plain",
            charset="utf-8",
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers={hdrs.CACHE_CONTROL: "no-store"})

    app = web.Application(middlewares=[refuse_foreign_hosts], client_max_size=1024)
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/status.json", status_json)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", healthz)
    for path, (name, content_type) in _FILES.items():
        app.router.add_get(path, _file_handler((_FOLDER / name).read_bytes(), content_type))
    return app


def is_own_host(headers: list[str], arrived_at: str, own_names: frozenset[str]) -> bool:
    """Whether a request names this gateway: one of its names, or the address it arrived at.

    A page of a stranger that points its own name at our address (DNS rebinding) still sends that
    name. Ports are not compared: a forwarded port is fine.
    """
    if len(headers) != 1:
        return False
    try:
        name = urlsplit(f"//{headers[0]}").hostname or ""
    except ValueError:
        return False
    if name in own_names:
        return True
    address = _address(name)
    return address is not None and address == _address(arrived_at)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _file_handler(body: bytes, content_type: str) -> _Handler:
    async def handler(_: web.Request) -> web.Response:
        # no-cache: ask each time, so that a new version of the gateway shows its own page
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={hdrs.CACHE_CONTROL: "no-cache"}
        )

    return handler


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


async def _listen(runner: web.AppRunner, host: str, port: int) -> asyncio.Server:
    server = runner.server
    assert server is not None

    def accept() -> asyncio.Protocol:
        connections = server.connections
        for oldest in connections[: max(0, len(connections) + 1 - CONNECTIONS_MAX)]:
            oldest.force_close()
        return server()

    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(accept, host, port, backlog=CONNECTIONS_MAX)
    except OSError as error:
        default = ("page.host", f"cannot be used ({error.strerror})", 'use "127.0.0.1" or an address of this machine')
        field, problem, next_step = _PORT_PROBLEMS.get(error.errno or 0, default)
        kind = ConflictError if error.errno == errno.EADDRINUSE else SettingError
        raise kind(field, str(port) if field == "page.port" else host, problem, next_step) from error
