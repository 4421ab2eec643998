"""Parsers of what comes over a wire: Modbus both ways, what a device says of itself, and telegrams."""

import struct
from collections.abc import Callable, Hashable, Iterator
from itertools import cycle, islice, product
from math import isfinite

from firmware_bridge import mbap, rtu
from firmware_bridge.catalog import load_profile, profile_names
from firmware_bridge.frames.reader import FrameReader, reader_of
from firmware_bridge.identity import question, recognise
from firmware_bridge.map_file import Protocol, SunSpecChain
from firmware_bridge.poll_plan import plan
from firmware_bridge.probe.asks import Overheard
from firmware_bridge.probe.dialect import spoken, unspoken
from firmware_bridge.probe.ear import Ear
from firmware_bridge.receiver import Receiver, Wire
from firmware_bridge.registers import BlockDecoder, decode
from firmware_bridge.sunspec import MODELS_MAX, Walk
from firmware_bridge.verdict import IDENTIFY, Request, State, Verdict
from tests.firmware_bridge.frames import golden, p1_encoder, sensor_encoder, sml_encoder, targets
from tests.firmware_bridge.modbus_server import Request as AskedTcp
from tests.firmware_bridge.modbus_slave import Asked
from tests.fuzz.target import BRIEF, Target

PROFILES = [load_profile(name) for name in profile_names()]
MODBUS = [profile for profile in PROFILES if profile.file.protocol == "modbus"]
BLOCKS = [block for profile in MODBUS if profile.file.sunspec is None for block in plan(profile)]
CHAIN = SunSpecChain(models=[101, 103, 203])
WORDS = [0xC4BB, 0x9000]
# More than either kind of line takes before it calls it babble.
MODBUS_BYTES_MAX = 1280
# What a receiver remembers of frames that were no answer.
LATE_MAX = 64
# A receiver judges all it has with each piece that comes.
PIECES = 3

# --- Modbus ----------------------------------------------------------------------------------------

RTU_REQUESTS = [
    rtu.read_request(1, 4, 0x34, 2),
    rtu.read_request(1, 3, 0, 125),
    rtu.asked_by(b"\x01\x2b\x0e\x01\0\0\0"),
]
TCP_REQUESTS = [
    mbap.read_request(7, 1, 4, 0x34, 2),
    mbap.read_request(0x0101, 1, 3, 0, 125),
    mbap.asked_by(struct.pack(">HHHBBBBB", 7, 0, 5, 1, IDENTIFY, 0x0E, 1, 0)),
]


def check_rtu(data: bytes) -> Hashable:
    """As it comes, and as the body of a frame whose checksum is right."""
    return tuple(_check_bytes(rtu, RTU_REQUESTS, one) for one in (data, data + rtu.crc(data)))


def check_mbap(data: bytes) -> Hashable:
    """As it comes, and as what follows a right head."""
    headed = struct.pack(">HHH", 7, 0, min(len(data), 254)) + data
    return tuple(_check_bytes(mbap, TCP_REQUESTS, one) for one in (data, headed))


def _check_bytes(wire: Wire, requests: list[Request], data: bytes) -> Hashable:
    """As the answer to each of the requests."""
    ends = []
    for request, is_idle in product(requests, (False, True)):
        verdict = wire.judge(request, data, is_idle=is_idle)
        _check_verdict(request, verdict, data)
        ends.append((verdict.state, verdict.fault, min(len(verdict.passed_over), 3)))
    frames, rest = wire.take_frames(data)
    assert len(rest) <= rtu.FRAME_BYTES_MAX + 4
    assert data.endswith(rest)
    assert len(frames) <= len(data) // 5
    return (*ends, _check_receiver(wire, requests[len(data) % len(requests)], data))


def _check_verdict(request: Request, verdict: Verdict, data: bytes) -> None:
    assert len(verdict.passed_over) <= len(data) // 5
    assert (verdict.state is State.REFUSED) == (verdict.fault is not None) == bool(verdict.detail)
    assert len(verdict.detail) < 100
    if verdict.state in (State.ANSWER, State.EXCEPTION):
        assert verdict.frame in data
        assert data.endswith(verdict.rest)
    if verdict.state is State.ANSWER:
        assert len(verdict.words) == request.count
        assert all(0 <= word <= 0xFFFF for word in verdict.words)


def _check_receiver(wire: Wire, request: Request, data: bytes) -> Hashable:
    """In pieces, into a receiver that goes on asking."""
    receiver, size = Receiver(wire), len(data) // PIECES + 1
    states = set()
    for at in range(0, len(data), size):
        if not receiver.is_asking:
            receiver.ask(request.frame)
        states.add(receiver.hear(data[at : at + size]).state)
    states.add(receiver.idle().state)
    receiver.give_up()
    assert not receiver.is_asking
    assert len(receiver.take_late()) <= min(LATE_MAX, len(data))
    assert receiver.counts.total() <= len(data)
    return tuple(sorted(states)), tuple(sorted(receiver.counts))


def _rtu_seeds() -> Iterator[bytes]:
    asked, many = Asked(1, 4, 0x34, 2), Asked(1, 3, 0, 125)
    yield asked.registers(WORDS)
    yield many.registers(list(range(125)))
    yield asked.refusal(2)
    yield Asked(1, IDENTIFY, 0, 0).identity({0: b"Eastron", 1: b"SDM630", 2: b"1.0"})
    yield RTU_REQUESTS[0].frame + asked.registers(WORDS)
    yield Asked(2, 4, 0x34, 2).registers(WORDS) + b"\xff\xff" + asked.registers(WORDS)


def _tcp_seeds() -> Iterator[bytes]:
    yield AskedTcp(7, 1, 4, 0x34, 2).registers(WORDS)
    yield AskedTcp(0x0101, 1, 3, 0, 125).registers(list(range(125)))
    yield AskedTcp(6, 1, 4, 0x34, 2).registers(WORDS) + AskedTcp(7, 1, 4, 0x34, 2).registers(WORDS)
    yield struct.pack(">HHHBBB", 7, 0, 3, 1, 0x84, 2)
    yield struct.pack(">HHHB", 7, 0, 18, 1) + b"\x2b\x0e\x01\x01\0\0\x01\0\x08Eastron1"


# --- what a device says of itself --------------------------------------------------------------------


def check_identity(data: bytes) -> Hashable:
    """As the registers of everything that a profile asks, and as the texts of its identification."""
    profile = MODBUS[data[0] % len(MODBUS)] if data else MODBUS[0]
    places = {one.name: question(one) for one in profile.file.identify}
    stream = cycle(_words(data[1:]) or [0])
    words = {name: list(islice(stream, place[2])) for name, place in places.items() if place is not None}
    texts = data[1:].split(b"\xfe")
    objects = {number: text.decode("latin-1") for number, text in enumerate(texts[:300])}
    said = recognise(profile, words, objects=objects, unit=data[0] if data else 1)
    for text in (*said.reasons, said.model or "", said.serial_number or ""):
        assert text.isprintable()
        assert len(text) <= 400
    assert said.confidence is None or not said.is_refuted
    return profile.name, said.confidence, said.is_refuted, said.serial_number is None


def check_sunspec(data: bytes) -> Hashable:
    """As the registers that are read on a walk; a device that has no more to say refuses."""
    walk, words, reads = Walk(CHAIN, registers=2 + (data[0] if data else 0)), _words(data), 0
    while (step := walk.next) is not None:
        address, count = step
        assert 0 <= address <= 0x10000 - count
        if len(words) < count:
            walk.refuse()
        else:
            walk.take(words[:count])
            words = words[count:]
        reads += 1
        assert reads <= (1 + MODELS_MAX) * len(CHAIN.bases)
    assert walk.base is None or walk.model in CHAIN.models
    return walk.state, min(reads, 8), walk.base is None, walk.common is None


def check_registers(data: bytes) -> Hashable:
    """As the words of a block: each value is a number or none, alone or with the others."""
    block = BLOCKS[data[0] % len(BLOCKS)] if data else BLOCKS[0]
    words = list(islice(cycle(_words(data[1:]) or [0]), block.count))
    values = BlockDecoder(block.registers, block.address, block.count).decode(words)
    for register, value in zip(block.registers, values, strict=True):
        start, end = register.start - block.address, register.end - block.address
        assert value is None or isfinite(value)
        assert decode(register, words[start:end]) == value
    return block.address, tuple(value is None for value in values)


def _words(data: bytes) -> list[int]:
    return list(struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2]))


def _walk_seeds() -> Iterator[bytes]:
    yield b"SunS" + struct.pack(">6H", 1, 66, 11, 13, 103, 50)
    yield b"\0\0\0\0SunS" + struct.pack(">4H", 1, 65, 0xFFFF, 0)


def _identity_seeds() -> Iterator[bytes]:
    for place in range(len(MODBUS)):
        yield bytes((place,)) + b"ABB \0B23 112-100\0\x01\x02\xfe12345678\xfe\x00\x55"


def _register_seeds() -> Iterator[bytes]:
    for place in range(len(BLOCKS)):
        yield bytes((place,)) + struct.pack(">fIhHq", 230.1, 23_010, -5, 0xFFFF, -1)


# --- devices that send by themselves -----------------------------------------------------------------


# What a body becomes a whole telegram by: checksums that no chance would find.
_AROUND: dict[Protocol, list[Callable[[bytes], bytes]]] = {
    "sensor": [sensor_encoder.framed],
    "p1": [lambda lines: _with_crc(b"/SWE5X\r\n" + lines + b"\r\n!")],
    "sml": [sml_encoder.transported, lambda entry: sml_encoder.transported(sml_encoder.list_message(b"S", [entry]))],
}
_BODIES: dict[Protocol, list[bytes]] = {
    "sensor": [b'{"id":7,"seq":1,"temperature_c":21.5}', b"\xa3bid\x07cseq\x01mtemperature_c\xfaA\xac\x00\x00"],
    "p1": [b"1-0:1.8.1(004321.987*kWh)\r\n1-0:32.7.0(230.1*V)", b"0-1:24.2.1(250714183000S)(00047.110*m3)"],
    "sml": [golden.SML[8:-8], bytes.fromhex("77070100100700ff0101621b52ff55fffffb2e01")],
}


def _with_crc(telegram: bytes) -> bytes:
    return telegram + f"{p1_encoder.arc(telegram):04X}\r\n".encode()


def _telegrams(name: Protocol) -> Target:
    fuzz_one = targets.TARGETS[name]

    def check(data: bytes) -> Hashable:
        fuzz_one(data)
        return tuple(_heard(reader_of(name), around(data)) for around in (bytes, *_AROUND[name]))

    return Target(name, check, [*targets.SEEDS[name], *_BODIES[name]])


def _heard(reader: FrameReader, data: bytes) -> Hashable:
    frames = reader.feed(data)
    units = {unit for frame in frames for _, unit in frame.values.values()}
    return tuple(sorted(reader.refused)), min(len(frames), 3), len(units), sum(len(frame.values) for frame in frames)


def check_probe_ear(data: bytes) -> Hashable:
    """What a probe hears before it asks, and after it hailed both protocols."""
    ear = Ear()
    ear.feed(data)
    heard = ear.overheard()
    assert isinstance(heard, Overheard)
    assert heard.bytes_unknown in (0, len(data))
    told, doubt = spoken(1, data), unspoken(data)
    assert len(str(told)) + len(str(doubt)) < 500
    return len(heard.senders), told is None or told.kind


TARGETS = [
    Target("rtu", check_rtu, _rtu_seeds(), bytes_max=MODBUS_BYTES_MAX),
    Target("mbap", check_mbap, _tcp_seeds(), bytes_max=MODBUS_BYTES_MAX),
    Target("identity", check_identity, _identity_seeds()),
    Target("sunspec", check_sunspec, _walk_seeds(), [b"SunS", b"\x00\x67\x00\x32", b"\xff\xff\x00\x00"]),
    Target("registers", check_registers, _register_seeds(), [b"\x7f\xc0\0\0", b"\x80\0", b"\x7f\xff\xff\xff"]),
    *map(_telegrams, ("sensor", "p1", "sml")),
    Target(
        "probe_ear",
        check_probe_ear,
        [*(seed for seeds in targets.SEEDS.values() for seed in seeds), *_rtu_seeds()],
        share=BRIEF,
    ),
]
