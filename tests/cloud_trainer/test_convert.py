"""The supervision of the converter; that it converts is tested with a real model, in commands/test_train."""

import pytest

from cloud_trainer.convert import ConversionError, convert

pytestmark = pytest.mark.slow


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Put a shell script in the converter's place; $3 is the weights' file, $4 the model's."""

    def replace_by(script):
        program = tmp_path / "converter"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr("cloud_trainer.convert.sys.executable", str(program))
        return tmp_path / "best.weights.h5"

    return replace_by


def test_what_the_converter_writes_is_the_model(converter):
    assert convert(converter('printf "12345678" > "$4"'), parameters=2) == b"12345678"


def test_a_converter_that_aborts_is_told_with_its_last_words(converter):
    with pytest.raises(ConversionError, match="ended with 3: LLVM ERROR: no types"):
        convert(converter('printf "LLVM ERROR: no types" >&2; exit 3'), parameters=2)


def test_a_converter_that_hangs_is_killed(converter, monkeypatch):
    monkeypatch.setattr("cloud_trainer.convert.CONVERT_S_MAX", 0.2)
    with pytest.raises(ConversionError, match=r"more than 0\.2 s"):
        convert(converter("exec tail -f /dev/null"), parameters=2)


def test_a_file_without_weights_is_refused(converter):
    with pytest.raises(ConversionError, match="7 bytes cannot hold 2 weights"):
        convert(converter('printf "1234567" > "$4"'), parameters=2)
