"""Read Device Identification, function 43/14, as a server answers it. Pure.

Modbus Application Protocol V1.1b3, 6.21.
"""

from collections.abc import Mapping

from firmware_bridge.simulator.frames import ModbusException

FUNCTION = 43
_MEI_TYPE = 14
_REQUEST_BYTES = 4
_BASIC, _ONE_OBJECT = 1, 4
# Basic objects, as a stream or one by one.
_CONFORMITY = 0x81
_BASIC_LAST = 2
# Room for objects in a PDU of 253 bytes, after function, MEI type, code, conformity, more, next, count.
_OBJECTS_BYTES_MAX = 253 - 7


def identification_pdu(pdu: bytes, objects: Mapping[int, bytes]) -> bytes | ModbusException:
    """The answer to the request `pdu` of a device that has `objects`."""
    if not objects or len(pdu) < 2 or pdu[1] != _MEI_TYPE:
        return ModbusException.ILLEGAL_FUNCTION
    if len(pdu) != _REQUEST_BYTES or not _BASIC <= pdu[2] <= _ONE_OBJECT:
        return ModbusException.ILLEGAL_VALUE
    code, first = pdu[2], pdu[3]
    if code == _ONE_OBJECT:
        if first not in objects:
            return ModbusException.ILLEGAL_ADDRESS
        wanted = [first]
    else:
        # An unknown object restarts the stream at its beginning.
        first = first if first in objects else 0
        wanted = [key for key in sorted(objects) if key >= first and (code > _BASIC or key <= _BASIC_LAST)]
    return _answer(code, wanted, objects)


def _answer(code: int, wanted: list[int], objects: Mapping[int, bytes]) -> bytes:
    body, told, following = b"", 0, 0
    for key in wanted:
        text = objects[key][: _OBJECTS_BYTES_MAX - 2]
        if len(body) + 2 + len(text) > _OBJECTS_BYTES_MAX:
            following = key
            break
        body += bytes((key, len(text))) + text
        told += 1
    more = 0xFF if following else 0
    return bytes((FUNCTION, _MEI_TYPE, code, _CONFORMITY, more, following, told)) + body
