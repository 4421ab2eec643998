"""Meters that answer, replay recorded days, and misbehave on demand; with an encoder of their own."""
