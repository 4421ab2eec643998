"""The cloud companion: collects readings, trains models, publishes signed bundles."""
