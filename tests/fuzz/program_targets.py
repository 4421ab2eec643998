"""Parsers of what programs tell each other, over a pipe, a network or a restart: records, states, commands."""

import asyncio
import hashlib
import json
import struct
import tempfile
import zlib
from collections.abc import Callable, Hashable, Iterator
from math import inf, isfinite, nan
from pathlib import Path

import msgspec
import numpy as np

from cloud_trainer.database import read_dsn
from cloud_trainer.ingest.entry import read_entries
from cloud_trainer.ingest.reading_rows import copy_bytes, reading_rows
from cloud_trainer.ingest.rollup import rollup_columns
from cloud_trainer.simulator_log import read_log
from firmware_bridge.catalog import load_profile
from firmware_bridge.clock import ScaledClock, SystemClock
from firmware_bridge.counter import Counter
from firmware_bridge.counter_rules import counter_rules
from firmware_bridge.errors import SettingError
from firmware_bridge.measurand import Measurand
from firmware_bridge.probe.asks import Wire
from firmware_bridge.probe.journal import Journal
from firmware_bridge.probe.plan import Options, plan
from firmware_bridge.probe.search import Search
from firmware_bridge.reading import MeterId, Series, UtcUs
from firmware_bridge.simulator.control import Control
from firmware_bridge.simulator.frames import (
    FRAME_BYTES_MAX,
    NotModbusError,
    Request,
    take_request,
)
from firmware_bridge.simulator.line_settings import LineSettings
from firmware_bridge.simulator.lines import Lines
from firmware_bridge.simulator.log import ValueLog
from firmware_bridge.simulator.panel import Panel
from firmware_bridge.simulator.rtu_frames import read_rtu, rtu_frame, take_rtu
from firmware_bridge.simulator.scenario import parse_scenario
from firmware_bridge.simulator.stage import set_stage
from gateway.contract.batches import (
    Acknowledgement,
    Batch,
    Refusal,
    StoredRecord,
    decode_acknowledgement,
    decode_batch,
    encode_acknowledgement,
    encode_batch,
    encode_refusal,
)
from gateway.contract.host_frames import Answer, FrameError, Question, decode_frame, pack_tensor, unpack_tensor
from gateway.contract.manifest import ManifestError, decode_golden, decode_manifest
from gateway.contract.raw import unpack_raw
from gateway.contract.readings import unpack_block
from gateway.contract.records import RawBlock, ReadingsBlock, RecordError, decode_record
from gateway.core.update import Outcome, decode_outcome, encode_outcome, event_of
from gateway.core.upload_plan import kind_of
from gateway.core.upload_reply import Event, read_reply
from gateway.shell.bundle_files import FACTORY, BundleState, decode_state, encode_state
from gateway.shell.counter_file import decode_counters, encode_counters
from gateway.shell.status_page import is_own_host
from tests.firmware_bridge.probe.devices import Rig, meter
from tests.fuzz.settings_targets import FAULTS, refusable
from tests.fuzz.target import BRIEF, Target

ROOT = Path(__file__).parents[2]
_FOLDER = tempfile.TemporaryDirectory(prefix="fuzz-")
GOLDEN = {
    name: bytes.fromhex(text) for name, text in json.loads((ROOT / "tests/golden/records.json").read_text()).items()
}

# --- the simulator --------------------------------------------------------------------------------


class _Still:
    """Time that stands: the panel asks for nothing but the instant."""

    rate = 1.0

    def utc_us(self) -> UtcUs:
        return UtcUs(1_780_000_000_000_000)


def _panel() -> Panel:
    stage = set_stage(parse_scenario(FAULTS.decode()), Path())
    return stage.panel(_Still(), ValueLog(None))


_PANEL = _panel()


def check_simulator_frames(data: bytes) -> Hashable:
    """What a client may send to a simulated meter: Modbus TCP, RTU between silences, RTU on a stream."""
    ends: list[Hashable] = [read_rtu(data) is None, read_rtu(rtu_frame(1, data)) is None]
    for take in (take_request, take_rtu):
        received = bytearray(data)
        try:
            while (request := take(received)) is not None:
                ends.append(_answered(request))
        except NotModbusError:
            ends.append("not Modbus")
        assert len(received) <= len(data)
    ends.append(_answered(Request(1, 1, data[:253])) if data else None)
    return tuple(ends[:6])


def _answered(request: Request) -> Hashable:
    if not request.pdu:
        return "empty"
    reply = _PANEL.reply(request)
    assert reply is None or len(reply) <= FRAME_BYTES_MAX
    return None if reply is None else reply[7:8]


def _request_seeds() -> Iterator[bytes]:
    read = bytes.fromhex("04 0000 0002")
    yield struct.pack(">HHHB", 1, 0, 6, 1) + read
    yield rtu_frame(1, read)
    yield struct.pack(">HHHB", 1, 0, 5, 1) + b"\x2b\x0e\x01\x00"
    yield read


class _Commanded:
    """A simulator's control, without the process around it: a line that is served while a command is carried out."""

    def __init__(self) -> None:
        self._lines = Lines([LineSettings(name="net", kind="tcp")], Path(_FOLDER.name), _PANEL.answer, [1])
        self._control = Control(self._lines, _PANEL)
        self._runner = asyncio.Runner()

    def check(self, data: bytes) -> Hashable:
        """One line in, one line out."""
        answer = self._runner.run(self._answer(data))
        _PANEL.release("grid")
        assert answer.endswith(b"\n")
        assert answer.count(b"\n") == 1
        assert msgspec.json.decode(answer).keys() in ({"ok"}, {"error"})
        return answer[:24]

    async def _answer(self, data: bytes) -> bytes:
        line = self._lines.named("net")
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(self._lines.serve())
            while not line.is_served:
                await SystemClock().sleep_for(0)
            answer = await self._control.answer(data)
            await line.heal()
            line.pull()
            serving.cancel()
        return answer


COMMANDS = [
    b'{"do": "inject", "line": "net", "fault": {"kind": "delay", "unit": 1, "delay_s": 0.8}}',
    *(f'{{"do": "{do}", "line": "net"}}'.encode() for do in ("heal", "pull", "plug", "counts", "reset_counts")),
    b'{"do": "show", "meter": "grid", "measurand": "voltage_l1_v", "value": 231.5}',
    b'{"do": "release", "meter": "grid"}',
]


def check_simulator_log(data: bytes) -> Hashable:
    """What an audit reads."""
    series = read_log(_on_disk("log.jsonl", data), 1_000_000)
    return len(series), sum(one.ticks.size for one in series.values())


LOG = b"""{"at_us":1,"meter":"grid","values":{"voltage_l1_v":230.5,"active_power_w":null}}
{"at_us":2,"fault":"silent"}
{"at_us":2000001,"meter":"grid","values":{"voltage_l1_v":229}}
"""


def _on_disk(name: str, data: bytes) -> Path:
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


# --- what a program keeps for its next run ------------------------------------------------------------

_PROFILES = [load_profile(name) for name in ("eastron_sdm630", "carlo_gavazzi_em340")]
_HEAD: dict[str, object] = {"probe": 1, "place": "here"}


def check_probe_state(data: bytes) -> Hashable:
    """The journal of a probe that was interrupted, and what the probe makes of it."""
    path = _on_disk("journal", data)
    journal = Journal(path, _HEAD)
    try:
        search = Search(plan(_PROFILES, Options(listen_s=0)), _PROFILES)
        entries = len(journal.entries)
        count = journal.resume(search)
        assert count <= entries
        assert path.stat().st_size <= max(len(data), len(msgspec.json.encode(_HEAD)) + 1)
        return min(entries, 3), min(count, 8), len(search.devices), len(search.notes)
    finally:
        journal.close()


def _journal_seeds() -> Iterator[bytes]:
    for asks in (3, 60):
        path = Path(_FOLDER.name) / "seed"
        path.unlink(missing_ok=True)
        search = Search(plan(_PROFILES, Options(listen_s=0)), _PROFILES)
        rig = Rig({(Wire(kind="serial"), 2): meter("eastron_sdm630")})
        journal = Journal(path, _HEAD)
        for _ in range(asks):
            if search.ask is not None:
                heard = rig.hear(search.ask)
                journal.add(search.ask, heard)
                search.take(heard)
        journal.close()
        yield path.read_bytes()


def check_clock(data: bytes) -> Hashable:
    """The origin of simulated time, which several processes share."""
    clock = ScaledClock(_on_disk("origin", data))
    assert isinstance(clock.utc_us(), int)
    assert isfinite(clock.rate)
    return clock.rate > 0


def _clock_seeds() -> Iterator[bytes]:
    path = Path(_FOLDER.name) / "origin"
    clock = ScaledClock.create(path, start_us=UtcUs(1_780_000_000_000_000), rate=60.0)
    yield path.read_bytes()
    clock.hold_before(UtcUs(1_780_000_001_000_000))
    yield path.read_bytes()


def check_counters(data: bytes) -> Hashable:
    """What counters remember over a restart; and a counter that goes on from it."""
    return _refused(ValueError, _counters, data)


def _counters(data: bytes) -> Hashable:
    states = decode_counters(data)
    for series, state in states.items():
        counter = Counter(counter_rules(series, 10_000.0), state)
        for number, value in enumerate((0.0, 5e6, 5e6 + 1)):
            assert counter.judge(value, UtcUs(1_780_000_000_000_000 + number * 1_000_000)).advance >= 0
    return len(states)


def _counter_seeds() -> Iterator[bytes]:
    series = Series(MeterId("main"), Measurand.ENERGY_IMPORT_WH)
    counter = Counter(counter_rules(series, 10_000.0))
    for number, value in enumerate((1000.0, 1001.0, 0.0)):
        counter.judge(value, UtcUs(1_780_000_000_000_000 + number * 1_000_000), "serial")
        yield encode_counters({series: counter.state})


def check_bundle_state(data: bytes) -> Hashable:
    """As it comes, and under a right checksum; and the outcome of an update's check."""
    signed = hashlib.sha256(data).hexdigest().encode() + b"\n" + data
    states = [_refused(ValueError, _bundle, one) for one in (data, signed)]
    return (*states, _refused(ValueError, _outcome, data))


def _bundle(data: bytes) -> Hashable:
    state = decode_state(data)
    assert decode_state(encode_state(state)) == state
    return "state", len(state.refused), state.current is None


def _outcome(data: bytes) -> Hashable:
    outcome = decode_outcome(data)
    decode_outcome(encode_outcome(outcome))
    return event_of(outcome)


def _refused(error: type[Exception], parse: Callable[[bytes], Hashable], data: bytes) -> Hashable:
    """What `parse` makes of the data; a refusal tells why, without what was written."""
    try:
        return parse(data)
    except error as refusal:
        return "".join(letter for letter in str(refusal)[:60] if letter.isalpha() or letter == " ")[:40]


# --- between gateway, model host and cloud --------------------------------------------------------------


def check_records(data: bytes) -> Hashable:
    """A record as it comes, and what is packed in one."""
    return tuple(_refused(RecordError, _record, one) for one in (data, zlib.compress(data, 1)))


def _record(data: bytes) -> Hashable:
    record = decode_record(data)
    if isinstance(record, ReadingsBlock):
        return "block", _expanded(data, record), len(unpack_block(record))
    if isinstance(record, RawBlock):
        return "raw", unpack_raw(record).values.size
    return type(record).__name__


def _expanded(data: bytes, block: ReadingsBlock) -> Hashable:
    """What ingest makes of a block that decodes: nothing, or a row for each of its aggregates."""
    (entry,) = read_entries(Batch("gw-1", "0" * 32, 0, [StoredRecord(7, UtcUs(1_780_000_000_000_000), data)]))
    if entry.columns is None:
        return entry.problem[:20]
    aggregates = unpack_block(block)
    columns = entry.columns
    assert columns.count.tolist() == [one.count for one in aggregates]
    rows = reading_rows([(7, block, columns, np.arange(len(aggregates)))])
    valued = int((columns.count > 0).sum())
    assert len(copy_bytes(rows, 1)) == 21 + 92 * valued + 68 * (len(aggregates) - valued)
    added = rollup_columns(rows)
    assert added[5].sum() == columns.count[columns.building].sum()
    assert all(np.isfinite(column).all() for column in added)
    return min(valued, 3), bool(columns.building.all())


def check_batches(data: bytes) -> Hashable:
    """A batch as ingest reads it; and an acknowledgement, which a captive portal may have written."""
    return _refused(RecordError, _batch, data), _refused(
        RecordError, lambda _: decode_acknowledgement(data).stored, data
    )


def _batch(data: bytes) -> Hashable:
    batch = decode_batch(data)
    return tuple(sorted({(entry.kind, entry.problem[:20]) for entry in read_entries(batch)}))


def _acknowledged(data: bytes) -> Hashable:
    return decode_acknowledgement(data).stored > 0


def _batch_seeds() -> Iterator[bytes]:
    bodies = [zlib.compress(record, 6) for record in GOLDEN.values()]
    stored = [StoredRecord(number, UtcUs(1_780_000_000_000_000), body) for number, body in enumerate(bodies, 7)]
    yield encode_batch(Batch("gw-1", "0" * 32, 0, stored))
    yield encode_acknowledgement(Acknowledgement("0" * 32, 7, 1))


_SENT = Batch("gw-1", "0" * 32, 6, [StoredRecord(7, UtcUs(1_780_000_000_000_000), b"")])


def check_upload_reply(data: bytes) -> Hashable:
    """A signed answer to a batch, the status in its first two bytes; and what the head of a record says it is."""
    status, body = int.from_bytes(data[:2]), data[2:]
    heard = read_reply(_SENT, status, body, None)
    assert heard.words.isprintable()
    assert (heard.event is Event.TAKEN) <= (status == 200)
    return heard.event, kind_of(body), kind_of(zlib.compress(body, 1))


def _upload_reply_seeds() -> Iterator[bytes]:
    for status, said in (
        (200, encode_acknowledgement(Acknowledgement("0" * 32, 7, 1))),
        (200, encode_acknowledgement(Acknowledgement("0" * 32, 7, 1, resume_after=3))),
        (409, encode_refusal(Refusal("other bytes", "", 7))),
        (400, encode_refusal(Refusal("no record", "look"))),
    ):
        yield status.to_bytes(2) + said


def check_manifest(data: bytes) -> Hashable:
    """What a bundle says of itself, and its golden vectors."""
    return (
        _refused(ManifestError, lambda _: len(decode_manifest(data).models), data),
        _refused(ManifestError, lambda _: min(len(decode_golden(data)), 3), data),
    )


def check_host_frames(data: bytes) -> Hashable:
    """What the model host and its parent say to each other."""
    return _refused(FrameError, _host_frame, data)


def _host_frame(data: bytes) -> Hashable:
    frame = decode_frame(data)
    tensors = frame.tensors if isinstance(frame, Question) else [frame.tensor] if isinstance(frame, Answer) else []
    for tensor in tensors:
        assert pack_tensor(unpack_tensor(tensor)) == tensor
    return type(frame).__name__, len(tensors)


def check_addresses(data: bytes) -> Hashable:
    """The host that a browser names, and where a database is."""
    text = data.decode("latin-1")
    is_own = is_own_host([text], "192.168.1.20", frozenset({"gateway.local"}))
    try:
        read_dsn(text.removeprefix("@"))
    except SettingError:
        return is_own, "refused"
    return is_own, "taken"


_MANIFESTS = [(FACTORY / "manifest.json").read_bytes(), b'[{"inputs":[[1.5,-2e-3],[0]],"output":[0.25]}]']
_HOST_FRAMES = [
    msgspec.msgpack.encode(["answer", [[1, 2], bytes(8)]]),
    msgspec.msgpack.encode(["question", "m", [[[1, 2], bytes(8)], [[1], bytes(4)]]]),
    b"\x92\xa7failure\xa1x",
]
_ADDRESSES = [b"gateway.local:8080", b"[::ffff:192.168.1.20]", b"host=db.example user=x password=y"]
# Little endian, as the machine: no number, and no end.
_NO_NUMBERS = [struct.pack("<d", one) for one in (nan, inf, -1.0)]
_STATES = [encode_state(BundleState()), encode_outcome(Outcome("refused", 3))]
_RECORDS = [*GOLDEN.values(), *(zlib.compress(one, 6) for one in GOLDEN.values())]

TARGETS = [
    Target("simulator_frames", check_simulator_frames, _request_seeds(), bytes_max=1024),
    Target("control", _Commanded().check, COMMANDS),
    Target("simulator_log", refusable(check_simulator_log), [LOG], share=BRIEF),
    Target("probe_state", refusable(check_probe_state), _journal_seeds(), [b"\n"], 16_384),
    Target("clock", refusable(check_clock), _clock_seeds(), _NO_NUMBERS, share=BRIEF),
    Target("counters", check_counters, _counter_seeds(), share=BRIEF),
    Target("bundle_state", check_bundle_state, _STATES, share=BRIEF),
    Target("records", check_records, _RECORDS, share=BRIEF),
    Target("batches", check_batches, _batch_seeds(), share=BRIEF),
    Target("upload_reply", check_upload_reply, _upload_reply_seeds(), share=BRIEF),
    Target("manifest", check_manifest, _MANIFESTS, bytes_max=65_536, share=BRIEF),
    Target("host_frames", check_host_frames, _HOST_FRAMES, share=BRIEF),
    Target("addresses", check_addresses, _ADDRESSES, share=BRIEF),
]
