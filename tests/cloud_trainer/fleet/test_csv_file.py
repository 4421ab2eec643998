import csv
import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_trainer.fleet.csv_file import CsvFile

# what PostgreSQL can hold in a text
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(rows=st.lists(st.tuples(texts, st.integers(), st.none() | st.floats(allow_nan=False)), max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    folder = tmp_path_factory.mktemp("out")
    with CsvFile(folder, "x", ["text", "number", "perhaps"]) as file:
        file.write_rows(rows)
    with gzip.open(folder / "x.csv.gz", "rt", newline="", encoding="utf-8") as packed:
        head, *found = csv.reader(packed)
    assert head == ["text", "number", "perhaps"]
    assert found == [[text, str(number), "" if value is None else str(value)] for text, number, value in rows]
    assert file.rows == len(rows)


def test_the_same_rows_make_the_same_bytes_and_their_digest(tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with CsvFile(tmp_path / name, "x", ["one"]) as file:
            file.write_rows([("1",)])
            file.write(b"2\n")
            file.rows += 1
        written.append(file.written())
    assert written[0] == written[1]
    data = (tmp_path / "a" / "x.csv.gz").read_bytes()
    assert (written[0].rows, written[0].bytes) == (2, len(data))
    assert written[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    with CsvFile(tmp_path, "x", ["one"]):
        pass
    with pytest.raises(FileExistsError):
        CsvFile(tmp_path, "x", ["one"])
