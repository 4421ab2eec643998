"""Readings become decisions, and go safely home."""
