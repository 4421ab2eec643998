"""One HTTP request and its whole answer, with a limit on everything. A shell.

Whoever answers may be anybody: a portal that redirects, a proxy, a server that sends without end. What comes back is
bounded and plain; whether it may be believed is not decided here.
"""

import os
import re
import ssl
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from yarl import URL

from firmware_bridge.errors import SettingError

# Our cloud's answers are below 1 kB, with its longest sentence; a portal's page may be anything.
ANSWER_BYTES_MAX = 64 * 1024
# A connection is there within seconds or not at all; the whole exchange is bounded by who asks.
CONNECT_S_MAX = 15.0
# Lines of an answer: what aiohttp takes by default is more than ours ever have.
_HEADERS_MAX = 64
_WORDS_CHARACTERS_MAX = 200
# Seconds alone: a date would need a clock that is right.
_RETRY_AFTER = re.compile(r"0|[1-9][0-9]{0,5}")


class CloudError(Exception):
    """No answer that can be believed; the message is for people. Nothing was moved, and it can be tried again.

    `retry_after_s` is how long whoever answered asks to be left alone: nobody has proven it.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class Answer(NamedTuple):
    """What came back: all of it, as it came. `headers` may hold a name more than once."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def open_session(ca_file: str | None, timeout_s: float) -> aiohttp.ClientSession:
    """A session without memory: no cookies, no redirects, two connections.

    Raises:
        SettingError: `ca_file` holds no certificates.
    """
    connector = aiohttp.TCPConnector(ssl=True if ca_file is None else _trusting(ca_file), limit=2)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S_MAX),
        headers={"User-Agent": "smartwatts-gateway", "Accept-Encoding": "identity"},
    )


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Send one request and read its answer to the end; nothing is followed and nothing is unpacked.

    Raises:
        CloudError: no whole answer came, or a longer one than ours ever are.
    """
    try:
        async with session.request(
            method,
            URL(url, encoded=True),  # as it was signed
            headers=headers,
            data=body or None,
            allow_redirects=False,
            auto_decompress=False,
            max_headers=_HEADERS_MAX,
        ) as response:
            answer = Answer(response.status, response.headers, await _read(response))
    except TimeoutError as error:
        raise CloudError("no answer in time") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise CloudError(_trouble(error)) from error
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise CloudError(f"somebody answered {answer.status}, packed: our cloud's answers are plain")
    return answer


def retry_after_s(answer: Answer) -> float | None:
    """The seconds that the answer asks for; None when it names none."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if _RETRY_AFTER.fullmatch(text) else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise CloudError(
                f"somebody answered {response.status} with more than {ANSWER_BYTES_MAX} bytes: not our cloud"
            )
    return bytes(body)


def _trusting(ca_file: str) -> ssl.SSLContext:
    """The authorities in `ca_file` and nobody else."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or "it holds no certificates"
        raise SettingError(
            "sync.ca_file", ca_file, f"cannot be used ({reason})", "name a file in PEM format"
        ) from error


def _trouble(error: Exception) -> str:
    """What went wrong, in words for whoever looks at the cable, the clock and the address."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be looked up: is there a network, and is sync.url right?"
        case aiohttp.ClientConnectorCertificateError():
            reason = _plain(error.certificate_error)
            return (
                f"the certificate of {error.host} is refused ({reason}): is this clock right, or sync.ca_file needed?"
            )
        case aiohttp.ClientConnectorSSLError():
            # its number is one of OpenSSL, not of the system
            reason = _plain(error.os_error.strerror)
            return f"{error.host}:{error.port} does not speak TLS as it should ({reason}): is it https, or http?"
        case aiohttp.ClientConnectorError():
            # asyncio's own words repeat the address; where it tried several there is no number
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else _plain(error.os_error)
            return f"{error.host}:{error.port} cannot be reached ({reason})"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "the connection broke before the answer was whole"
        case aiohttp.ClientResponseError():
            return f"what answered does not speak HTTP as it should ({_plain(error.message)})"
    return f"the connection failed ({_plain(error) or type(error).__name__})"


def _plain(words: object) -> str:
    """Words that others may have chosen: one line of bounded length, in printable characters."""
    line = " ".join(str(words)[:_WORDS_CHARACTERS_MAX].split())
    return "".join(one if one.isprintable() else "?" for one in line)
