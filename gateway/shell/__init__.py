"""The outside world of the gateway: disk, network, processes."""
