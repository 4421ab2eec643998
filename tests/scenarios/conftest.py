"""One embedded PostgreSQL for the scenarios that need no more of the cloud's programs; a database for each."""

from tests.cloud_trainer.conftest import dsn, postgres, server

__all__ = ["dsn", "postgres", "server"]
