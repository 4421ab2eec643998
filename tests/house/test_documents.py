"""Documents and code are in step, and each law is seen to bite on a planted violation."""

import pytest

from firmware_bridge.errors import Exit
from firmware_bridge.measurand import Measurand
from tests.house import documents
from tests.house.tree import ROOT, plant

MEASURANDS = [str(one) for one in Measurand]
UNITS = sorted({one.facts.unit for one in Measurand} - {"1"})


def test_every_file_in_the_architecture_exists():
    assert documents.lost_files(ROOT) == []


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", "GLOSSARY.md", "DECISIONS.md", "README.md"])
def test_every_test_that_a_document_names_exists(document: str):
    assert documents.lost_tests(ROOT, document) == []


def test_every_law_has_a_test_or_is_held_by_review():
    assert documents.laws_without_a_guard(ROOT) == []


def test_every_setting_is_explained_where_it_stands():
    assert documents.silent_settings(ROOT) == []


def test_every_measurand_unit_and_word_of_the_field_is_in_the_glossary():
    assert documents.undefined_words(ROOT, MEASURANDS, UNITS) == []


def test_every_exit_code_is_in_the_readme():
    assert documents.unlisted_exit_codes(ROOT, list(Exit)) == []


def test_no_text_names_a_place_on_one_machine():
    assert documents.machine_places(ROOT) == []


def test_a_lost_file_is_caught_and_a_shortened_path_is_found(tmp_path):
    plant(tmp_path, "gateway/core/grid.py")
    plant(tmp_path, "ARCHITECTURE.md", "`grid.py` and core/grid.py\n`shell/gone.py` but not maps/*.toml\n")
    assert documents.lost_files(tmp_path) == ["ARCHITECTURE.md:2: shell/gone.py does not exist"]


def test_a_lost_test_is_caught(tmp_path):
    plant(tmp_path, "tests/house/test_x.py", "def test_here(): pass\n")
    named = "`tests/house/test_x.py::test_here` `tests/house/test_x.py::test_gone` `tests/test_y.py`\n"
    plant(tmp_path, "CONTRIBUTING.md", named)
    assert documents.lost_tests(tmp_path) == [
        "CONTRIBUTING.md:1: tests/house/test_x.py::test_gone does not exist",
        "CONTRIBUTING.md:1: tests/test_y.py does not exist",
    ]


def test_a_law_without_a_guard_and_a_lost_law_are_caught(tmp_path):
    rows = [f"| {number} | law | `tests/house/test_code.py` |" for number in range(1, 11)]
    plant(tmp_path, "CONTRIBUTING.md", "\n".join([*rows, "| 11 | law | hope |"]))
    assert documents.laws_without_a_guard(tmp_path) == [
        "CONTRIBUTING.md: no guard in | 11 | law | hope |",
        "CONTRIBUTING.md: 11 laws in the table, the design has 12",
    ]


def test_a_setting_without_a_comment_is_caught(tmp_path):
    text = 'class A:\n    """Words."""\n\n    # seconds\n    period_s: int = 1\n    url: str\n'
    plant(tmp_path, "gateway/config.py", text)
    assert documents.silent_settings(tmp_path) == ["gateway/config.py:6: url has no comment above it"]


def test_an_undefined_word_is_caught(tmp_path):
    defined = [f"**{word}**" for word in documents.GLOSSARY_WORDS if word != "rung"]
    plant(tmp_path, "GLOSSARY.md", " ".join(defined) + " `active_power_w` `W`")
    assert documents.undefined_words(tmp_path, ["active_power_w", "gone_w"], ["W"]) == [
        "GLOSSARY.md: gone_w is not defined",
        "GLOSSARY.md: rung is not defined",
    ]


def test_an_unlisted_exit_code_is_caught(tmp_path):
    plant(tmp_path, "README.md", "| 0 | done |\n| `2` | wrong setting |\nsee 3\n")
    assert documents.unlisted_exit_codes(tmp_path, [0, 2, 3]) == ["README.md: exit code 3 is not listed"]


# The tilde keeps this file clear of what it plants.
PLACES = ["/wo~rk/main", "'/ro~ot'", "cd /ho~me/ada", "/tmp/la~b/x", "https://pyp~i.org/simple", "--index-u~rl x"]
NO_PLACES = ["/etc/smartwatts/root.json", "ProtectHome=yes", "frame/work", "a workshop", "/tmp/x", "network/root"]


@pytest.mark.parametrize("text", PLACES)
def test_a_place_on_a_machine_is_caught(text: str, tmp_path):
    plant(tmp_path, ".ci/run", "echo ok\n" + text.replace("~", ""))
    assert [one.split(": ")[0] for one in documents.machine_places(tmp_path)] == [".ci/run:2"]


@pytest.mark.parametrize("text", NO_PLACES)
def test_a_place_on_any_machine_is_fine(text: str, tmp_path):
    plant(tmp_path, "README.md", text)
    assert documents.machine_places(tmp_path) == []
