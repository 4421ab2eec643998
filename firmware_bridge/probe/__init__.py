"""Finds meters whose settings nobody knows, names them, and says how sure it is and why."""
