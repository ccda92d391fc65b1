"""fault-sweep: expired claims, and nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.ledger.protocol import Ledger
from tests.effects import Done, Job, run_job
from tests.places import RestPlace


def sweep(place: RestPlace, ledger: Ledger, *more: str) -> Done:
    job = Job(("fault-sweep", "--ledger", ledger.describe(), *more), place.environment, ledger.describe())
    return run_job(job, place.folder / f"sweep-{time.monotonic_ns()}")


@pytest.fixture
def applied(place: RestPlace) -> Ledger:
    """The ledger of a fault that was applied for a minute."""
    done = run_job(place.inject("x", "apply", "--duration", "1m"), place.folder / "apply")
    assert done.code == 0, done.stderr
    return place.ledger("x")


def age(folder: Path, seconds: float) -> None:
    """Make every time that the documents of a ledger hold as much older."""
    for path in folder.rglob("*.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps(older(document, seconds)))


def older(document: Any, seconds: float) -> Any:
    if not isinstance(document, dict):
        return document
    times = ("at", "created", "deadline")
    return {key: value - seconds if key in times else older(value, seconds) for key, value in document.items()}


def test_a_claim_that_has_not_expired_is_left(place: RestPlace, applied: Ledger) -> None:
    done = sweep(place, applied)
    assert (done.code, done.results) == (0, {"reverted": "0", "remaining": "0"})
    assert place.has_fault("x")


def test_an_expired_claim_is_reverted_and_the_run_may_not_hold_it_again(place: RestPlace, applied: Ledger) -> None:
    age(place.folder / "ledger-x", 3600)
    applied.renew(applied.claims()[0], time.time() - 3000)
    done = sweep(place, applied)
    assert (done.code, done.results) == (0, {"reverted": "1", "remaining": "0"}), done.stderr
    assert not place.has_fault("x")
    assert applied.claims() == []
    assert "fault-ended" in applied.marks("run-x")
    again = run_job(place.inject("x", "hold", "--duration", "1m"), place.folder / "again")
    assert again.code == 143, again.stderr
    assert not place.has_fault("x")


def test_the_fault_of_a_hold_that_was_killed_is_reverted_when_its_lease_is_over(place: RestPlace) -> None:
    measured = run_job(place.inject("m", "hold", "--duration", "1us"), place.folder / "measured")
    released = len(measured.effects) // 2
    killed = run_job(place.inject("x", "hold", "--duration", "1m", effect=released), place.folder / "killed")
    assert killed.code == -9
    ledger = place.ledger("x")
    (claim,) = ledger.claims()
    assert 0 < claim.expires - time.time() <= 45
    assert sweep(place, ledger).results["reverted"] == "0"
    age(place.folder / "ledger-x", 60)
    ledger.renew(claim, claim.expires - 60)
    done = sweep(place, ledger)
    assert (done.code, done.results["reverted"]) == (0, "1"), done.stderr
    assert not place.has_fault("x")
    assert ledger.claims() == []


def test_an_expired_change_that_may_still_land_waits_for_the_next_sweep(place: RestPlace, applied: Ledger) -> None:
    (path,) = (place.folder / "ledger-x").rglob("ended-*.json")
    path.unlink()  # As if its owner were still about to write.
    applied.renew(applied.claims()[0], time.time() - 1)
    (step,) = (place.folder / "ledger-x").rglob("step-*.json")
    document = json.loads(step.read_text())
    document["change"]["at"] = time.time() + 5
    step.write_text(json.dumps(document))
    done = sweep(place, applied)
    assert done.code == 6, done.stderr
    assert not place.has_fault("x")
    assert len(applied.claims()) == 1


def test_a_claim_of_another_version_is_named_when_it_has_expired_and_not_before(
    place: RestPlace, applied: Ledger
) -> None:
    (path,) = (place.folder / "ledger-x").rglob("claim.json")
    document = {**json.loads(path.read_text()), "protocol": 2}
    path.write_text(json.dumps(document))
    assert sweep(place, applied).code == 0
    path.write_text(json.dumps({**document, "deadline": time.time() - 60}))
    done = sweep(place, applied)
    assert done.code == 6
    assert "protocol version 2" in done.stderr
    assert place.has_fault("x")


def test_limits_hold_for_the_sweep_too(place: RestPlace, applied: Ledger, tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("allowedHosts: [other.test]")
    applied.renew(applied.claims()[0], time.time() - 3000)
    done = sweep(place, applied, "--limits", str(tmp_path))
    assert done.code == 6
    assert "limits.yaml" in done.stderr
    assert place.has_fault("x")


@pytest.mark.parametrize(("days", "is_kept"), [(6.9, True), (7.1, False)])
def test_the_record_of_a_run_is_forgotten_seven_days_after_it_was_closed(
    place: RestPlace, days: float, is_kept: bool
) -> None:
    ledger = place.ledger("x")
    for run in ("closed", "open"):
        ledger.mark(run, "fault-active")
    ledger.mark("closed", "closed")
    age(place.folder / "ledger-x", days * 86400)
    assert sweep(place, ledger).code == 0
    assert list(ledger.runs()) == (["closed", "open"] if is_kept else ["open"])


def test_a_closed_run_that_still_has_a_claim_is_remembered(place: RestPlace, applied: Ledger) -> None:
    applied.mark("run-x", "closed")
    age(place.folder / "ledger-x", 8 * 86400)
    assert sweep(place, applied).code == 0
    assert list(applied.runs()) == ["run-x"]
