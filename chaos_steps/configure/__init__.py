"""Obtain and validate the experiment."""
