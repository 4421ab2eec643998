"""Readings become decisions, and go safely home."""

SOFTWARE = "smartwatts-edge 0.1.0"
