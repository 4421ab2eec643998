"""The tree keeps the laws on its layout, and each law is seen to bite on a planted violation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import layout
from tests.house.tree import ROOT, plant

HASH = "--hash=sha256:" + "0" * 64
PROJECT = (ROOT / "pyproject.toml").read_text()

LAWS = [
    layout.strangers_at_the_top,
    layout.names_without_a_noun,
    layout.code_without_a_package,
    layout.files_without_a_test,
    layout.maps_without_a_source,
    layout.loose_locks,
    layout.incomplete_project,
]

PLANTED = {
    "a top-level folder": (layout.strangers_at_the_top, "docs/x.md", ""),
    "a top-level file": (layout.strangers_at_the_top, "setup.py", ""),
    "utils.py": (layout.names_without_a_noun, "gateway/core/utils.py", ""),
    "bus_manager.py": (layout.names_without_a_noun, "firmware_bridge/bus_manager.py", ""),
    "helpers of tests": (layout.names_without_a_noun, "tests/gateway/helpers.py", ""),
    "a package named systemd": (layout.code_without_a_package, "systemd/__init__.py", ""),
    "a source without a test": (layout.files_without_a_test, "gateway/core/x.py", "def f(): pass\n"),
    "a map without sources": (layout.maps_without_a_source, "firmware_bridge/maps/x.toml", "sources = []\n"),
    "a map without the word": (layout.maps_without_a_source, "firmware_bridge/maps/x.toml", "schema = 1\n"),
    "an index in a lock": (layout.loose_locks, "locks/x.txt", "--find-links https://index.example/simple\n"),
    "a folder in a lock": (layout.loose_locks, "locks/x.txt", f"-e file:///srv/x {HASH}\n"),
    "an address in a lock": (layout.loose_locks, "locks/x.txt", f"a @ https://files.example/a.whl {HASH}\n"),
    "a range in a lock": (layout.loose_locks, "locks/x.txt", f"a>=1 {HASH}\n"),
    "no hash in a lock": (layout.loose_locks, "locks/x.txt", "a==1 ; python_version < '3.12'\n"),
    "an extra that went": (layout.incomplete_project, "pyproject.toml", PROJECT.replace("trainer = [", "trainr = [")),
    "a command that went": (layout.incomplete_project, "pyproject.toml", PROJECT.replace("-provision =", "-x =")),
    "a package that went": (layout.incomplete_project, "pyproject.toml", PROJECT.replace('"provisioning"]', "]")),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_tree_keeps(law: Callable[[Path], list[str]]):
    assert law(ROOT) == []


@pytest.mark.parametrize("name", PLANTED)
def test_caught(name: str, tmp_path):
    law, path, text = PLANTED[name]
    plant(tmp_path, path, text)
    complaints = law(tmp_path)
    assert len(complaints) == 1
    assert complaints[0].split(":")[0] in (path, path.split("/")[0])


def test_the_fixed_folders_documents_and_made_files_have_their_place(tmp_path):
    for name in (*layout.FOLDERS, ".venv-trainer", ".ci", ".demo", "build", "dist", "smartwatts_edge.egg-info"):
        (tmp_path / name).mkdir()
    for name in (*layout.ROOT_FILES, ".gitignore"):
        plant(tmp_path, name)
    assert layout.strangers_at_the_top(tmp_path) == []


def test_a_source_with_its_test_and_one_without_code_are_fine(tmp_path):
    for name in ("gateway/contract/x.py", "gateway/core/y.py", "provisioning/demo/z.py"):
        plant(tmp_path, name, "def f(): pass\n")
    plant(tmp_path, "gateway/core/__init__.py", '"""Words."""\n')
    plant(tmp_path, "tests/contract/test_x.py")
    plant(tmp_path, "tests/gateway/core/test_y.py")
    plant(tmp_path, "tests/provisioning/test_demo.py")
    assert layout.files_without_a_test(tmp_path) == []


def test_a_lock_with_hashes_markers_and_remarks_is_fine(tmp_path):
    text = f"# made by make lock\na[x]==1.0 ; python_version < '3.12' \\\n    {HASH} \\\n    {HASH}\n    # via b\n"
    plant(tmp_path, "locks/x.txt", text)
    assert layout.loose_locks(tmp_path) == []


def test_every_law_has_a_planted_violation():
    assert {law for law, _, _ in PLANTED.values()} == set(LAWS)


def test_every_exemption_names_a_file_and_a_reason():
    for name, reason in (layout.WITHOUT_OWN_TEST | layout.SHARED_TEST).items():
        assert (ROOT / name).exists()
        assert len(reason) > 20
