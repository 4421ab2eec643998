import gzip
from pathlib import Path

import pytest

from cloud_trainer.sources import csv_rows
from cloud_trainer.sources.csv_rows import LINE_CHARACTERS_MAX, open_csv
from firmware_bridge.errors import SettingError

COLUMNS = ("at", "power")
ROWS = [["2025-03-01 00:00", "5"], ["2025-03-01 00:15", "6"]]


def written(folder: Path, content: str | bytes, name="site.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, columns=COLUMNS):
    with open_csv(path, columns) as rows:
        return list(rows)


def refused(path: Path, columns=COLUMNS) -> str:
    with pytest.raises(SettingError) as caught:
        read(path, columns)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_usual_delimiter_is_found(tmp_path, delimiter):
    lines = [delimiter.join(cells) for cells in (["other", "power", "at"], ["x", "5", ROWS[0][0]])]
    path = written(tmp_path, "\n".join(lines))
    with open_csv(path, COLUMNS) as rows:
        assert rows.delimiter == delimiter
        assert list(rows) == [ROWS[0]]


def test_a_decimal_comma_in_a_header_does_not_mislead(tmp_path):
    path = written(tmp_path, "at;power;price (0,01 EUR, net, 2025)\n2025-03-01 00:00;5;7,5\n")
    assert read(path) == [ROWS[0]]


TEXT = "at,power\n2025-03-01 00:00,5\n2025-03-01 00:15,6\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        gzip.compress(TEXT.encode("utf-8-sig")),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\n\n").encode(),
        b'\n"at", "power",temp in \xb0C\n"2025-03-01 00:00", 5 ,1\n2025-03-01 00:15,6,\n',
    ],
    ids=["plain", "with a mark", "utf-16", "gzipped", "CRLF", "empty lines", "another alphabet"],
)
def test_the_usual_ways_to_write_it_are_read(tmp_path, content):
    assert read(written(tmp_path, content)) == ROWS


def test_a_short_row_has_empty_cells(tmp_path):
    assert read(written(tmp_path, "x,at,power\n1\n1,2025-03-01 00:00\n")) == [["", ""], ["2025-03-01 00:00", ""]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not in site.csv, which has: none; name one of those."),
        ("at,energy\n", "column = 'power': is not in site.csv, which has: at, energy; name one of those."),
        ("at,power,power\n", "column = 'power': is in site.csv more than once"),
        ("at,power\n1," + "x" * LINE_CHARACTERS_MAX, "has a line of more than 65536 characters"),
        ('at,power\n1,"' + ("x" * 1000 + "\n") * 200, "is not CSV: field larger than field limit"),
        (gzip.compress(TEXT.encode())[:-12], "cannot be read (Compressed file ended"),
        (gzip.compress(TEXT.encode())[:20] + b"\0" * 20, "cannot be read ("),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path, content, says):
    assert says in refused(written(tmp_path, content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "none.csv: cannot be read (No such file or directory)" in refused(tmp_path / "none.csv")


def test_too_many_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "ROWS_MAX", 1)
    assert "has more than 1 rows" in refused(written(tmp_path, TEXT))


def test_too_much_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "CHARACTERS_MAX", 40)
    assert "is longer than" in refused(written(tmp_path, gzip.compress(TEXT.encode())))
