"""What is generated and kept in the tree is what the code makes today."""

import pytest

from gateway.contract.records import decode_record, encode_record
from tests.golden.__main__ import (
    ARCHITECTURE,
    RECORDS,
    golden_architecture,
    golden_records,
    records,
)


def test_the_bytes_of_every_record_are_those_that_gateways_in_the_field_send():
    assert golden_records() == RECORDS.read_text()


@pytest.mark.parametrize("record", records(), ids=lambda record: record.__struct_config__.tag)
def test_every_record_comes_back_as_it_went(record):
    assert decode_record(encode_record(record)) == record


def test_the_drawing_of_the_update_is_that_of_its_table():
    text = ARCHITECTURE.read_text()
    assert golden_architecture(text) == text
