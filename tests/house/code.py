"""Laws on the text of the code. Each takes a tree and returns its complaints, `path:line: what`."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.house.tree import PACKAGES, files, place

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
# path: why this file may be longer
LONG_FILES: dict[str, str] = {}

CLOCK = "firmware_bridge/clock.py"
SERVICES = "gateway/shell/services.py"
STORE = "gateway/shell/database.py"

_TIME = "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns sleep localtime gmtime clock_gettime"
CLOCK_READERS = frozenset(
    {f"time.{name}" for name in _TIME.split()}
    | {f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")}
    | {"datetime.date.today", "asyncio.sleep", "threading.Timer"}
)
FORGETTERS = frozenset({f"asyncio.{name}" for name in ("create_task", "ensure_future", "gather", "wait_for")})
MOCKS = frozenset({"unittest.mock", "mock", "pytest_mock"})
CONNECTORS = frozenset({"sqlite3.connect", "aiosqlite.connect"})
_EVERYTHING = frozenset({"", "Exception", "BaseException"})
_CANCELLATION = "asyncio.CancelledError"
_TOO_MUCH = _EVERYTHING | {_CANCELLATION}

Complaints = list[str]


def long_files(root: Path) -> Complaints:
    """A file of the packages is explained by one noun and has 300 lines at most."""
    lengths = {place(root, path): len(path.read_text().splitlines()) for path in files(root, *PACKAGES, suffix=".py")}
    return [
        f"{name}:{lines}: more than {FILE_LINES_MAX} lines"
        for name, lines in lengths.items()
        if lines > FILE_LINES_MAX and name not in LONG_FILES
    ]


def long_functions(root: Path) -> Complaints:
    """A function of the packages has 60 lines at most."""

    def check(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield node.lineno, f"{node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"

    return _each_module(root, check, *PACKAGES)


def broad_excepts(root: Path) -> Complaints:
    """Any exception is caught in one place only; a cancellation goes on up."""

    def check(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
        known = _imports(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and not _goes_on(node):
                caught = {_dotted(one, known) for one in _leaves(node.type)}
                if caught & _EVERYTHING and name != SERVICES:
                    yield node.lineno, f"catches everything; only {SERVICES} may"
                if _CANCELLATION in caught:
                    yield node.lineno, "swallows a cancellation"
            if isinstance(node, ast.Call) and _dotted(node.func, known) == "contextlib.suppress":
                yield from (
                    (node.lineno, "suppresses everything") for one in node.args if _dotted(one, known) in _TOO_MUCH
                )

    return _each_module(root, check, *PACKAGES)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only cleans up: its last statement is a bare `raise`."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def clock_readers(root: Path) -> Complaints:
    """Time is read and slept in one module; tests have simulated time, benchmarks may look at the clock."""
    return _forbidden_names(root, CLOCK_READERS, f"time is read in {CLOCK} alone", CLOCK, "tests/bench/")


def fire_and_forget(root: Path) -> Complaints:
    """A task belongs to a TaskGroup, a deadline is asyncio.timeout()."""
    return _forbidden_names(root, FORGETTERS, "use a TaskGroup or asyncio.timeout()") + _loop_tasks(root)


def mocks(root: Path) -> Complaints:
    """Simulators, not mocks."""
    return _forbidden_names(root, MOCKS, "write a simulator that speaks the real protocol")


def second_connections(root: Path) -> Complaints:
    """Exactly one module opens the store, so there is one read-write connection."""

    def check(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        known = _imports(tree)
        for node in calls:
            if _dotted(node.func, known) in CONNECTORS and name != STORE and "mode=ro" not in ast.unparse(node):
                yield node.lineno, f"opens SQLite to write; only {STORE} may"

    return _each_module(root, check, *PACKAGES)


def _loop_tasks(root: Path) -> Complaints:
    def check(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "create_task":
                owner = ast.unparse(node.value)
                if owner.endswith(("loop", "loop()")):
                    yield node.lineno, f"{owner}.create_task: use a TaskGroup"

    return _each_module(root, check, *PACKAGES, "tests")


def _forbidden_names(root: Path, forbidden: frozenset[str], remedy: str, *exempt: str) -> Complaints:
    def check(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
        if name.startswith(exempt):
            return
        known = _imports(tree)
        for node in ast.walk(tree):
            for used in _used(node, known):
                if used in forbidden:
                    yield node.lineno, f"{used}: {remedy}"

    return _each_module(root, check, *PACKAGES, "tests", "hil")


def _used(node: ast.AST, known: dict[str, str]) -> list[str]:
    """What a node names: `time.time` as written or under an alias, `from time import time`."""
    if isinstance(node, ast.Attribute):
        return [_dotted(node, known)]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return []


def _each_module(
    root: Path, check: Callable[[ast.Module, str], Iterator[tuple[int, str]]], *folders: str
) -> Complaints:
    complaints = []
    for path in files(root, *folders, suffix=".py"):
        name = place(root, path)
        found = check(_parsed(path, path.stat().st_mtime_ns), name)
        complaints += [f"{name}:{line}: {what}" for line, what in found]
    return complaints


@cache
def _parsed(path: Path, _: int) -> ast.Module:
    """The tree of a file as it is since an instant; every law looks at the same one."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted name of everything the module imports."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {
                alias.asname or alias.name: alias.name
                for alias in node.names
                if alias.asname or "." not in alias.name
            }
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def _dotted(node: ast.expr | None, known: dict[str, str]) -> str:
    """The full name an expression stands for, "" for no expression."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, known)}.{node.attr}"
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    return "" if node is None else "?"


def _leaves(node: ast.expr | None) -> list[ast.expr | None]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]
