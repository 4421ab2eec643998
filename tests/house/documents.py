"""Laws that keep documents and code in step. Each takes a tree and returns its complaints."""

import ast
import re
from itertools import pairwise
from pathlib import Path

from tests.house.tree import files, place

CONFIGS = ("gateway/config.py", "firmware_bridge/config.py")
# fmt: off
GLOSSARY_WORDS = [
    "measurand", "register", "profile", "reading", "quality", "series", "sweep", "tick", "window", "slot", "step",
    "recording period", "block", "outbox", "batch", "store generation", "sequence", "cursor", "bundle", "manifest",
    "digest", "golden vector", "trial", "commit", "roll back", "receipt", "floor", "channel", "release", "claim",
    "breaker", "rung", "seasonal naive", "hold", "rate", "origin",
]
# fmt: on
_ENDINGS = "py|toml|sql|html|js|css|svg|service|md|txt|json"
_PATH = re.compile(rf"(?<![\w/.*-])((?:\.?[\w-]+/)*\.?[\w-]+\.(?:{_ENDINGS}))(?![\w*])")
_TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?")
# One letter of each stands in brackets, so that this file does not contain what it looks for.
_MACHINE_PLACES = re.compile(
    r"(?<![\w.])/(?:w[o]rk|r[o]ot)(?=[/\s\"'`),]|$)|(?<![\w.])/h[o]me/\w|(?<![\w.])/tmp/l[a]b\b"
    r"|p[y]pi\.org|p[y]thonhosted|index-u[r]l[= ]"
)

Complaints = list[str]


def lost_files(root: Path, document: str = "ARCHITECTURE.md") -> Complaints:
    """Every file that the document names exists, named in full or by the end of its path."""
    there = [f"/{place(root, path)}" for path in files(root)]
    return [
        f"{document}:{number}: {name} does not exist"
        for number, name in _named(root / document)
        if not any(one.endswith(f"/{name}") for one in there)
    ]


def lost_tests(root: Path, document: str = "CONTRIBUTING.md") -> Complaints:
    """Every test that the table of laws names exists."""
    complaints = []
    for number, line in enumerate((root / document).read_text(encoding="utf-8").splitlines(), 1):
        for file, function in _TEST.findall(line):
            path = root / file
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if not text or (function and not re.search(rf"def {function}\b", text)):
                complaints.append(f"{document}:{number}: {file}{function and '::' + function} does not exist")
    return complaints


def laws_without_a_guard(root: Path, document: str = "CONTRIBUTING.md") -> Complaints:
    """Every row of the table of laws names the test that holds it, or says "by review"."""
    text = (root / document).read_text(encoding="utf-8")
    rows = [row.strip() for row in text.splitlines() if re.match(r"\| *\d+ *\|", row)]
    unguarded = [row for row in rows if not re.search(r"`tests/|`make |by review", row)]
    complaints = [f"{document}: no guard in {row}" for row in unguarded]
    if len(rows) < 12:
        complaints.append(f"{document}: {len(rows)} laws in the table, the design has 12")
    return complaints


def silent_settings(root: Path) -> Complaints:
    """Every setting has a comment above it: its unit, and why the default is what it is."""
    complaints = []
    for name in CONFIGS:
        path = root / name
        if not path.exists():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for owner in ast.parse("\n".join(lines)).body:
            if not isinstance(owner, ast.ClassDef) or owner.name == "Config":
                continue  # the root's fields are the sections, whose docstrings say what they are
            for before, field in pairwise(owner.body):
                if isinstance(field, ast.AnnAssign) and not _is_remark(lines, before, field):
                    complaints.append(f"{name}:{field.lineno}: {ast.unparse(field.target)} has no comment above it")
    return complaints


def undefined_words(root: Path, measurands: list[str], units: list[str]) -> Complaints:
    """Every measurand, unit and word of the field stands in the glossary, as a head word in bold or code."""
    text = (root / "GLOSSARY.md").read_text(encoding="utf-8")
    heads = {word.strip().lower() for word in re.findall(r"\*\*([^*]+)\*\*", text)} | set(
        re.findall(r"`([^`]+)`", text)
    )
    wanted = [*measurands, *units, *GLOSSARY_WORDS]
    return [f"GLOSSARY.md: {word} is not defined" for word in wanted if word not in heads]


def unlisted_exit_codes(root: Path, codes: list[int]) -> Complaints:
    """README.md lists every exit code in a table row `| code | meaning |`."""
    text = (root / "README.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\|\s*`?(\d+)`?\s*\|", text, re.MULTILINE)}
    return [f"README.md: exit code {code} is not listed" for code in codes if code not in listed]


def machine_places(root: Path) -> Complaints:
    """No text names a place on one machine or a package index: a clone works anywhere."""
    complaints = []
    for path in files(root):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or a model
        name = place(root, path)
        complaints += [
            f"{name}:{number}: names {found[0]}"
            for number, line in enumerate(lines, 1)
            if (found := _MACHINE_PLACES.search(line))
        ]
    return complaints


def _named(document: Path) -> list[tuple[int, str]]:
    lines = document.read_text(encoding="utf-8").splitlines()
    return [(number, name) for number, line in enumerate(lines, 1) for name in _PATH.findall(line)]


def _is_remark(lines: list[str], before: ast.stmt, field: ast.stmt) -> bool:
    above = lines[(before.end_lineno or 0) : field.lineno - 1]
    return any(line.strip().startswith("#") for line in above)
