"""A WAF with faults, for what takes them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import RestPlace
from tests.servers.nginx_waf import NginxWaf


@pytest.fixture
def place(nginx_waf: NginxWaf, tmp_path: Path) -> RestPlace:
    """The programmable WAF without faults."""
    return RestPlace(nginx_waf, tmp_path)
