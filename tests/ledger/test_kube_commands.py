"""Commands with their ledger in Kubernetes: killed and stopped at every request, and with the API server away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from chaos_steps.ledger.documents import START_BOUND
from chaos_steps.ledger.hold import LEASE
from chaos_steps.ledger.protocol import Ledger
from tests.conftest import RunCommand, StartCommand
from tests.effects import Act, Done, Job, run_job, run_jobs
from tests.places import KubePlace
from tests.running import Finished
from tests.servers.caddy import Caddy
from tests.servers.kubernetes import ADMIN, Kubernetes
from tests.servers.nginx_waf import NginxWaf
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply
from tests.waiting import wait_until

APPLY = ("apply", "--duration", "60s")
HOLD = ("hold", "--duration", "1us")  # One look at the target, so that its requests are always the same.

QUICK = {
    "chaos_steps.kube._PAUSE": 0.1,
    "chaos_steps.ledger.kube.HURRY": 1.0,
    "chaos_steps.ledger.hold.RENEWAL": 0.5,
    "chaos_steps.ledger.documents.WRITE_BOUND": 0.5,
}

# For a machine that is busy: nothing here is about a slow API server.
STEADY = {"chaos_steps.ledger.kube.HURRY": 20.0, "chaos_steps.ledger.injection.START_BOUND": 20.0}

# What a request is for others: it may have been done or not when its sender dies, or it was done.
POINTS = ("sent", "after its answer")


@pytest.fixture
def place(nginx_waf: NginxWaf, kubernetes: Kubernetes, tmp_path: Path) -> KubePlace:
    return KubePlace(nginx_waf, kubernetes, tmp_path)


def at_every_request(place: KubePlace, make: Callable[[str, int], Job], prefix: str, before: bool) -> dict[str, Job]:
    """By name, a job for each point of the requests of the one that `make` makes; `before`: a fault must be there."""
    measured = f"{prefix}-0"
    if before:
        apply_all(place, [measured])
    done = run_job(make(measured, 0), place.folder / measured)
    assert done.code == 0, done.stderr
    numbers = [number for number, effect in enumerate(done.effects, 1) if effect in POINTS]
    names = {f"{prefix}-{number}": number for number in numbers}
    if before:
        apply_all(place, list(names))
    return {name: make(name, number) for name, number in names.items()}


def apply_all(place: KubePlace, names: Sequence[str]) -> None:
    jobs = [place.inject(name, *APPLY, patches=STEADY) for name in names]
    assert {done.code for done in run_all(place, jobs, f"applied-{names[0]}")} == {0}


def run_all(place: KubePlace, jobs: Sequence[Job], folder: str) -> list[Done]:
    return run_jobs(jobs, place.folder / folder, parallel=place.parallel)


def injected(place: KubePlace, action: Sequence[str], act: Act) -> Callable[[str, int], Job]:
    return lambda name, number: place.inject(name, *action, effect=number, act=act, patches=STEADY)


def reverted(place: KubePlace, act: Act) -> Callable[[str, int], Job]:
    return lambda name, number: place.revert(name, effect=number, act=act)


def test_after_kill_9_at_any_request_of_a_claims_life_a_revert_brings_all_back(place: KubePlace) -> None:
    applied = at_every_request(place, injected(place, APPLY, "kill"), "apply", before=False)
    jobs = {
        **dict(list(applied.items())[-8:]),  # It begins as a hold does.
        **at_every_request(place, injected(place, HOLD, "kill"), "hold", before=False),
        **at_every_request(place, reverted(place, "kill"), "revert", before=True),
    }
    assert len(jobs) > 70
    killed = run_all(place, list(jobs.values()), "killed")
    assert {done.code for done in killed} == {-9}
    assert sum(place.has_fault(name) for name in jobs) > len(jobs) / 4  # Else the test would show nothing.
    names = [*jobs, "apply-0"]
    reverts = [place.revert(name, patches=QUICK) for name in names]
    done = run_jobs(reverts, place.folder / "reverts", parallel=len(names))
    assert {each.code for each in done} == {0}, [each.stderr for each in done if each.code]
    assert place.state() == b"{}"
    assert [name for name in names if place.ledger(name).claims()] == []


def test_a_signal_at_any_request_of_a_hold_leaves_nothing(place: KubePlace) -> None:
    jobs = at_every_request(place, injected(place, HOLD, "term"), "hold", before=False)
    for name, done in zip(jobs, run_all(place, list(jobs.values()), "stopped"), strict=True):
        assert done.code == 143, (name, done.stderr)
        assert not place.has_fault(name), name
        assert place.ledger(name).claims() == [], name


def begin(pool: ThreadPoolExecutor, place: KubePlace, job: Job, name: str) -> Callable[[], Done]:
    return pool.submit(run_job, job, place.folder / name).result


def is_renewed(ledger: Ledger, lease: float = LEASE) -> bool:
    """Whether a hold watches over its fault: it has renewed its first lease of so many seconds."""
    seen = ledger.claims()
    return bool(seen) and seen[0].active and seen[0].expires > seen[0].created + lease + 0.1


def sweep(place: KubePlace, name: str) -> Job:
    job = place.job(name, "fault-sweep", patches=QUICK)
    return replace(job, arguments=("fault-sweep", "--ledger", job.ledger))  # Of no run.


@pytest.mark.parametrize("away", ["suspended", "killed"])
def test_an_api_server_that_is_away_for_a_time_ends_neither_hold_nor_revert_nor_sweep(
    place: KubePlace, away: str
) -> None:
    apply_all(place, ["reverted", "swept"])
    (swept,) = place.ledger("swept").claims()
    place.ledger("swept").renew(swept, time.time() - 1)
    with ThreadPoolExecutor(3) as pool:
        place.ledger("held").mark("run-held", "load-ready")
        action = ("hold", "--duration", "1m", "--wait-for-load", "1m")
        held = begin(pool, place, place.inject("held", *action, patches=QUICK), "hold")
        wait_until(lambda: is_renewed(place.ledger("held")), "the hold to renew its lease")
        with getattr(place.kubernetes, away)():
            reverted = begin(pool, place, place.revert("reverted", patches=QUICK), "revert")
            swept_later = begin(pool, place, sweep(place, "swept"), "sweep")
            stderr = place.folder / "hold" / "0" / "stderr"
            wait_until(lambda: "lease: " in stderr.read_text(), "the hold to miss the API server")
            assert place.has_fault("held")
        place.ledger("held").mark("run-held", "load-done")
        ended = [held(), reverted(), swept_later()]
    assert [done.code for done in ended] == [0, 0, 0], [done.stderr for done in ended]
    assert place.state() == b"{}"
    assert [place.ledger(name).claims() for name in ("held", "reverted", "swept")] == [[], [], []]
    marks = place.ledger("held").marks("run-held")
    assert list(marks) == ["load-ready", "fault-active", "load-done", "fault-ended"]
    assert marks["fault-ended"].details["missing"] == 0


def test_a_hold_whose_api_server_stays_away_reverts_and_leaves_its_claim_to_the_sweep(
    place: KubePlace,
) -> None:
    short = {**QUICK, "chaos_steps.ledger.hold.LEASE": 4}
    with ThreadPoolExecutor(1) as pool:
        held = begin(pool, place, place.inject("held", "hold", "--duration", "1m", patches=short), "hold")
        wait_until(lambda: is_renewed(place.ledger("held"), 4), "the hold to renew its lease")
        with place.kubernetes.suspended():
            wait_until(lambda: not place.has_fault("held"), "the fault to be taken out")
            done = held()
            impatient = {**QUICK, "chaos_steps.ledger.kube.PATIENCE": 0.1}
            reverted = run_job(place.revert("held", patches=impatient), place.folder / "revert")
    assert (reverted.code, "cannot be told" in reverted.stderr) == (6, True), reverted.stderr
    assert done.code == 6
    assert "could not be removed" in done.stderr
    (claim,) = place.ledger("held").claims()
    assert claim.change is not None
    settled = max(claim.expires, claim.change.at + START_BOUND + 0.5)
    wait_until(lambda: time.time() > settled, "the time when its owner can do nothing any more")
    swept = run_job(sweep(place, "held"), place.folder / "sweep")
    assert (swept.code, swept.results["reverted"]) == (0, "1"), swept.stderr
    assert place.ledger("held").claims() == []


def test_a_hold_that_cannot_renew_its_lease_reverts_and_ends_7(
    start_command: StartCommand, place: KubePlace, tmp_path: Path
) -> None:
    kubernetes = place.kubernetes
    with Unreliable(kubernetes.url, kubernetes.tls) as proxy, ThreadPoolExecutor(1) as pool:
        config = kubernetes.kubeconfig(tmp_path / "kubeconfig", url=proxy.url)
        patches = {**QUICK, "chaos_steps.ledger.hold.LEASE": 4}
        job = place.inject("held", "hold", "--duration", "1m", patches=patches)
        held = begin(pool, place, replace(job, environment={**job.environment, "KUBECONFIG": str(config)}), "hold")
        wait_until(lambda: is_renewed(place.ledger("held"), 4), "the hold to renew its lease")
        proxy.misbehave("PUT", reply=Reply(500))
        done = held()
    assert (done.code, "be renewed" in done.stderr) == (7, True), done.stderr
    assert not place.has_fault("held")
    assert place.ledger("held").claims() == []


@pytest.mark.parametrize("verb", ["get", "list", "create", "update", "delete"])
def test_a_command_whose_role_lacks_a_verb_names_it_and_leaves_no_fault(
    place: KubePlace, verb: str, tmp_path: Path
) -> None:
    namespace = place.ledger("x").describe().removeprefix("kube:")
    rule = {"apiGroups": [""], "resources": ["configmaps"]}
    verbs = [each for each in ("create", "update", "delete", "get", "list") if each != verb]
    place.use_token(place.kubernetes.account_token(namespace, [{**rule, "verbs": verbs}]))
    applied = run_job(place.inject("x", *APPLY, patches=STEADY), tmp_path / "apply")
    done = run_job(place.revert("x"), tmp_path / "revert")
    # Without update nothing gets as far as to need a revert.
    codes = {"list": (0, 6), "delete": (0, 6), "update": (3, 0)}.get(verb, (3, 6))
    assert (applied.code, done.code) == codes, (applied.stderr, done.stderr)
    assert f"not allowed to {verb} configmaps in namespace {namespace}" in applied.stderr + done.stderr
    assert f"Role chaos-ledger-{'reader' if verb in ('get', 'list') else 'writer'}" in applied.stderr + done.stderr
    assert place.has_fault("x") == (verb == "list")  # What cannot be listed cannot be reverted; that is the 6.


HOST = "user-service.production.svc"


def test_hold_revert_and_sweep_by_kubeconfig_with_caddy_and_no_secret_in_the_ledger(
    run_command: RunCommand, start_command: StartCommand, caddy: Caddy, kubernetes: Kubernetes, tmp_path: Path
) -> None:
    namespace = kubernetes.new_namespace()
    environment = {
        "KUBECONFIG": str(kubernetes.kubeconfig(tmp_path / "kubeconfig")),
        "WAF_ADMIN_API_URL": caddy.admin_url,
        "WAF_ADMIN_API_TOKEN": "s3cret-of-the-gateway",
        "CHAOS_LEDGER": f"kube:{namespace}",
    }
    fault = ("waf-inject", "--driver", "caddy", "--target-host", HOST, "--status-code", "503", "--percentage", "100")
    before = caddy.config()
    held = start_command(*fault, "--action", "hold", "--duration", "1m", "--run", "r-1", env=environment)
    held.wait_for_stderr("fault active")
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    objects = kubernetes.call("GET", path).body.decode()
    assert {each["metadata"]["labels"]["run"] for each in json.loads(objects)["items"]} == {"r-1"}
    assert caddy.faults()
    for secret in ("s3cret", ADMIN, "Bearer", "BEGIN"):
        assert secret not in objects
    reverted = run_command("fault-revert", "--run", "r-1", env=environment)
    assert (reverted.code, reverted.results) == (0, {"reverted": "1", "remaining": "0"}), reverted.stderr
    assert held.wait().code == 7
    assert caddy.config() == before
    applied = run_command(*fault, "--ttl", "1s", "--run", "r-2", env=environment)
    assert applied.code == 0, applied.stderr
    assert caddy.faults()
    expired = wait_until(lambda: _reverted(run_command("fault-sweep", env=environment)), "the claim to expire")
    assert (expired.code, expired.results["reverted"]) == (0, "1"), expired.stderr
    assert caddy.config() == before
    left = json.loads(kubernetes.call("GET", path).body)["items"]
    assert {each["metadata"]["labels"]["chaos-steps/document"] for each in left} == {"run"}


def _reverted(done: Finished) -> Finished | None:
    return done if done.results["reverted"] != "0" else None
