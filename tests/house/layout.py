"""Laws on where files lie and what they are called. Each takes a tree and returns its complaints."""

import ast
import re
import tomllib
from pathlib import Path

from tests.house.tree import PACKAGES, files, is_made, place

FOLDERS = {*PACKAGES, "systemd", "buildroot", "hil", "tests", "locks"}
ROOT_FILES = {
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DECISIONS.md",
    "GLOSSARY.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
}
# Words that say nothing about what a file is for.
NO_NOUNS = {"util", "utils", "common", "helper", "helpers", "manager", "handler", "handlers", "misc"}
# path: why no test file carries its name
WITHOUT_OWN_TEST = {
    "firmware_bridge/config.py": "structs alone; what they refuse is tested with the root, in tests/gateway",
    "firmware_bridge/errors.py": "exception classes alone; raised and looked at by the tests of their users",
}
# folder: why its files may share one test file, named after the folder and beside where theirs would lie
SHARED_TEST = {
    "cloud_trainer/commands": "declarations of arguments; what they call has tests of its own",
    "provisioning/demo": "the parts of one program, which is tested as a whole by running it",
}
EXTRAS = {"gateway", "ingest", "trainer", "provisioning", "dev"}
SCRIPTS = {"smartwatts-gateway", "smartwatts-trainer", "smartwatts-provision"}

Complaints = list[str]


def strangers_at_the_top(root: Path) -> Complaints:
    """The top level is fixed."""
    names = {path.name for path in root.iterdir() if not path.name.startswith(".") and not is_made(path.name)}
    return [f"{name}: has no place at the top level" for name in sorted(names - FOLDERS - ROOT_FILES)]


def names_without_a_noun(root: Path) -> Complaints:
    """A file is named after what it holds."""
    found = files(root, *PACKAGES, "tests", "hil", suffix=".py")
    return [f"{place(root, path)}: says nothing about what it is for" for path in found if _is_empty_name(path.stem)]


def code_without_a_package(root: Path) -> Complaints:
    """`systemd`, `buildroot` and `hil` are import names of others: no packages of ours."""
    folders = ("systemd", "buildroot", "hil")
    return [f"{folder}/__init__.py: not a package" for folder in folders if (root / folder / "__init__.py").exists()]


def files_without_a_test(root: Path) -> Complaints:
    """One test file for each source file with code in it."""
    complaints = []
    for path in files(root, *PACKAGES, suffix=".py"):
        name = place(root, path)
        if name in WITHOUT_OWN_TEST or path.name in ("__init__.py", "__main__.py") or not _has_code(path):
            continue
        places = _test_places(name)
        if not any((root / one).exists() for one in places):
            complaints.append(f"{name}: has no {' or '.join(places)}")
    return complaints


def maps_without_a_source(root: Path) -> Complaints:
    """Every meter profile names the documents it was made from."""
    complaints = []
    for path in files(root, "firmware_bridge/maps", suffix=".toml"):
        sources = tomllib.loads(path.read_text(encoding="utf-8")).get("sources")
        if not (isinstance(sources, list) and sources and all(isinstance(one, str) and one for one in sources)):
            complaints.append(f"{place(root, path)}: names no sources")
    return complaints


def loose_locks(root: Path) -> Complaints:
    """A lock pins by hash, and names neither an index nor a place on a machine."""
    complaints = []
    for path in files(root, "locks", suffix=".txt"):
        lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split(" ;")[0].split()
            if not words:
                continue
            if not re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+", words[0]) or "://" in line:
                complaints.append(f"{place(root, path)}:{number}: {words[0]} is not a pinned name")
            elif "--hash=sha256:" not in line:
                complaints.append(f"{place(root, path)}:{number}: {words[0]} has no hash")
    return complaints


def incomplete_project(root: Path) -> Complaints:
    """The distribution has the promised packages, extras and commands."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    table = project.get("project", {})
    wheel = project.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    promised = {
        "extra": (EXTRAS, table.get("optional-dependencies", {})),
        "command": (SCRIPTS, table.get("scripts", {})),
        "package": (set(PACKAGES), wheel.get("packages", [])),
    }
    return [
        f"pyproject.toml: the {kind} {name} is missing"
        for kind, (wanted, there) in promised.items()
        for name in sorted(wanted - set(there))
    ]


def _is_empty_name(stem: str) -> bool:
    words = stem.removeprefix("test_").split("_")
    return stem.removeprefix("test_") in NO_NOUNS or words[-1] in NO_NOUNS


def _has_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom) for node in body)


def _test_places(name: str) -> list[str]:
    """Where the test of a source file may lie; the contract, which two sides share, has a folder of its own."""
    folder, _, file = name.rpartition("/")
    if folder in SHARED_TEST:
        above, _, noun = folder.rpartition("/")
        return [f"tests/{folder}/test_{file}", f"tests/{above}/test_{noun}.py"]
    return [f"tests/contract/test_{file}" if folder == "gateway/contract" else f"tests/{folder}/test_{file}"]
