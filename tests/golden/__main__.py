"""`make golden`: rewrite what is generated and kept in the tree. Read the diff like code.

A changed record means that gateways in the field and the cloud no longer speak the same language:
that needs a migration, not a new golden file.
"""

import json
from pathlib import Path

import msgspec
import numpy as np

from firmware_bridge import breaker, sunspec
from firmware_bridge.measurand import Measurand
from firmware_bridge.reading import MeterId, Quality, Series, UtcUs
from gateway.contract.batches import Batch, StoredRecord, encode_batch
from gateway.contract.inputs import input_digest
from gateway.contract.raw import pack_raw
from gateway.contract.readings import pack_block
from gateway.contract.records import (
    Aggregate,
    AnomalyRecord,
    DecisionRecord,
    ForecastRecord,
    ModelReport,
    Record,
    StatusRecord,
)
from gateway.core import outbox, update, voice
from tests.golden.meter_frames import write_golden_frames

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "tests" / "golden" / "records.json"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
# name of a drawing in ARCHITECTURE.md -> the table it is drawn from
DRAWINGS = {
    "update states": update.draw,
    "breaker": breaker.draw,
    "SunSpec walk": sunspec.draw,
    "outbox": outbox.draw,
    "voice": voice.draw,
}

NOON_US = UtcUs(1_772_366_400_000_000)
MINUTE_US = 60_000_000
POWER = Series(MeterId("main"), Measurand.ACTIVE_POWER_W)
VOLTAGE = Series(MeterId("main"), Measurand.VOLTAGE_L1_V)


def records() -> list[Record]:
    """One of each kind, with every field set."""
    block = pack_block(
        [
            Aggregate(POWER, 1234.5, 1200.0, 1300.1, 60, Quality.GOOD),
            Aggregate(VOLTAGE, None, None, None, 0, Quality.MISSING),
        ],
        start_us=NOON_US,
        period_us=MINUTE_US,
        first_us=NOON_US,
        last_us=UtcUs(NOON_US + 59_000_000),
    )
    raw = pack_raw(
        [NOON_US, UtcUs(NOON_US + 1_000_000)],
        [POWER, VOLTAGE],
        np.array([[1234.5, 1300.1], [np.nan, 229.75]]),
        np.array([[Quality.GOOD, Quality.SUSPECT], [Quality.MISSING, Quality.GOOD]], dtype=np.uint8),
        "anomaly",
    )
    digest = "0" * 64
    return [
        block,
        *raw,
        ForecastRecord(
            *(NOON_US, "consumption_w", "model", digest, NOON_US, 5 * MINUTE_US),
            *([1, -2], [3, 4], [500, 60_000], "load_prediction", [501, 60_001], [1, 4, 60_000, 60_001]),
        ),
        AnomalyRecord(NOON_US, "spike", str(POWER), NOON_US, 15_000.5, -1.0, 2.0, "It jumped."),
        DecisionRecord(NOON_US, "attention", "Look.", "model", digest, 23_000, 4_100, 1),
        ModelReport(NOON_US, "refused", 3, digest, "a byte was flipped"),
        StatusRecord(NOON_US, "started", "smartwatts-edge", "no model"),
    ]


def golden_records() -> str:
    """The bytes of each record before compression, and of a batch, in hex."""
    kinds = {str(record.__struct_config__.tag): msgspec.msgpack.encode(record).hex() for record in records()}
    batch = Batch("gateway-1", "a" * 32, 0, [StoredRecord(1, NOON_US, b"body")])
    kinds |= {"(batch)": encode_batch(batch).hex(), "(digest of the model's inputs)": input_digest()}
    return json.dumps(kinds, indent=1) + "\n"


def golden_architecture(text: str) -> str:
    """ARCHITECTURE.md with the drawings of state machines as their tables have them."""
    for name, draw in DRAWINGS.items():
        begin, end = f"<!-- {name}: made by `make golden` -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}```mermaid\n{draw()}```\n{end}{after}"
    return text


if __name__ == "__main__":
    RECORDS.write_text(golden_records())
    ARCHITECTURE.write_text(golden_architecture(ARCHITECTURE.read_text()))
    write_golden_frames()
