"""The installer's tools: what sets a site up, checks it and explains it."""
