"""CRCs against the check values of the catalogue of CRC algorithms."""

from firmware_bridge.simulator.reflected_crc import crc16_arc, crc16_x25, crc32

CHECK = b"123456789"


def test_they_are_those_of_the_catalogue():
    assert crc16_arc(CHECK) == 0xBB3D
    assert crc16_x25(CHECK) == 0x906E
    assert crc32(CHECK) == 0xCBF43926
