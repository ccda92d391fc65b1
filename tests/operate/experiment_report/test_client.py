"""The dose as the load itself saw it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from chaos_steps.operate.experiment_report.client import goes_straight, seen_by_client
from chaos_steps.operate.experiment_report.dose import assess
from chaos_steps.operate.experiment_report.record import Asked, Counted, Measured, read_record
from chaos_steps.workspace import Workspace
from tests.operate.experiment_report.runs import ACTIVE, FAULT_MS, RUN, START_MS, add_load, mark, points

HOST = "user-service.production.svc"
TARGET = f"http://{HOST}/users"
ERRORS = {**ACTIVE, "askedStatus": 503, "host": HOST, "path": None, "probeUrl": None}
STARTED = {"window": "client"}
DELAYS = {**ERRORS, "askedShare": 0.4, "askedStatus": None, "askedDelayMs": 400.0}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, RUN)


def seen(
    workspace: Workspace,
    client: NDArray[Any],
    baseline: NDArray[Any] | None = None,
    *,
    active: Any = ERRORS,
    started: Any = STARTED,
    target: str | None = TARGET,
    before: str | None = TARGET,
) -> Measured | None:
    """What a load under a fault and the one before it tell; by default they tell something."""
    loads = {
        "client": (client, target),
        "baseline": (points(START_MS, 15, 20) if baseline is None else baseline, before),
    }
    for name, (load, address) in loads.items():
        add_load(workspace, name, load)
        window = workspace.read_window(name)
        assert window is not None
        workspace.write_window(msgspec.structs.replace(window, target=address))
    marks = (mark("fault-active", 2, details=active), mark("load-started", 3, details=started))
    return seen_by_client(workspace, read_record({each.name: each for each in marks}))


def under_fault(**failing: float) -> NDArray[Any]:
    return points(FAULT_MS, 29, 50, **failing)


def with_status(load: NDArray[Any], status: int, every: int) -> NDArray[Any]:
    load["status"][::every] = status
    if status == 0:
        load["error"][::every] = 1
        load["duration_us"][::every] = -1
    return load


# Whether it can tell.


@pytest.mark.parametrize(
    ("target", "fault", "straight"),
    [
        (TARGET, {"host": HOST}, True),
        (TARGET, {"host": HOST.upper()}, True),
        (f"http://{HOST}:8080/", {"host": HOST}, True),
        ("http://shop/users", {"host": HOST}, False),
        (f"http://{HOST}.example/", {"host": HOST}, False),
        # The probe names the host in a header of its own; this load goes to the same gateway for something else.
        ("http://gateway:8080/users", {"host": HOST, "probe_url": "http://gateway:8080/users"}, False),
        (TARGET, {"host": HOST, "path": "/users"}, True),
        (TARGET, {"host": HOST, "path": "/u*s"}, True),
        (f"http://{HOST}/users/7", {"host": HOST, "path": "/users/*"}, True),
        (f"http://{HOST}", {"host": HOST, "path": "/*"}, True),
        (TARGET, {"host": HOST, "path": "/user"}, False),
        (TARGET, {"host": HOST, "path": "/.sers"}, False),
        ("http://proxy:8666/a", {"probe_url": "http://PROXY:8666/b"}, True),
        ("http://proxy/a", {"probe_url": "http://proxy:80"}, True),
        ("http://proxy:8667/a", {"probe_url": "http://proxy:8666/a"}, False),
        ("https://proxy/a", {"probe_url": "http://proxy/a"}, False),
        ("http://proxy/a", {}, False),
    ],
)
def test_a_load_goes_straight_to_the_hop_that_its_address_names(target: str, fault: Any, straight: bool) -> None:
    assert goes_straight(target, Asked(**fault)) is straight


@pytest.mark.parametrize(
    "circumstance",
    [
        {"active": ACTIVE},  # Of an older injector, which did not say where its fault is.
        {"started": {}},
        {"started": {"window": "gone"}},
        {"started": {"window": "baseline"}},
        {"target": None},  # A script of the user's own.
        {"target": "http://shop/"},
        {"before": None},
        {"before": f"http://{HOST}/health"},
    ],
)
def test_a_load_tells_nothing_unless_it_and_the_baseline_went_straight_to_the_fault(
    workspace: Workspace, circumstance: Any
) -> None:
    assert seen(workspace, under_fault(failing=0.1), **circumstance) is None


@pytest.mark.parametrize("name", ["client", "baseline"])
def test_points_that_no_window_vouches_for_tell_nothing(workspace: Workspace, name: str) -> None:
    assert seen(workspace, under_fault()) is not None
    workspace.points_path(name).write_bytes(b"")
    marks = (mark("fault-active", 2, details=ERRORS), mark("load-started", 3, details={"window": "client"}))
    assert seen_by_client(workspace, read_record({each.name: each for each in marks})) is None


# What it tells.


def test_an_error_is_told_by_its_status(workspace: Workspace) -> None:
    client, baseline = with_status(points(FAULT_MS, 20, 50), 503, every=8), points(START_MS, 10, 20)
    client["status"][1::8] = 500
    baseline["status"][:7] = 503
    assert seen(workspace, client, baseline) == Measured(
        source="client", url=TARGET, requests=1000, faulted=125, baseline=Counted(requests=200, faulted=7)
    )


def test_a_fault_without_a_status_of_its_own_is_told_by_any_failure(workspace: Workspace) -> None:
    client = with_status(with_status(points(FAULT_MS, 20, 50), 500, every=10), 0, every=4)
    found = seen(workspace, client, active={**ERRORS, "askedStatus": None})
    assert found is not None
    assert (found.requests, found.faulted) == (1000, 250 + 50)


@pytest.mark.parametrize(("share", "outcome"), [(0.1, "agrees"), (0.02, "under"), (0.3, "over"), (1.0, "over")])
def test_the_share_of_errors_is_compared_with_the_asked_one(workspace: Workspace, share: float, outcome: str) -> None:
    found = seen(workspace, under_fault(failing=share))
    assert found is not None
    assert assess(Asked(asked_share=0.1), [found]).outcome == outcome


def slowed(load: NDArray[Any], by_ms: int) -> NDArray[Any]:
    load["duration_us"] += 1000 * by_ms
    return load


def delayed(delay_ms: float, share: float, own_ms: int = 0) -> NDArray[Any]:
    load = slowed(under_fault(), own_ms)
    held = np.random.default_rng(1).random(len(load)) < share
    load["duration_us"] += np.where(held, round(1000 * delay_ms), 0)
    return load


@pytest.mark.parametrize("own_ms", [0, 500])
@pytest.mark.parametrize(
    ("delay_ms", "share", "asked_share", "outcome"),
    [
        (400, 0.4, 0.4, "agrees"),
        (400, 1.0, 1.0, "agrees"),
        (200, 0.4, 0.4, "under"),
        (200, 1.0, 1.0, "under"),
        (0, 0.4, 0.4, "under"),
        (800, 0.4, 0.4, "over"),
        (800, 1.0, 1.0, "over"),
        (400, 0.1, 0.4, "under"),
        (400, 0.8, 0.4, "over"),
    ],
)
def test_share_and_size_of_a_delay_are_told_beside_the_baselines_durations(
    workspace: Workspace, delay_ms: float, share: float, asked_share: float, outcome: str, own_ms: int
) -> None:
    active = {**DELAYS, "askedShare": asked_share}
    baseline = slowed(points(START_MS, 15, 20), own_ms)
    found = seen(workspace, delayed(delay_ms, share, own_ms), baseline, active=active)
    assert found is not None
    dose = assess(Asked(asked_share=asked_share, asked_delay_ms=400), [found])
    assert dose.outcome == outcome, dose.message
    assert "by itself" not in dose.message  # The baseline tells what is.
    if outcome == "agrees":
        assert dose.delay_ms == pytest.approx(400, abs=10)
        assert dose.low is not None
        assert dose.high is not None
        assert dose.low <= share <= dose.high


def test_the_size_of_a_delay_is_not_told_where_the_baseline_has_answers_as_slow(workspace: Workspace) -> None:
    baseline = points(START_MS, 15, 20)
    baseline["duration_us"][:6] += 1_000_000
    found = seen(workspace, delayed(400, 0.4), baseline, active=DELAYS)
    assert found is not None
    assert (found.delayed, found.baseline) == (None, Counted(requests=300, faulted=6))
    assert assess(Asked(asked_share=0.4, asked_delay_ms=400), [found]).outcome == "agrees"


def test_a_baseline_without_any_answer_tells_no_delay(workspace: Workspace) -> None:
    nothing = with_status(points(START_MS, 15, 20), 0, every=1)
    assert seen(workspace, delayed(400, 0.4), nothing, active=DELAYS) is None
