"""The ledgers of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.back_ends import BackEnd, FileBackEnd, KubeBackEnd


@pytest.fixture(params=["file", "kube"])
def back_end(request: pytest.FixtureRequest, tmp_path: Path) -> BackEnd:
    """Each back end in turn, with nothing in it."""
    if request.param == "file":
        return FileBackEnd(tmp_path / "ledger")
    return KubeBackEnd(request.getfixturevalue("kubernetes"))
