"""Ingest: what gateways send, stored exactly once in PostgreSQL."""
