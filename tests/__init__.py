"""Tests, laid out like the package; `servers` starts the real programs they talk to."""
