"""Produce traffic and record what the client saw."""
