"""The tree keeps the law of isolation, and it is seen to bite on planted statements."""

import pytest

from tests.house.isolation import OF_ALL, SCHEMA, statements_of_nobody
from tests.house.tree import ROOT, plant

TABLES = """
CREATE TABLE organisation (organisation_id text);
CREATE TABLE record (gateway_id text);
CREATE VIEW reading AS SELECT 1;
"""

PLANTED = {
    "a count of everybody's": ("cloud_trainer/x.py", 'c.execute("SELECT count(*) FROM record")'),
    "a gateway without its organisation": ("cloud_trainer/x.py", 'S = "SELECT 1 FROM record WHERE gateway_id = %s"'),
    "a view": ("cloud_trainer/fleet/x.py", 'S = "SELECT 1 FROM other JOIN reading USING (x)"'),
    "a deletion": ("cloud_trainer/x.py", 'S = """\nDELETE FROM\n  record WHERE sequence = %s\n"""'),
    "text in pieces": ("cloud_trainer/x.py", 'S = ("UPDATE record "\n     "SET kind = %s")'),
    "ingest without a gateway": ("cloud_trainer/ingest/x.py", 'S = "SELECT body FROM record WHERE sequence = %b"'),
}

ALLOWED = {
    "an organisation by name": ("cloud_trainer/x.py", 'S = "SELECT 1 FROM record WHERE organisation_id = %s"'),
    "through gateway_of": (
        "cloud_trainer/x.py",
        'S = "SELECT 1 FROM reading WHERE gateway_id = gateway_of(%(organisation)s, %(gateway)s)"',
    ),
    "ingest by gateway": ("cloud_trainer/ingest/x.py", 'S = "SELECT 1 FROM record WHERE gateway_id = %b"'),
    "a table of nobody": ("cloud_trainer/x.py", 'S = "SELECT name FROM organisation"'),
    "words that are no statement": ("cloud_trainer/x.py", '"""Take it from record to record."""'),
}


def test_the_tree_keeps_it():
    assert statements_of_nobody(ROOT) == []


@pytest.mark.parametrize("name", PLANTED)
def test_caught(name: str, tmp_path):
    path, text = PLANTED[name]
    plant(tmp_path, f"{SCHEMA}/0001_x.sql", TABLES)
    plant(tmp_path, path, text)
    assert [complaint.split(":")[0] for complaint in statements_of_nobody(tmp_path)] == [path]


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(name: str, tmp_path):
    path, text = ALLOWED[name]
    plant(tmp_path, f"{SCHEMA}/0001_x.sql", TABLES)
    plant(tmp_path, path, text)
    assert statements_of_nobody(tmp_path) == []


def test_every_exception_has_a_reason_and_is_still_there():
    for name, reason in OF_ALL.items():
        assert len(reason) > 20
        assert (ROOT / name).exists()
