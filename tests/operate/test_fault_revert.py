"""fault-revert: what it settles, what it leaves, and what it says."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos_steps.ledger import owner
from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.file import FileLedger
from tests.conftest import RunCommand, StartCommand
from tests.effects import Done, Job, run_job, run_jobs
from tests.places import RestPlace
from tests.waiting import wait_until


def apply(place: RestPlace, *names: str) -> None:
    jobs = [place.inject(name, "apply", "--duration", "1m") for name in names]
    assert {done.code for done in run_jobs(jobs, place.folder / f"apply-{'-'.join(names)}")} == {0}


def in_one_ledger(place: RestPlace, name: str, run: str) -> Job:
    ledger = f"file:{place.folder}/ledger"
    arguments = ("waf-inject", "--target-host", f"{name}.test", "--status-code", "503", "--percentage", "1")
    more = ("--duration", "1m", "--ledger", ledger, "--run", run)
    return Job((*arguments, *more), place.environment, ledger)


def revert(place: RestPlace, name: str, *more: str) -> Done:
    return run_job(place.revert(name, *more), place.folder / f"revert-{time.monotonic_ns()}")


def test_all_faults_of_the_run_are_reverted_and_those_of_others_are_not(place: RestPlace) -> None:
    jobs = [in_one_ledger(place, name, run) for name, run in (("a", "mine"), ("b", "mine"), ("c", "theirs"))]
    assert {done.code for done in run_jobs(jobs, place.folder / "apply")} == {0}
    ledger = f"file:{place.folder}/ledger"
    job = Job(("fault-revert", "--ledger", ledger, "--run", "mine"), place.environment, ledger)
    done = run_job(job, place.folder / "revert")
    assert (done.code, done.results) == (0, {"reverted": "2", "remaining": "0"}), done.stderr
    assert [place.has_fault(name) for name in "abc"] == [False, False, True]
    marks = FileLedger(place.folder / "ledger").marks("mine")
    assert {"closed", "fault-ended"} <= set(marks)
    assert "fault-revert" in marks["fault-ended"].reason


def test_a_run_that_the_ledger_does_not_know_is_told_and_closed(place: RestPlace) -> None:
    done = revert(place, "unknown")
    assert (done.code, done.results) == (0, {"reverted": "0", "remaining": "0"})
    assert "knows nothing of run run-unknown" in done.stderr
    assert "closed" in place.ledger("unknown").marks("run-unknown")


@pytest.mark.parametrize("env", [{}, {"CHAOS_TASKRUN_UID": "uid"}])
def test_without_a_run_it_is_a_mistake_and_not_the_own_taskrun(run_command: RunCommand, env: dict[str, str]) -> None:
    done = run_command("fault-revert", env=env)
    assert done.code == 2
    assert "--run" in done.stderr


def test_the_run_may_come_from_the_tasks_param(run_command: RunCommand) -> None:
    assert run_command("fault-revert", env={"PARAM_RUN": "r-1"}).code == 0


def test_reverts_at_once_all_end_0(place: RestPlace) -> None:
    apply(place, "x")
    ended = run_jobs([place.revert("x") for _ in range(6)], place.folder / "at-once", parallel=6)
    assert {done.code for done in ended} == {0}, [done.stderr for done in ended]
    assert not place.has_fault("x")
    assert place.ledger("x").claims() == []


def test_it_waits_for_a_living_owner_no_longer_than_its_grace_and_ends_6(
    place: RestPlace, start_command: StartCommand
) -> None:
    job = place.inject("x", "hold", "--duration", "1m")
    running = start_command(*job.arguments, env=job.environment)
    running.wait_for_stderr("fault active")
    running.send_signal(signal.SIGSTOP)
    done = revert(place, "x", "--grace", "1s")
    assert done.code == 6
    assert "may still write" in done.stderr
    assert not place.has_fault("x")
    assert len(place.ledger("x").claims()) == 1
    running.send_signal(signal.SIGCONT)
    assert running.wait().code == 7
    assert place.ledger("x").claims() == []
    assert revert(place, "x").code == 0


def test_stopped_while_it_waits_it_ends_6(place: RestPlace, start_command: StartCommand) -> None:
    job = place.inject("x", "hold", "--duration", "1m")
    held = start_command(*job.arguments, env=job.environment)
    held.wait_for_stderr("fault active")
    held.send_signal(signal.SIGSTOP)
    job = place.revert("x")
    reverting = start_command(*job.arguments, env=job.environment)
    wait_until(lambda: not place.has_fault("x"), "the fault to be taken out")
    reverting.send_signal(signal.SIGTERM)
    assert reverting.wait().code == 6
    held.send_signal(signal.SIGCONT)
    held.wait()


def claim_of(place: RestPlace, name: str) -> tuple[Claim, Path]:
    (claim,) = place.ledger(name).claims()
    (path,) = (place.folder / f"ledger-{name}").rglob("claim.json")
    return claim, path


def rewrite(path: Path, **changes: Any) -> None:
    """Change a claim's document, and put it where the claim's target belongs."""
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(document))
    folder = path.parent.parent
    folder.rename(folder.with_name(msgspec.convert(document, Claim).key))


@pytest.mark.parametrize(
    ("changes", "named"), [({"kind": "quantum"}, "quantum"), ({"protocol": 2}, "protocol version 2")]
)
def test_a_claim_of_another_program_is_left_and_named(place: RestPlace, changes: dict[str, Any], named: str) -> None:
    apply(place, "x")
    claim, path = claim_of(place, "x")
    rewrite(path, **changes)
    done = revert(place, "x")
    assert done.code == 6
    assert named in done.stderr
    assert claim.id in done.stderr
    assert done.results == {"reverted": "0", "remaining": "1"}
    assert place.has_fault("x")
    assert len(place.ledger("x").claims()) == 1


def test_what_cannot_be_settled_does_not_keep_the_rest_from_it(place: RestPlace) -> None:
    jobs = [in_one_ledger(place, name, "mine") for name in ("a", "b", "c")]
    run_jobs(jobs, place.folder / "apply")
    ledger = FileLedger(place.folder / "ledger")
    paths = sorted((place.folder / "ledger").rglob("claim.json"))
    broken = msgspec.json.decode(paths[0].read_bytes())
    rewrite(paths[0], kind="quantum")
    job = Job(("fault-revert", "--ledger", ledger.describe(), "--run", "mine"), place.environment, ledger.describe())
    done = run_job(job, place.folder / "revert")
    assert (done.code, done.results) == (6, {"reverted": "2", "remaining": "1"})
    left = {name for name in "abc" if place.has_fault(name)}
    assert left == {broken["target"]["host"].removesuffix(".test")}


def test_a_claim_for_a_host_that_is_not_allowed_is_left_and_named(place: RestPlace, tmp_path: Path) -> None:
    apply(place, "x")
    (tmp_path / "limits.yaml").write_text("allowedHosts: ['other.test']")
    done = revert(place, "x", "--limits", str(tmp_path / "limits.yaml"))
    assert done.code == 6
    assert "limits.yaml" in done.stderr
    assert place.has_fault("x")


def test_a_limit_on_how_much_does_not_keep_a_fault_in(place: RestPlace, tmp_path: Path) -> None:
    apply(place, "x")
    (tmp_path / "limits.yaml").write_text("maxPercentage: 1\nmaxDuration: 1s\nmaxTtl: 1s")
    assert revert(place, "x", "--limits", str(tmp_path)).code == 0
    assert not place.has_fault("x")


def test_a_ledger_that_cannot_be_read_is_6(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_command("fault-revert", "--run", "r-1", "--ledger", f"file:{tmp_path}/file/ledger")
    assert done.code == 6, done.stderr


def test_the_change_of_a_dead_owner_is_settled_only_when_it_can_no_longer_land(place: RestPlace) -> None:
    # Killed as its request goes out: 16 effects make the claim, then come a look and the record of the change.
    measured = run_job(place.inject("m", "apply", "--duration", "1m"), place.folder / "measured")
    sending = [number for number, name in enumerate(measured.effects, 1) if name == "sent"][1]
    run_job(place.inject("x", "apply", "--duration", "1m", effect=sending), place.folder / "killed")
    (claim,) = place.ledger("x").claims()
    assert claim.change is not None
    assert owner.is_dead(claim.owner) is True
    assert revert(place, "x").code == 0
    assert time.time() >= claim.change.at + 10
    assert not place.has_fault("x")
