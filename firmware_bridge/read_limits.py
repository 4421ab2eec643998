"""What one request to a device may reach: its longest read, its forbidden addresses, its borders. Pure."""

from firmware_bridge.map_file import MapFile

# Modbus Application Protocol V1.1b3, 4.4: an address has 16 bits.
ADDRESSES = 0x10000


def unreadable(file: MapFile, start: int, end: int) -> tuple[str, str, str] | None:
    """Why one request must not read the registers `[start, end)`: key, problem and remedy; None when it may."""
    first, count = aligned(file, start, end)
    if count > file.max_read:
        return "type", f"does not fit max_read = {file.max_read}", "raise max_read or mind the type"
    for low, high in file.forbidden:
        if first <= high and low < first + count:
            return "address", f"reaches into forbidden {low}..{high}", "correct one of them"
    for border in file.never_across:
        if first < border < first + count:
            return "address", f"reaches across {border}, which never_across names", "correct one of them"
    return None


def aligned(file: MapFile, start: int, end: int) -> tuple[int, int]:
    """Address and count of the request for the registers `[start, end)`, even where the device wants it."""
    return evened(start, end) if file.even else (start, end - start)


def evened(start: int, end: int) -> tuple[int, int]:
    """Address and count, both even, of the shortest request that holds the registers `[start, end)`."""
    first = start - start % 2
    return first, end - first + (end - first) % 2
