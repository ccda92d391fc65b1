"""The demo's modules can be imported as they import one another: by their names alone."""

from __future__ import annotations

import sys

from tests.demo.services import DEMO

sys.path.insert(0, str(DEMO))
