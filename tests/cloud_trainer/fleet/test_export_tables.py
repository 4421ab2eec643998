from datetime import UTC, datetime

import pytest

from cloud_trainer.database import connect
from cloud_trainer.fleet.export_tables import LIST_MONTHS, RAW, READINGS, TABLES

pytestmark = [pytest.mark.slow, pytest.mark.pg]


def test_every_statement_gives_the_columns_it_promises(dsn: str) -> None:
    names = {"organisation": "a", "site": "b", "gateway": "c", "month": datetime(2024, 1, 1, tzinfo=UTC)}
    with connect(dsn) as connection:
        for table in (READINGS, *TABLES):
            found = connection.execute(table.select, names).description
            assert found is not None
            assert len(found) == len(table.columns) == len(set(table.columns)), table.name
        assert connection.execute(LIST_MONTHS, names).fetchall() == []
        assert connection.execute(RAW.select, names).fetchall() == []
