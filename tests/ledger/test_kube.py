"""What only the ledger in Kubernetes does: API servers that misbehave, objects that are not ours, sizes, Roles."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from chaos_steps import kube
from chaos_steps.errors import ChaosError, Denied, OutcomeUnknown, Unavailable
from chaos_steps.http import Http, Response
from chaos_steps.kube import Objects
from chaos_steps.ledger import kube as kube_ledgers
from chaos_steps.ledger import owner
from chaos_steps.ledger.documents import Change
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.kube import KubeLedger
from chaos_steps.ledger.protocol import ClaimGone, Occupied
from tests.api_double import ApiDouble
from tests.ledger.back_ends import KubeBackEnd, client_of, kube_ledger
from tests.ledger.claims import claim
from tests.ledger.memory import Memory
from tests.servers.kubernetes import ADMIN, Kubernetes
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply

ADMIN_HEADERS = {"Authorization": f"Bearer {ADMIN}"}
CHANGE = Change(before={"a": None}, change={"b": [1]}, at=5.0)
ROLES = Path(__file__).parents[2] / "tekton" / "install" / "ledger.yaml"


@pytest.fixture
def back_end(kubernetes: Kubernetes) -> KubeBackEnd:
    return KubeBackEnd(kubernetes)


def life(ledger: KubeLedger) -> list[object]:
    """Everything that can be done to a claim and a record; what was answered, without what is chosen at random."""
    told: list[object] = []
    first = claim(id="first")
    ledger.claim(first)
    try:
        ledger.claim(claim(id="second", run="r-2"))
    except Occupied as occupied:
        told.append(occupied.claim)
    told.append(ledger.mark("r-1", "load-ready"))
    ledger.record(first, CHANGE)
    ledger.activate(first)
    ledger.renew(first, 77.0)
    told += [ledger.mark("r-1", "fault-active"), ledger.mark("r-1", "fault-active")]
    taken = ledger.take_over(first, owner.current())
    try:
        ledger.renew(first, 78.0)
    except ClaimGone:
        told.append("the old id reaches nothing")
    ledger.mark_ended(taken)
    marked = ledger.mark_reverting(taken)
    told.append((marked.id == taken.id, marked.expires, marked.change, marked.active, marked.reverting, marked.ended))
    told += [list(ledger.marks("r-1")), len(ledger.claims("r-1")), list(ledger.runs())]
    ledger.remove(taken)
    told.append(ledger.find(first.key))
    ledger.forget_run("r-1")
    return [*told, ledger.marks("r-1"), ledger.claims()]


class Misbehaving(ApiDouble):
    """Treats one request so that its answer tells nothing, or the wrong thing."""

    def __init__(self, number: int = 0, how: str = "") -> None:
        super().__init__()
        self._number, self._how = number, how
        self.methods: list[str] = []

    def request(self, method: str, *arguments: Any, **more: Any) -> Response:
        self.methods.append(method)
        if len(self.methods) != self._number:
            return super().request(method, *arguments, **more)
        if self._how.startswith("done, "):
            super().request(method, *arguments, **more)
        status = self._how.rpartition(" ")[2]
        if status.isdigit():
            return Response(int(status), {}, b"", "http://double.test", 0.0)
        raise Unavailable("no answer") if method == "GET" else OutcomeUnknown("no answer")


def on(server: ApiDouble) -> KubeLedger:
    return kube_ledger("n", lambda: server)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_PAUSE", "_PAUSE_AFTER_CONFLICT"):
        monkeypatch.setattr(kube, pause, 0.001)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("how", ["no answer", "done, no answer", "done, 500", "500", "503", "504", "429", "409"])
def test_every_act_ends_as_it_should_whichever_of_its_requests_fails_once(how: str) -> None:
    plain = Misbehaving()
    usual = life(on(plain))
    for number, method in enumerate(plain.methods, 1):
        server = Misbehaving(number, how)
        assert life(on(server)) == usual, (number, method)
        assert len(server.methods) >= len(plain.methods), (number, method)


@pytest.mark.usefixtures("_quick")
def test_every_act_ends_as_it_should_with_a_real_api_server_whose_answers_get_lost(kubernetes: Kubernetes) -> None:
    with Unreliable(kubernetes.url, kubernetes.tls) as proxy:
        ledger = kube_ledger(kubernetes.new_namespace(), lambda: Http(proxy.url, headers=ADMIN_HEADERS))
        usual = life(ledger)
        writes = [number for number, request in enumerate(proxy.requests, 1) if request.method != "GET"]
        for number in writes:
            proxy.requests.clear()
            proxy.misbehave_at(number, passed_on=True)
            assert life(ledger) == usual, number
            proxy.behave()
        assert len(writes) >= 12


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("reply", [Reply(409), Reply(429, headers={"Retry-After": "1"}), Reply(500), None])
def test_an_api_server_that_never_comes_back_is_unavailable_and_named(
    kubernetes: Kubernetes, reply: Reply | None
) -> None:
    with Unreliable(kubernetes.url, kubernetes.tls) as proxy:
        namespace = kubernetes.new_namespace()
        config_maps = Objects(lambda: Http(proxy.url, headers=ADMIN_HEADERS), "configmaps", namespace, {})
        ledger = KubeLedger(namespace, config_maps, patience=0.05)
        made = claim()
        ledger.claim(made)
        proxy.misbehave("PUT", reply=reply)
        with pytest.raises(Unavailable, match=f"ledger kube:{namespace}: "):
            ledger.renew(made, 1.0)
        proxy.behave()
        assert ledger.claims() == [made]


def test_who_looks_while_the_api_server_hangs_is_answered_when_it_goes_on(
    back_end: KubeBackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = claim()
    back_end.ledger.claim(made)
    with back_end.kubernetes.suspended():
        monkeypatch.setattr(kube_ledgers, "HURRY", 0.2)
        with pytest.raises(Unavailable, match="no answer within"):
            back_end.ledger.hurried().find(made.key)
    assert back_end.ledger.find(made.key) == made


def test_the_objects_say_whose_they_are_and_have_no_owner(back_end: KubeBackEnd) -> None:
    back_end.ledger.claim(claim(run="-r.1_", deadline=1_800_000_000.0))
    back_end.ledger.mark("-r.1_", "load-ready")
    for each in back_end.config_maps():
        metadata = each["metadata"]
        assert "ownerReferences" not in metadata
        assert "finalizers" not in metadata
        assert metadata["labels"]["run"] == "r.1"
    (made,) = (each for each in back_end.config_maps() if "deadline" in each["metadata"]["labels"])
    assert made["metadata"]["labels"]["deadline"] == "20270115T080000Z"
    assert list(back_end.ledger.marks("-r.1_")) == ["load-ready"]
    assert len(back_end.ledger.claims("-r.1_")) == 1
    assert back_end.ledger.claims("r.1") == []


def test_what_has_not_our_label_is_left_alone(back_end: KubeBackEnd) -> None:
    made = claim()
    for name in ("settings", f"chaos-claim-{made.key}"):
        back_end.kubernetes.done("POST", back_end.path, {"metadata": {"name": name}, "data": {"claim": "{}"}})
    assert back_end.ledger.claims() == []
    with pytest.raises(Unavailable, match=f"chaos-claim-{made.key} has the name of one of ours, but not the label"):
        back_end.ledger.claim(made)
    back_end.ledger.claim(claim(identity="other"))
    assert len(back_end.config_maps()) == 3


@pytest.mark.parametrize("label", ["run", "deadline"])
def test_labels_that_people_change_change_nothing(back_end: KubeBackEnd, label: str) -> None:
    made = claim()
    back_end.ledger.claim(made)
    back_end.edit(f"chaos-claim-{made.key}", lambda there: there["metadata"]["labels"].update({label: "x"}))
    assert back_end.ledger.claims("r-1") == [made]
    back_end.ledger.renew(made, 50.0)
    (there,) = back_end.config_maps()
    assert there["metadata"]["labels"][label] == "x"


def test_a_before_image_that_is_too_large_is_refused_before_anything_is_changed(back_end: KubeBackEnd) -> None:
    target = Memory("x" * (1 << 20))
    with pytest.raises(Unavailable, match="ConfigMap takes"):
        Injection(back_end.ledger, target.fault, "r-1", 60.0).apply()
    assert target.state == "x" * (1 << 20)
    assert back_end.ledger.claims() == []


def test_the_largest_before_image_goes_through_all_states(back_end: KubeBackEnd) -> None:
    target = Memory("x" * (kube_ledgers.LARGEST - 1200))
    injection = Injection(back_end.ledger, target.fault, "r-1", 60.0)
    injection.apply()
    back_end.ledger.renew(injection.claim, time.time() + 1e9 / 3)
    back_end.ledger.mark_ended(injection.claim)
    assert back_end.ledger.mark_reverting(injection.claim).reverting
    injection.undo("the end")
    assert target.state.startswith("xxx")


def roles() -> dict[str, list[dict[str, Any]]]:
    return {role["metadata"]["name"]: role["rules"] for role in yaml.safe_load_all(ROLES.read_text())}


def test_the_role_of_a_writer_is_enough_and_that_of_a_reader_reads(back_end: KubeBackEnd) -> None:
    written = roles()
    writer = back_end.kubernetes.account_token(back_end.namespace, written["chaos-ledger-writer"])
    ledger = kube_ledger(back_end.namespace, client_of(back_end.kubernetes, writer))
    assert life(ledger)[-1] == []
    made = claim()
    ledger.claim(made)
    ledger.mark("r-1", "closed")
    reader = back_end.kubernetes.account_token(back_end.namespace, written["chaos-ledger-reader"])
    ledger = kube_ledger(back_end.namespace, client_of(back_end.kubernetes, reader))
    assert (ledger.claims(), ledger.find(made.key)) == ([made], made)
    assert list(ledger.runs()) == list({mark.run for mark in ledger.marks("r-1").values()}) == ["r-1"]
    with pytest.raises(Denied, match=r"not allowed to update .*chaos-ledger-writer"):
        ledger.mark("r-1", "fault-ended")


@pytest.mark.parametrize("verb", ["get", "list", "create", "update", "delete"])
def test_without_any_one_verb_an_act_fails_and_names_verb_and_role(back_end: KubeBackEnd, verb: str) -> None:
    (rule,) = roles()["chaos-ledger-writer"]
    assert verb in rule["verbs"]
    rest = {**rule, "verbs": [each for each in rule["verbs"] if each != verb]}
    token = back_end.kubernetes.account_token(back_end.namespace, [rest])
    ledger = kube_ledger(back_end.namespace, client_of(back_end.kubernetes, token))
    with pytest.raises(ChaosError) as denied:
        life(ledger)
    assert isinstance(denied.value, Denied)
    assert f"not allowed to {verb} configmaps in namespace {back_end.namespace}" in str(denied.value)
    role = "chaos-ledger-reader" if verb in ("get", "list") else "chaos-ledger-writer"
    assert f"Role {role}" in str(denied.value)


@pytest.mark.parametrize(("is_hurried", "longest"), [(False, kube_ledgers.PATIENCE), (True, kube_ledgers.HURRY)])
def test_an_owner_is_told_soon_that_the_api_server_is_away_and_others_later(
    monkeypatch: pytest.MonkeyPatch, is_hurried: bool, longest: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(kube, "time", SimpleNamespace(sleep=waited.append, monotonic=lambda: sum(waited)))
    timeouts: list[float] = []

    class Away(ApiDouble):
        def request(self, *_: Any, timeout: float | None = None, **__: Any) -> Response:
            timeouts.append(timeout or 0.0)
            raise Unavailable("no answer")

    ledger = on(Away())
    with pytest.raises(Unavailable, match="ledger kube:n: no answer"):
        (ledger.hurried() if is_hurried else ledger).marks("r-1")
    assert longest - 1 < sum(waited) <= longest
    assert 0 < timeouts[0] <= longest


def test_an_act_on_a_claim_that_was_damaged_meanwhile_is_not_taken_for_done(back_end: KubeBackEnd) -> None:
    made = claim()
    back_end.ledger.claim(made)
    back_end.overwrite(made, "{")
    for act in (back_end.ledger.remove, back_end.ledger.activate, back_end.ledger.mark_ended):
        with pytest.raises(Unavailable, match="damaged"):
            act(made)
    assert len(back_end.config_maps()) == 1
