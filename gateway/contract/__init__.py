"""What device and cloud must agree on. Pure: it may import numpy and msgspec, and nothing that does I/O."""
