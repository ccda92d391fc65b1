"""The real ledger code does what the model does, in more than 10,000 interleavings; mistakes put into it show."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone
from chaos_steps.ledger.reversion import Reversion
from tests.api_double import ApiDouble
from tests.ledger.back_ends import client_of
from tests.model.model import Scenario
from tests.model.scheduler import Deviation, FileStore, KubeStore, Store, Walks
from tests.servers.kubernetes import Kubernetes

SCENARIOS = {
    Scenario("abcrs"): 3000,
    Scenario("abcrs", marked=True): 1000,
    Scenario("acrs"): 2000,
    Scenario("abrs"): 2000,
    Scenario("abrs", same_change=False): 1000,
    Scenario("abs"): 1000,
    Scenario("abs", same_change=False): 500,
}


KUBE_SCENARIOS = {Scenario("abcrs"): 600, Scenario("abrs", same_change=False): 300, Scenario("abs"): 300}

REAL = 4
"""Interleavings with a real API server: each takes some hundred requests."""


def in_folder(root: Path) -> Callable[[int], Store]:
    return lambda number: FileStore(root / str(number))


def in_memory(_: int) -> Store:
    server = ApiDouble()
    return KubeStore("n", lambda: server)


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder in memory where there is one: the walks make a million files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def test_ten_thousand_interleavings_are_asked_for() -> None:
    assert sum(SCENARIOS.values()) > 10_000


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_code_does_what_the_model_does(scenario: Scenario, root: Path) -> None:
    walks = Walks(scenario, in_folder(root), seed=1)
    walks.run(SCENARIOS[scenario])
    assert len(walks.seen) == SCENARIOS[scenario]


@pytest.mark.parametrize("scenario", KUBE_SCENARIOS, ids=str)
def test_the_code_does_what_the_model_does_in_kubernetes(scenario: Scenario) -> None:
    Walks(scenario, in_memory, seed=1).run(KUBE_SCENARIOS[scenario])


def test_the_code_does_what_the_model_does_with_a_real_api_server(kubernetes: Kubernetes) -> None:
    namespace = kubernetes.new_namespace()
    Walks(Scenario("abcrs"), lambda _: KubeStore(namespace, client_of(kubernetes)), seed=2).run(REAL)


def _closed_is_not_looked_at_after_claiming(patch: pytest.MonkeyPatch) -> None:
    look = Injection._is_closed
    patch.setattr(Injection, "_is_closed", lambda self: look(self) and False)


def _record_ignores_that_the_claim_is_being_reverted(patch: pytest.MonkeyPatch) -> None:
    record = FileLedger.record

    def careless(self: FileLedger, claim: Claim, change: Any) -> None:
        with contextlib.suppress(BeingReverted):
            record(self, claim, change)

    patch.setattr(FileLedger, "record", careless)


def _activate_does_not_look_for_a_revert(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FileLedger, "activate", lambda self, claim: self._add(claim, "active.json", {}))


def _remove_does_not_look_at_the_id(patch: pytest.MonkeyPatch) -> None:
    remove = FileLedger.remove

    def careless(self: FileLedger, claim: Claim) -> None:
        there = self.find(claim.key)
        remove(self, there or claim)

    patch.setattr(FileLedger, "remove", careless)


def _a_claim_replaces_the_one_that_is_there(patch: pytest.MonkeyPatch) -> None:
    claim_it = FileLedger.claim

    def careless(self: FileLedger, claim: Claim) -> None:
        there = self.find(claim.key)
        if there is not None and there.run != claim.run:
            self.remove(there)
        claim_it(self, claim)

    patch.setattr(FileLedger, "claim", careless)


def _a_take_over_keeps_the_id(patch: pytest.MonkeyPatch) -> None:
    def careless(self: FileLedger, claim: Claim, owner: Any) -> Claim:
        there = self.find(claim.key)
        if there is None or there.id != claim.id:
            raise ClaimGone
        return there

    patch.setattr(FileLedger, "take_over", careless)


def _a_revert_removes_a_claim_whose_owner_may_still_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reversion, "_owner_is_done", lambda *_: True)


def _a_revert_does_not_wait_for_late_writes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("chaos_steps.ledger.documents.START_BOUND", -1000.0)


def _a_write_begins_however_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Injection, "_require_in_time", lambda *_: None)


def _a_revert_overlooks_who_took_the_claim_over(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Reversion, gone: Claim) -> str | None:
        self.ledger.find(gone.key)
        return None

    patch.setattr(Reversion, "_settle_successor", careless)


def _a_sweep_reverts_what_has_a_lease_again(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Reversion, gone: Claim) -> str | None:
        there = self.ledger.find(gone.key)
        return None if there is None or there.run != gone.run else self._settle(there)

    patch.setattr(Reversion, "_settle_successor", careless)


def _a_re_created_owner_does_not_outlast_the_earlier_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Injection, "_outlast", lambda *_: None)


def _the_undo_is_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Injection, "_restore", lambda *_: None)


MISTAKES: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    _closed_is_not_looked_at_after_claiming: "abcrs",
    _record_ignores_that_the_claim_is_being_reverted: "acrs",
    _activate_does_not_look_for_a_revert: "acrs",
    _remove_does_not_look_at_the_id: "acrs",
    _a_claim_replaces_the_one_that_is_there: "acrs",
    _a_take_over_keeps_the_id: "abrs",
    _a_revert_removes_a_claim_whose_owner_may_still_write: "acrs",
    _a_revert_does_not_wait_for_late_writes: "acrs",
    _a_write_begins_however_late: "acrs",
    _a_revert_overlooks_who_took_the_claim_over: "abrs",
    _a_sweep_reverts_what_has_a_lease_again: "abs",
    _a_re_created_owner_does_not_outlast_the_earlier_write: "abs",
    _the_undo_is_skipped: "acrs",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.strip("_"))
def test_a_mistake_in_the_code_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake(monkeypatch)
    walks = Walks(Scenario(MISTAKES[mistake]), in_folder(root), seed=1)
    with pytest.raises(Deviation):
        walks.run(2000)
