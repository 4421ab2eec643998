"""A slave of pip's: `slave.py tcp` is one of pyModbusTCP, `slave.py rtu DEVICE BAUD PARITY` one of uModbus.

It says its port (0 on a serial line), then takes the lines that slave.c takes. On TCP it refuses to read where it
has no register at all, on a serial line it shows a pattern there.
"""

import sys
from collections.abc import Callable
from threading import Thread

import serial
from pyModbusTCP.constants import EXP_DATA_ADDRESS, EXP_NONE
from pyModbusTCP.server import DataHandler, DeviceIdentification, ModbusServer
from umodbus.exceptions import IllegalDataAddressError
from umodbus.server.serial import get_server
from umodbus.server.serial.rtu import RTUServer

PATTERN = 0xA5A5
# How long uModbus listens before it looks at what came: on a pseudo-terminal a request comes all at once.
LISTEN_S = 0.01
OBJECTS = {0: b"Nobody", 1: b"Every type", 2: b"1.0"}


class Registers:
    """Those of the one unit there is."""

    def __init__(self) -> None:
        self.unit = 0
        self._words: dict[tuple[int, int], int] = {}

    def show(self, text: str) -> None:
        unit, *pieces = text.split()
        triples = [[int(number, 16) for number in piece.split(":")] for piece in pieces]
        self.unit, self._words = int(unit), {(function, address): word for function, address, word in triples}

    def word(self, function: int, address: int) -> int:
        return self._words.get((function, address), PATTERN)

    def has_any(self, function: int, address: int, count: int) -> bool:
        return any((function, one) in self._words for one in range(address, address + count))


class Handler(DataHandler):
    """Gives pyModbusTCP the registers."""

    def __init__(self, registers: Registers) -> None:
        super().__init__()
        self._registers = registers

    def read_h_regs(self, address, count, srv_info):
        return self._read(3, address, count, srv_info)

    def read_i_regs(self, address, count, srv_info):
        return self._read(4, address, count, srv_info)

    def _read(self, function, address, count, srv_info):
        unit = srv_info.recv_frame.mbap.unit_id
        if unit != self._registers.unit or not self._registers.has_any(function, address, count):
            return self.Return(exp_code=EXP_DATA_ADDRESS)
        words = [self._registers.word(function, one) for one in range(address, address + count)]
        return self.Return(exp_code=EXP_NONE, data=words)


def tcp_port(registers: Registers) -> int:
    """Serve on a port that the system chooses."""
    identification = DeviceIdentification(objects_id=OBJECTS)
    server = ModbusServer("127.0.0.1", 0, no_block=True, data_hdl=Handler(registers), device_id=identification)
    server.start()
    port: int = server._service.server_address[1]
    return port


def rtu_server(registers: Registers, device: str, baud: int, parity: str) -> Callable[[], None]:
    """What serves on the line for ever."""
    server = get_server(RTUServer, serial.Serial(device, baud, parity=parity))

    @server.route(slave_ids=None, function_codes=[3, 4], addresses=None)
    def word(slave_id: int, function_code: int, address: int) -> int:
        if slave_id != registers.unit:
            raise IllegalDataAddressError
        return registers.word(function_code, address)

    return lambda: server.serve_forever(LISTEN_S)


def main(kind: str, *line: str) -> None:
    """Show what the input says, until it ends."""
    registers, port = Registers(), 0
    if kind == "tcp":
        port = tcp_port(registers)
    else:
        device, baud, parity = line
        Thread(target=rtu_server(registers, device, int(baud), parity), daemon=True).start()
    print(port, flush=True)
    for text in sys.stdin:
        registers.show(text)
        print("ok", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
