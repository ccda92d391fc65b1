"""What only the ledger on a file system does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from chaos_steps.errors import Unavailable
from chaos_steps.ledger.documents import Unreadable
from chaos_steps.ledger.file import FileLedger
from tests.ledger.claims import claim


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "ledger")


def test_a_place_that_cannot_be_a_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file"):
        FileLedger(tmp_path / "file" / "ledger").claim(claim())


def test_tidying_removes_what_is_old_and_nobodys_and_nothing_else(ledger: FileLedger, tmp_path: Path) -> None:
    made = claim()
    ledger.claim(made)
    ledger.mark("r-1", "closed")
    root = tmp_path / "ledger"
    for name in ("tmp/new", "tmp/old", "trash/old"):
        (root / name).mkdir(parents=True)
    for name in ("tmp/old", "trash/old"):
        os.utime(root / name, (time.time() - 7200, time.time() - 7200))
    ledger.tidy()
    assert [path.name for path in (root / "tmp").iterdir()] == ["new"]
    assert list((root / "trash").iterdir()) == []
    assert ledger.claims() == [made]
    assert list(ledger.runs()) == ["r-1"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_no_claim_in_a_claims_place_is_told_and_keeps_no_other_from_being_read(
    ledger: FileLedger, tmp_path: Path, is_folder: bool
) -> None:
    good, place = claim(), tmp_path / "ledger" / "claims" / ("0" * 32)
    ledger.claim(good)
    place.mkdir()
    (place / "stray").mkdir() if is_folder else (place / "stray").touch()
    (stray,) = (each for each in ledger.claims() if isinstance(each, Unreadable))
    assert "stray is damaged" in stray.why
    assert good in ledger.claims()
