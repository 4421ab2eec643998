"""A real headless Chromium for tests of pages, spoken to by its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A cold start on a busy machine; every wait on the browser ends with it.
PATIENCE_S = 30.0


class Page:
    """One tab: `complaints` and `requests` hold what its console said and what it asked the network for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._loads = 0
        self.complaints: list[str] = []
        self.requests: list[str] = []

    async def open(self, url: str, *, width: int = 390, height: int = 844, dark: bool = False) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 800
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        loads = self._loads
        await self.send("Page.navigate", url=url)
        async with asyncio.timeout(PATIENCE_S):
            while self._loads == loads:
                self._note(await self._socket.receive_json())

    async def until(self, expression: str) -> None:
        """Return once the JavaScript `expression` is true in the page."""
        look = f"() => ({expression}) ? done(true) : setTimeout(look, 20)"
        await self.evaluate(f"new Promise((done) => {{ const look = {look}; look(); }})")

    async def evaluate(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def screenshot(self) -> bytes:
        """The whole page as PNG, for people."""
        answer = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_S):
            while (message := await self._socket.receive_json()).get("id") != number:
                self._note(message)
        assert "error" not in message, message
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, message: dict[str, Any]) -> None:
        facts = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loads += 1
            case "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(facts["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(facts["args"]))
            case "Log.entryAdded" if facts["entry"]["level"] in ("error", "warning"):
                self.complaints.append(facts["entry"]["text"])


@asynccontextmanager
async def open_tab(folder: Path) -> AsyncIterator[Page]:
    """A tab of a fresh browser that keeps its state in `folder` and is gone afterwards."""
    assert CHROMIUM is not None
    arguments = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
    arguments += ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--lang=en-GB"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium refuses to start as root without it
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM, *arguments, "about:blank", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert browser.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            address = await _devtools_address(browser.stderr)
            drain = group.create_task(browser.stderr.read())
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json/list") as answer:
                    tabs = [one for one in await answer.json() if one["type"] == "page"]
                async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
            browser.terminate()
            drain.cancel()
    finally:
        if browser.returncode is None:
            browser.kill()
        await browser.wait()


async def _devtools_address(stderr: asyncio.StreamReader) -> str:
    async with asyncio.timeout(PATIENCE_S):
        while line := (await stderr.readline()).decode():
            if line.startswith("DevTools listening on ws://"):
                return line.split("/")[2]
    raise AssertionError("Chromium ended before it listened")
