"""The tree keeps the laws on code, and each law is seen to bite on a planted violation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import code
from tests.house.tree import ROOT, plant

LAWS = [
    code.long_files,
    code.long_functions,
    code.broad_excepts,
    code.clock_readers,
    code.fire_and_forget,
    code.mocks,
    code.second_connections,
]

PLANTED = {
    "a file of 301 lines": (code.long_files, "gateway/core/x.py", "x = 1\n" * 301),
    "a function of 61 lines": (code.long_functions, "gateway/x.py", "def f():\n" + "    x = 1\n" * 60),
    "a long method": (code.long_functions, "gateway/x.py", "class A:\n async def f(self):\n" + "  x = 1\n" * 60),
    "except Exception": (code.broad_excepts, "gateway/shell/x.py", "try: pass\nexcept Exception: pass\n"),
    "except Exception in a tuple": (
        code.broad_excepts,
        "gateway/shell/x.py",
        "try: pass\nexcept (OSError, Exception): pass\n",
    ),
    "a bare except": (code.broad_excepts, "cloud_trainer/x.py", "try: pass\nexcept: pass\n"),
    "except BaseException": (code.broad_excepts, "provisioning/x.py", "try: pass\nexcept BaseException: f()\n"),
    "a suppressed Exception": (
        code.broad_excepts,
        "gateway/x.py",
        "from contextlib import suppress\nwith suppress(Exception): pass\n",
    ),
    "a swallowed cancellation": (
        code.broad_excepts,
        "gateway/x.py",
        "import asyncio\ntry: pass\nexcept asyncio.CancelledError: pass\n",
    ),
    "a swallowed cancellation even in services": (
        code.broad_excepts,
        code.SERVICES,
        "from asyncio import CancelledError\ntry: pass\nexcept CancelledError: pass\n",
    ),
    "time.time()": (code.clock_readers, "gateway/core/x.py", "import time\nnow = time.time()\n"),
    "time under another name": (code.clock_readers, "gateway/x.py", "import time as t\nnow = t.monotonic()\n"),
    "from time import": (code.clock_readers, "firmware_bridge/x.py", "from time import perf_counter_ns as p\n"),
    "datetime.now()": (code.clock_readers, "gateway/x.py", "from datetime import datetime as d\nnow = d.now()\n"),
    "datetime.datetime.today()": (code.clock_readers, "gateway/x.py", "import datetime\ndatetime.datetime.today()\n"),
    "a sleeping test": (
        code.clock_readers,
        "tests/test_x.py",
        "import asyncio\nasync def f(): await asyncio.sleep(1)\n",
    ),
    "asyncio.create_task": (code.fire_and_forget, "gateway/x.py", "import asyncio\nasyncio.create_task(f())\n"),
    "from asyncio import gather": (code.fire_and_forget, "gateway/x.py", "from asyncio import gather\n"),
    "asyncio.wait_for": (code.fire_and_forget, "tests/test_x.py", "import asyncio as a\na.wait_for(f(), 1)\n"),
    "a task of the loop": (
        code.fire_and_forget,
        "gateway/x.py",
        "import asyncio\nasyncio.get_running_loop().create_task(f())\n",
    ),
    "a mock": (code.mocks, "tests/test_x.py", "from unittest.mock import MagicMock\n"),
    "a mock under another name": (code.mocks, "tests/test_x.py", "from unittest import mock\n"),
    "a second connection": (
        code.second_connections,
        "gateway/shell/x.py",
        "from aiosqlite import connect\nconnect('a.db')\n",
    ),
}

ALLOWED = {
    "a file of 300 lines": (code.long_files, "gateway/core/x.py", "x = 1\n" * 300),
    "a function of 60 lines": (code.long_functions, "gateway/x.py", "def f():\n" + "    x = 1\n" * 59),
    "the service boundary": (code.broad_excepts, code.SERVICES, "try: pass\nexcept Exception: pass\n"),
    "cleaning up after anything": (
        code.broad_excepts,
        "gateway/x.py",
        "try: pass\nexcept BaseException:\n f()\n raise\n",
    ),
    "a cancellation that goes on": (
        code.broad_excepts,
        "gateway/x.py",
        "import asyncio\ntry: pass\nexcept asyncio.CancelledError:\n    raise\n",
    ),
    "the clock": (code.clock_readers, code.CLOCK, "import time\nnow = time.time_ns()\n"),
    "a benchmark": (code.clock_readers, "tests/bench/x.py", "import time\nnow = time.perf_counter()\n"),
    "a clock that is handed in": (code.clock_readers, "gateway/x.py", "def f(clock): return clock.sleep_for(1)\n"),
    "an instant made of a number": (
        code.clock_readers,
        "gateway/x.py",
        "from datetime import datetime\ndatetime.fromtimestamp(0)\n",
    ),
    "a task group": (
        code.fire_and_forget,
        "gateway/x.py",
        "import asyncio\nasync def f():\n async with asyncio.TaskGroup() as group: group.create_task(f())\n",
    ),
    "the store": (code.second_connections, code.STORE, "import aiosqlite\naiosqlite.connect('a.db')\n"),
    "a reader": (
        code.second_connections,
        "provisioning/x.py",
        "import sqlite3\nsqlite3.connect('file:a.db?mode=ro', uri=True)\n",
    ),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_tree_keeps(law: Callable[[Path], list[str]]):
    assert law(ROOT) == []


@pytest.mark.parametrize("name", PLANTED)
def test_caught(name: str, tmp_path):
    law, path, text = PLANTED[name]
    plant(tmp_path, path, text)
    assert [complaint.split(":")[0] for complaint in law(tmp_path)] == [path]


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str, tmp_path):
    law, path, text = ALLOWED[name]
    plant(tmp_path, path, text)
    assert law(tmp_path) == []


def test_every_law_has_a_planted_violation():
    assert {law for law, _, _ in PLANTED.values()} == set(LAWS)


def test_every_long_file_has_a_reason_and_is_still_long():
    for name, reason in code.LONG_FILES.items():
        assert len(reason) > 20
        assert len((ROOT / name).read_text().splitlines()) > code.FILE_LINES_MAX
