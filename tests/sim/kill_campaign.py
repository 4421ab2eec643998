"""So many `kill -9` of a gateway and of an ingest of two processes, at every named step and at random instants.

`python -m tests.sim.kill_campaign --kills 300 --folder F --dsn @FILE` prints what came of it as JSON. Every value
that the meters showed is compared with PostgreSQL at the end. The parent has no thread and no event loop: it forks.
"""

import argparse
import json
import logging
import os
import select
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random

import psycopg

from cloud_trainer.ingest.server_key import ServerKeys
from cloud_trainer.ingest.settings import Settings
from firmware_bridge.clock import ScaledClock, SystemClock
from gateway.contract.signatures import key_id
from gateway.shell import store_folder
from tests.sim.announced import ANSWERED, CHECKPOINT, COMMITS, NOTHING, SENDING
from tests.sim.arrival import compare, counts_of_rollup
from tests.sim.enrolled import enrol
from tests.sim.logged_meters import read_given, read_kept
from tests.sim.mortal import (
    AFTER_STORE,
    BEFORE_STORE,
    CLIENTS,
    GATEWAY,
    IN_STORE,
    LISTENS,
    RATE,
    START_US,
    Child,
    Site,
    gateway_life,
    ingest_life,
)

PROCESSES = 2
HOST = "127.0.0.1"
AT_RANDOM = "at random"
# Who is killed at which step.
GATEWAY_STEPS = [*COMMITS, CHECKPOINT, SENDING, ANSWERED]
INGEST_STEPS = [BEFORE_STORE, IN_STORE, AFTER_STORE]
PLANS = [
    *(("gateway", step) for step in [*GATEWAY_STEPS, *INGEST_STEPS]),
    *(("ingest", step) for step in INGEST_STEPS),
    *((whom, AT_RANDOM) for whom in ("gateway", "ingest", "both")),
]
# A random instant comes twice as often as a named step.
RANDOM_SHARE = 2
# A step is reached within a tenth of a second, on a machine that has nothing else to do.
REACH_S_MAX = 60.0
LIFE_S_MAX = 0.25
# A commit, with its sync, takes about a millisecond.
WITHIN_S_MAX = 0.003


class Campaign:
    """The parent: it forks, kills and counts."""

    def __init__(self, folder: Path, dsn: str, seed: int, client: str) -> None:
        self._folder, self._dsn, self._chance = folder, dsn, Random(seed)
        folder.mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=folder / "log", level=logging.WARNING)
        # Held without listening, so that the processes can share the port.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind((HOST, 0))
        port = self._held.getsockname()[1]
        self._settings = Settings(dsn=dsn, keys=str(folder / "keys"), host=HOST, port=port, shares_port=True)
        self._site = Site(folder, f"http://{HOST}:{port}", client)
        self._orders = 0
        self._gateway: Child | None = None
        self._ingest: list[Child] = []
        self.kills: Counter[str] = Counter()
        self.generations = 1

    def prepare(self) -> None:
        """Clock, keys, identity, and the processes of the ingest."""
        ScaledClock.create(self._folder / "clock", start_us=START_US, rate=RATE)
        keys = ServerKeys.open(self._folder / "keys", SystemClock().utc_us())
        public = enrol(self._site.store, GATEWAY, self._site.url, keys.public[0])
        with psycopg.connect(self._dsn) as connection:
            connection.execute(
                "INSERT INTO gateway (gateway_id, organisation_id, site_id) VALUES (%s, 'default', 'default')",
                (GATEWAY,),
            )
            connection.execute(
                "INSERT INTO gateway_key (gateway_id, key_id, public_key) VALUES (%s, %s, %s)",
                (GATEWAY, key_id(public), public),
            )
        self._ingest = [self._new_ingest() for _ in range(PROCESSES)]

    def run(self, kills: int) -> None:
        """Kill so many times."""
        for whom, step in self._plans(kills):
            if self._gateway is None:
                self._gateway = Child(gateway_life(self._site))
            if step == AT_RANDOM:
                select.select([], [], [], self._chance.uniform(0, LIFE_S_MAX))
            else:
                self._meet(whom, step)
            self._strike(whom, step)

    def close(self) -> None:
        """End everything."""
        for child in [*self._ingest, *([self._gateway] if self._gateway else [])]:
            child.kill()
        self._held.close()

    def _plans(self, kills: int) -> Iterator[tuple[str, str]]:
        """Every plan as often as every other, the random ones more often, in an order of chance."""
        deck = [plan for plan in PLANS for _ in range(RANDOM_SHARE if plan[1] == AT_RANDOM else 1)]
        while True:
            for plan in self._chance.sample(deck, len(deck)):
                if self.kills.total() >= kills:
                    return
                yield plan

    def _meet(self, whom: str, step: str) -> None:
        """Wait until a process stands at `step`, or goes in."""
        if "generation" in step:
            self._bring_back_an_old_copy()
        assert self._gateway is not None
        asked = self._ingest if step in INGEST_STEPS else [self._gateway]
        self._orders += 1
        number = b"%d" % self._orders
        for child in asked:
            child.channel.send(number + b" " + step.encode())
        met = self._hear(asked, number)
        for child in asked:
            if child is not met:
                child.channel.send(NOTHING)
        if whom == "ingest":  # it is this one that dies
            self._ingest.remove(met)
            self._ingest.insert(0, met)
        if step.startswith("in "):
            select.select([], [], [], self._chance.uniform(0, WITHIN_S_MAX))

    def _hear(self, asked: list[Child], number: bytes) -> Child:
        """Who says `number` first."""
        while True:
            ready, _, _ = select.select([child.channel for child in asked], [], [], REACH_S_MAX)
            assert ready, "the step was never reached"
            for child in asked:
                if child.channel in ready and child.channel.recv(128) in (number, b""):
                    return child

    def _strike(self, whom: str, step: str) -> None:
        if whom in ("gateway", "both"):
            assert self._gateway is not None
            self._gateway.kill()
            self._gateway = None
            self.kills[f"gateway {step}"] += 1
            if step in INGEST_STEPS:  # one of the ingest stood still for it
                self._ingest[0].channel.send(NOTHING)
                self._ingest[1].channel.send(NOTHING)
        if whom in ("ingest", "both"):
            self._ingest.pop(0).kill()
            self.kills[f"ingest {step}"] += 1
            self._ingest.append(self._new_ingest())

    def _new_ingest(self) -> Child:
        child = Child(ingest_life(self._settings))
        self._hear([child], LISTENS)
        return child

    def _bring_back_an_old_copy(self) -> None:
        """Everything is at home; what was read after a copy was made is so under sequences that come again."""
        self.settle()
        path = self._site.store / store_folder.FILE_NAME
        copy = path.with_suffix(".copy")
        shutil.copyfile(path, copy)
        self._gateway = Child(gateway_life(self._site))
        self._meet("gateway", "after commit of append")
        self.settle()
        store_folder.forget_log(path)
        copy.replace(path)
        self._gateway = Child(gateway_life(self._site))
        self.generations += 1

    def settle(self) -> None:
        """Let all that waits go home; no gateway is left."""
        if self._gateway is not None:
            self._gateway.kill()
            self.kills["gateway at random"] += 1
        self._gateway = None
        Child(gateway_life(self._site, drains=True)).wait()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.kill_campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--dsn", required=True, help="of a new database; @FILE: it stands there")
    parser.add_argument("--client", choices=CLIENTS, default="production", help="others show what the test sees")
    given = parser.parse_args(arguments)
    dsn = Path(given.dsn[1:]).read_text() if given.dsn.startswith("@") else given.dsn
    began_s = SystemClock().monotonic_s()
    campaign = Campaign(given.folder, dsn, given.seed, given.client)
    campaign.prepare()
    try:
        campaign.run(given.kills)
        campaign.settle()
    finally:
        campaign.close()
    with psycopg.connect(dsn) as connection:
        arrival = compare(connection, GATEWAY, read_given(given.folder), read_kept(given.folder))
        row = connection.execute("SELECT count(*) FROM generation WHERE gateway_id = %s", (GATEWAY,)).fetchone()
        told = {
            **asdict(arrival),
            "kills": campaign.kills.total(),
            "by_step": dict(sorted(campaign.kills.items())),
            "generations": row[0] if row else 0,
            "generations_expected": campaign.generations,
            "rollup": counts_of_rollup(connection, GATEWAY),
            "seconds": round(SystemClock().monotonic_s() - began_s, 1),
        }
    print(json.dumps(told))
    return int(not arrival.is_whole)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
