import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from firmware_bridge.errors import SettingError
from gateway.shell.http_exchange import (
    ANSWER_BYTES_MAX,
    Answer,
    CloudError,
    exchange,
    open_session,
    retry_after_s,
)
from tests.sim.tls import make_certificate

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TIMEOUT_S = 5.0


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def trouble(handler: Handler, path: str = "/") -> str:
    async with serving(handler) as url, open_session(None, TIMEOUT_S) as session:
        with pytest.raises(CloudError) as caught:
            await exchange(session, "GET", url + path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_one_request_and_its_answer_as_they_are():
    heard: list[tuple[str, str, bytes, dict[str, str]]] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append((request.method, request.raw_path, await request.read(), dict(request.headers)))
        return web.Response(status=409, body=b"no", headers={"X-One": "1"})

    async with serving(answer) as url, open_session(None, TIMEOUT_S) as session:
        told = await exchange(session, "POST", f"{url}/a%7Eb?c=d", headers={"X-Two": "2"}, body=b"body")
    assert (told.status, told.body, told.headers["X-One"]) == (409, b"no", "1")
    method, path, body, headers = heard[0]
    assert (method, path, body, headers["X-Two"]) == ("POST", "/a%7Eb?c=d", b"body", "2"), (
        "the address as it was signed"
    )
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"] == "smartwatts-gateway", "no version for strangers"


async def test_a_redirection_is_an_answer_and_nothing_else():
    async def redirect(request: web.Request) -> web.Response:
        assert request.path == "/", "a redirection is never followed"
        raise web.HTTPFound("/portal")

    async with serving(redirect) as url, open_session(None, TIMEOUT_S) as session:
        assert (await exchange(session, "GET", url)).status == 302


async def test_nothing_is_kept_of_a_portals_cookies():
    async def portal(request: web.Request) -> web.Response:
        assert "Cookie" not in request.headers
        response = web.Response()
        response.set_cookie("portal", "you")
        return response

    async with serving(portal) as url, open_session(None, TIMEOUT_S) as session:
        for _ in range(2):
            assert (await exchange(session, "GET", url)).status == 200


async def test_an_answer_without_end_is_left():
    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 10_000)

    assert f"more than {ANSWER_BYTES_MAX} bytes" in await trouble(talk)


async def test_a_packed_answer_is_refused_before_it_is_unpacked():
    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})

    assert "packed" in await trouble(bomb)


async def test_half_an_answer_is_none():
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    assert await trouble(half) == "the connection broke before the answer was whole"


async def test_a_server_that_hangs_up_is_told():
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert "the connection" in await trouble(hang_up)


async def test_headers_without_end_are_refused():
    async def many(_: web.Request) -> web.Response:
        return web.Response(headers={f"X-{number}": "x" for number in range(200)})

    assert "does not speak HTTP as it should" in await trouble(many)


async def test_a_port_where_nobody_listens_is_told(unused_tcp_port: int):
    async with open_session(None, TIMEOUT_S) as session:
        with pytest.raises(CloudError, match=rf"127.0.0.1:{unused_tcp_port} cannot be reached \(.*refused.*\)"):
            await exchange(session, "GET", f"http://127.0.0.1:{unused_tcp_port}")


async def test_a_name_that_nobody_knows_is_told():
    async with open_session(None, TIMEOUT_S) as session:
        with pytest.raises(CloudError, match=r"the name nobody.invalid cannot be looked up: is there a network"):
            await exchange(session, "GET", "http://nobody.invalid/")


async def test_a_silent_server_is_left_at_the_deadline():
    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()  # until the client leaves, which ends this request
        return response

    async with serving(silent) as url, open_session(None, 0.2) as session:
        with pytest.raises(CloudError, match="no answer in time"):
            await exchange(session, "GET", url)


# --- TLS ----------------------------------------------------------------------------------------------------


async def plain(_: web.Request) -> web.Response:
    return web.Response(body=b"here")


async def test_a_companion_with_a_certificate_of_its_own_is_reached_by_the_file(tmp_path):
    file, context = make_certificate(tmp_path)
    async with serving(plain, context) as url, open_session(str(file), TIMEOUT_S) as session:
        assert (await exchange(session, "GET", url)).body == b"here"


async def test_a_server_without_tls_is_told_from_one_that_cannot_be_reached():
    async with serving(plain) as url, open_session(None, TIMEOUT_S) as session:
        with pytest.raises(
            CloudError, match=r"127.0.0.1:\d+ does not speak TLS as it should \(.*SSL.*\): is it https"
        ):
            await exchange(session, "GET", url.replace("http:", "https:"))


async def test_a_certificate_that_nobody_vouches_for_is_refused_with_a_hint(tmp_path):
    _, context = make_certificate(tmp_path)
    async with serving(plain, context) as url, open_session(None, TIMEOUT_S) as session:
        with pytest.raises(CloudError, match=r"certificate of 127.0.0.1 is refused .*sync.ca_file"):
            await exchange(session, "GET", url)


async def test_a_certificate_that_ended_is_refused_and_the_clock_is_mentioned(tmp_path):
    file, context = make_certificate(tmp_path, until=datetime(2001, 1, 1, tzinfo=UTC))
    async with serving(plain, context) as url, open_session(str(file), TIMEOUT_S) as session:
        with pytest.raises(CloudError, match=r"refused \(.*expired.*\): is this clock right"):
            await exchange(session, "GET", url)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_file_without_certificates_is_a_mistake_in_the_configuration(tmp_path, content):
    file = tmp_path / "companion.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingError, match=r"sync.ca_file = .*cannot be used"):
        open_session(str(file), TIMEOUT_S)


# --- what an answer asks for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("30", 30.0), ("999999", 999999.0), ("", None), ("-1", None), ("1e9", None), ("1234567", None)]
    + [(text, None) for text in ("01", " 5", "Fri, 01 Jan 2027 00:00:00 GMT", "٣", "nan")],
)
def test_seconds_to_wait_are_whole_and_bounded(text, seconds):
    assert retry_after_s(Answer(503, {"Retry-After": text}, b"")) == seconds


def test_an_answer_that_asks_for_nothing_names_no_seconds():
    assert retry_after_s(Answer(503, {}, b"")) is None


async def test_the_words_of_strangers_stay_one_line():
    async def odd(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/9.9 \x1b[31mred\r\n\r\n")  # type: ignore[attr-defined]
        request.transport.close()
        return web.Response()

    said = await trouble(odd)
    assert said.isprintable()
    assert len(said) < 400


def test_an_error_carries_what_whoever_answered_asked_for():
    assert CloudError("later", 5.0).retry_after_s == 5.0
    assert CloudError("no").retry_after_s is None
