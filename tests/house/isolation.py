"""The law of isolation, on the SQL of the trainer: who touches what belongs to a gateway says whose it is.

It looks for words, statement by statement: that they stand there, not that they stand in the right place. What is
reached is tested in tests/cloud_trainer/fleet/test_isolation.py.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import files, place

SCHEMA = "cloud_trainer/ingest/schema"
# A gateway that has proven who it is writes what is its own; its name is in every key.
INGEST = "cloud_trainer/ingest/"
# Nothing of a gateway is in them.
_SHARED = {"organisation", "schema_version"}
# path: why it may look at all organisations
OF_ALL: dict[str, str] = {
    "cloud_trainer/fleet/organisations.py": "counts what each has, for whoever runs them all",
}

_STATEMENT = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b")
_SAYS_ORGANISATION = re.compile(r"%\(organisation\)s|\borganisation_id = %s")
_SAYS_GATEWAY = re.compile(r"\b(gateway_id|generation_id|organisation_id)\b")

Complaints = list[str]


def statements_of_nobody(root: Path) -> Complaints:
    """A statement says the organisation; one that stores what a gateway sent says the gateway."""
    tables = _tables(root)
    if not tables:
        return []
    touches = re.compile(rf"\b(FROM|JOIN|UPDATE|INTO|USING)\s+({'|'.join(sorted(tables))})\b")
    complaints = []
    for path in files(root, "cloud_trainer", suffix=".py"):
        name = place(root, path)
        said, whose = (_SAYS_GATEWAY, "gateway") if name.startswith(INGEST) else (_SAYS_ORGANISATION, "organisation")
        complaints += [
            f"{name}:{line}: reaches {found[2]} and does not say of which {whose}"
            for line, text in _texts(path)
            if _STATEMENT.search(text) and (found := touches.search(text)) and not said.search(text)
            if name not in OF_ALL
        ]
    return complaints


def _tables(root: Path) -> set[str]:
    """Tables and views with something of a gateway or its site in them."""
    schema = "".join(path.read_text(encoding="utf-8") for path in files(root, SCHEMA, suffix=".sql"))
    return set(re.findall(r"CREATE (?:TABLE|VIEW) (\w+)", schema)) - _SHARED


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
