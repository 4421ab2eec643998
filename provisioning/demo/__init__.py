"""The demonstration: a whole site, its cloud and the way back, on one machine."""
