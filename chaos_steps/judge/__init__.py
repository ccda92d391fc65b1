"""Measure and decide; change nothing they do not remove."""
