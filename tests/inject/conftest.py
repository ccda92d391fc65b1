"""The places where faults are put."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import CaddyPlace, Place, RestPlace
from tests.servers.nginx_waf import NginxWaf


@pytest.fixture
def rest_place(nginx_waf: NginxWaf, tmp_path: Path) -> Place:
    """The programmable WAF without faults, where it matters little which gateway it is."""
    return RestPlace(nginx_waf, tmp_path)


@pytest.fixture(params=["rest", "caddy"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each of the gateways in turn, without faults."""
    if request.param == "rest":
        return RestPlace(request.getfixturevalue("nginx_waf"), tmp_path)
    return CaddyPlace(request.getfixturevalue("caddy"), tmp_path)
