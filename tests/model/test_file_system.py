"""The file ledger, stopped between any two of its operations on the file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.ledger import file
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.protocol import BeingReverted, Occupied
from tests.model.meeting import SCHEDULES, Wrong, run_schedules
from tests.model.scheduler import Process, owner_named


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every operation on the file system a point to stop at, for our processes only."""
    for holder, names in {
        Path: ("mkdir", "rename", "hardlink_to", "unlink", "rmdir", "iterdir", "read_bytes", "open", "touch", "stat"),
        os: ("open", "utime", "fsync"),
        shutil: ("rmtree",),
    }.items():
        for name in names:
            monkeypatch.setattr(holder, name, _stepped(name, getattr(holder, name)))
    monkeypatch.setattr(owners, "current", lambda: owner_named("anybody"))


def _stepped(name: str, operation: Any) -> Any:
    def step(*args: Any, **kwargs: Any) -> Any:
        process = getattr(Process.here, "process", None)
        if process is not None:
            process.stop(name)
        return None if name == "fsync" else operation(*args, **kwargs)

    return step


@pytest.fixture
def root() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def ledgers(root: Path) -> Callable[[int], FileLedger]:
    return lambda seed: FileLedger(root / str(seed))


@pytest.mark.usefixtures("stepped")
def test_claims_exclude_one_another_and_every_act_reaches_its_own_claim_only(root: Path) -> None:
    assert run_schedules(ledgers(root), SCHEDULES) > 50 * SCHEDULES


def _remove_what_is_there(patch: pytest.MonkeyPatch) -> None:
    remove = FileLedger.remove

    def careless(self: FileLedger, claim: Claim) -> None:
        remove(self, self.find(claim.key) or claim)

    patch.setattr(FileLedger, "remove", careless)


def _look_for_a_revert_before_activating(patch: pytest.MonkeyPatch) -> None:
    def careless(self: FileLedger, claim: Claim) -> None:
        if self._is_reverting(claim):
            raise BeingReverted
        self._add(claim, "active.json", {})

    patch.setattr(FileLedger, "activate", careless)


def _record_and_mark_under_two_names(patch: pytest.MonkeyPatch) -> None:
    def mark(self: FileLedger, claim: Claim) -> Claim:
        self._add(claim, "reverting.json", {})
        return self._load(self._folder(claim))

    def record(self: FileLedger, claim: Claim, change: Change) -> None:
        if self._is_reverting(claim):
            raise BeingReverted
        self._add(claim, f"step-{claim.id}.json", file._Step(change=change))

    patch.setattr(FileLedger, "mark_reverting", file._reporting(mark))
    patch.setattr(FileLedger, "record", record)


def _claim_after_a_look(patch: pytest.MonkeyPatch) -> None:
    make = FileLedger.claim

    def careless(self: FileLedger, claim: Claim) -> None:
        there = self.find(claim.key)
        if there is not None:
            raise Occupied(there)
        shutil.rmtree(self._claims / claim.key, ignore_errors=True)
        make(self, claim)

    patch.setattr(FileLedger, "claim", careless)


def _sync_needs_the_folder(patch: pytest.MonkeyPatch) -> None:
    def careless(folder: Path) -> None:
        os.close(os.open(folder, os.O_RDONLY))

    patch.setattr(file, "_sync", careless)


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize(
    "mistake",
    [
        _remove_what_is_there,
        _look_for_a_revert_before_activating,
        _record_and_mark_under_two_names,
        _claim_after_a_look,
        _sync_needs_the_folder,
    ],
    ids=lambda mistake: mistake.__name__.strip("_"),
)
def test_a_mistake_is_found(mistake: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(Wrong):
        run_schedules(ledgers(root), 3 * SCHEDULES)
