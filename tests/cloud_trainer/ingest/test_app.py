"""One process of an ingest over real sockets, with a real database: what it takes, and what it does not."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import psycopg
import pytest

from cloud_trainer.ingest.app import listening
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.errors import ConflictError
from gateway.contract.batches import Acknowledgement, encode_batch
from tests.sim.cloud_records import GENERATION, START_US, batch, one_of_each, power
from tests.sim.signed_sender import Sender, know

pytestmark = [pytest.mark.slow, pytest.mark.pg]

BATCH = batch(one_of_each())


def count(dsn: str, table: str = "record") -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row is not None
        return int(row[0])


async def test_a_batch_is_committed_and_acknowledged(sender: Sender, dsn: str) -> None:
    reply = await sender.send(BATCH)
    assert reply.acknowledgement == Acknowledgement(GENERATION, acknowledged=6, stored=6)
    assert count(dsn) == 6


async def test_the_nonce_of_an_answer_is_good_for_the_next_request(sender: Sender, dsn: str) -> None:
    reply = await sender.send(BATCH)
    for _ in range(3):
        reply = await sender.send(BATCH, nonce=reply.next_nonce)
        assert reply.acknowledgement.stored == 0
    assert count(dsn) == 6
