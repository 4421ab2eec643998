"""Bytes on a wire become Readings. Knows nothing of models, storage or the cloud."""
