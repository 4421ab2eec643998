"""A master of pip's: `master.py tcp HOST PORT` is pyModbusTCP, `master.py rtu DEVICE BAUD PARITY` minimalmodbus
(whose DEVICE may be `socket://HOST:PORT`, a serial line behind a converter).

It takes lines `UNIT FUNCTION ADDRESS COUNT` and answers each with the words, hexadecimal, or with what went wrong;
`UNIT 43` (on TCP) with the texts of Read Device Identification.
"""

import sys
from collections.abc import Callable

import minimalmodbus
import serial
from pyModbusTCP.client import ModbusClient

# Far above anything that happens here; minimalmodbus takes all of it before it believes in a refusal.
TIMEOUT_S = 2.0

Ask = Callable[[list[int]], str]


def tcp(host: str, port: str) -> Ask:
    client = ModbusClient(host, int(port), timeout=TIMEOUT_S)

    def ask(numbers: list[int]) -> str:
        client.unit_id, function, *where = numbers
        if function == 43:
            found = client.read_device_identification()
            return client.last_error_as_txt if found is None else repr(sorted(found.objects_by_id.items()))
        words = (client.read_input_registers if function == 4 else client.read_holding_registers)(*where)
        if words is None:
            return f"error: {client.last_except_as_txt or client.last_error_as_txt}"
        return shown(words)

    return ask


def rtu(device: str, baud: str, parity: str) -> Ask:
    port = serial.serial_for_url(device, int(baud), parity=parity, timeout=TIMEOUT_S)

    def ask(numbers: list[int]) -> str:
        unit, function, address, count = numbers
        try:
            words = minimalmodbus.Instrument(port, unit).read_registers(address, count, functioncode=function)
        except minimalmodbus.ModbusException as error:
            return f"error: {error}"
        return shown(words)

    return ask


def shown(words: list[int]) -> str:
    return " ".join(f"{word:04x}" for word in words)


def main(kind: str, *line: str) -> None:
    """Ask what the input says, until it ends."""
    ask = {"tcp": tcp, "rtu": rtu}[kind](*line)
    for text in sys.stdin:
        print(ask([int(number) for number in text.split()]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
