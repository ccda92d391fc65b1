"""The ledger in Kubernetes, stopped between any two of its requests; answers get lost, and requests come late."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from chaos_steps import kube
from chaos_steps.errors import OutcomeUnknown, Unavailable
from chaos_steps.kube import Objects
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.kube import KubeLedger
from chaos_steps.ledger.protocol import ClaimGone
from tests.api_double import ApiDouble
from tests.ledger.back_ends import kube_ledger
from tests.model.meeting import SCHEDULES, Wrong, run_schedules
from tests.model.scheduler import Process, owner_named

LOST = 0.02
"""Probability that a request has no answer: it was not done, or it was, or it is done later. Creations never come late:
a late one is the one thing that conditions cannot stop."""


class _Unsteady(ApiDouble):
    """An API server that each of our processes stops before, and that loses answers."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._choose = random.Random(seed)
        self._late: list[tuple[str, str, Any]] = []
        self.lost = 0

    def answer(self, method: str, path: str, sent: Any, params: Mapping[str, str]) -> tuple[int, str]:
        process = getattr(Process.here, "process", None)
        if process is None:
            return super().answer(method, path, sent, params)
        process.stop(f"{method} {path}")
        if self._late and self._choose.random() < LOST:
            super().answer(*self._late.pop(0), {})
        if self._choose.random() < LOST:
            self._lose(method, path, sent)
        return super().answer(method, path, sent, params)

    def _lose(self, method: str, path: str, sent: Any) -> None:
        self.lost += 1
        if method == "GET":
            raise Unavailable("no answer")
        what = self._choose.choice(("done", "not done", "done later"))
        if what == "done":
            super().answer(method, path, sent, {})
        if what == "done later" and method != "POST":
            self._late.append((method, path, sent))
        raise OutcomeUnknown("no answer")


@pytest.fixture(autouse=True)
def _stepped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "current", lambda: owner_named("anybody"))
    for pause in ("_PAUSE", "_PAUSE_AFTER_CONFLICT"):
        monkeypatch.setattr(kube, pause, 0.0)


def ledgers(servers: list[_Unsteady]) -> Callable[[int], KubeLedger]:
    """A ledger for each seed, on a server of its own that is added to `servers`."""

    def new(seed: int) -> KubeLedger:
        server = _Unsteady(seed)
        servers.append(server)
        return kube_ledger("n", lambda: server)

    return new


def test_claims_exclude_one_another_and_every_act_reaches_its_own_claim_only() -> None:
    servers: list[_Unsteady] = []
    assert run_schedules(ledgers(servers), SCHEDULES) > 20 * SCHEDULES
    assert sum(server.lost for server in servers) > SCHEDULES / 3


def _remove_what_is_there(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KubeLedger, "_is_still", lambda *_: True)


def _write_without_the_condition(patch: pytest.MonkeyPatch) -> None:
    update = Objects.update

    def careless(self: Objects, changed: dict[str, Any]) -> None:
        kept = {key: value for key, value in changed["metadata"].items() if key != "resourceVersion"}
        update(self, {**changed, "metadata": kept})

    patch.setattr(Objects, "update", careless)


def _delete_without_the_condition(patch: pytest.MonkeyPatch) -> None:
    def careless(self: Objects, there: dict[str, Any]) -> None:
        self._object(self._ask("delete", "DELETE", f"/{there['metadata']['name']}", body={"preconditions": {}}))

    patch.setattr(Objects, "delete", careless)


def _record_what_is_being_reverted(patch: pytest.MonkeyPatch) -> None:
    def careless(self: KubeLedger, claim: Claim, change: Change) -> None:
        self._change(claim, lambda there: msgspec.structs.replace(there, change=change))

    patch.setattr(KubeLedger, "record", careless)


def _activate_what_is_being_reverted(patch: pytest.MonkeyPatch) -> None:
    def careless(self: KubeLedger, claim: Claim) -> None:
        self._change(claim, lambda there: msgspec.structs.replace(there, active=True))

    patch.setattr(KubeLedger, "activate", careless)


def _take_over_under_the_old_id(patch: pytest.MonkeyPatch) -> None:
    def careless(self: KubeLedger, claim: Claim, owner: Any) -> Claim:
        there = self.find(claim.key)
        if there is None or there.id != claim.id:
            raise ClaimGone
        return there

    patch.setattr(KubeLedger, "take_over", careless)


@pytest.mark.parametrize(
    "mistake",
    [
        _remove_what_is_there,
        _write_without_the_condition,
        _delete_without_the_condition,
        _record_what_is_being_reverted,
        _activate_what_is_being_reverted,
        _take_over_under_the_old_id,
    ],
    ids=lambda mistake: mistake.__name__.strip("_"),
)
def test_a_mistake_is_found(mistake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    with pytest.raises(Wrong):
        run_schedules(ledgers([]), 3 * SCHEDULES)
