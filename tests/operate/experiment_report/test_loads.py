from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos_steps.operate.experiment_report.document import Fault
from chaos_steps.operate.experiment_report.loads import Loads, TimeAxis, read_loads
from chaos_steps.workspace import Window, Workspace, points_dtype
from tests.operate.experiment_report.runs import RUN, START_MS, add_load, points


def load(*requests: tuple[float, int, int]) -> NDArray[Any]:
    """Points of (seconds after the start, duration in milliseconds, status); no status: no answer."""
    rows = [
        (START_MS * 1000 + int(at * 1e6), took * 1000 if status else -1, status, int(not status))
        for at, took, status in requests
    ]
    return np.array(rows, points_dtype())


def fault(start: float, end: float | None) -> Fault:
    """A fault from and to so many seconds after the start."""
    end_ms = None if end is None else START_MS + int(end * 1000)
    return Fault(kind="waf", target="t", summary="", start_ms=START_MS + int(start * 1000), end_ms=end_ms)


def window(start_ms: int, end_ms: int, requests: int) -> Window:
    return Window(run=RUN, name="client", start_ms=start_ms, end_ms=end_ms, source="k6-load", requests=requests)


def test_curves_have_one_entry_for_each_bin_with_requests_whatever_the_order_of_the_points(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, RUN)
    # 12 requests in 24 s: bins are wide, so three of them hold everything.
    many = [(0.1 * number, 10 + number, 200) for number in range(100)]
    rare = [(30.0, 500, 503), (30.1, 100, 399), (30.2, 200, 199), (30.3, 0, 0), (60.0, 0, 0)]
    shuffled = load(*many, *rare)[np.random.default_rng(1).permutation(105)]
    add_load(workspace, "client", shuffled)
    loads = read_loads(workspace, fault(0, 60))
    (curves,) = loads.curves
    assert loads.axis is not None
    assert loads.axis.bin_seconds == 30
    assert curves.time.tolist() == [15, 45, 75]
    assert curves.requests.tolist() == [100, 4, 1]
    assert curves.failures.tolist() == [0, 3, 1]
    assert curves.p50.tolist()[:2] == [59, 200]
    assert curves.p99.tolist()[:2] == [108, 500]
    assert np.isnan(curves.p50[2])
    assert len(curves.good_dots) == 101
    assert sorted(curves.failed_dots[:, 1].tolist()) == [200, 500]
    (window,) = loads.windows
    assert window.statuses == {"none": 2, "199": 1, "200": 100, "399": 1, "503": 1}
    assert (window.failures, window.connection_errors) == (4, 2)


def test_a_load_without_any_answer_has_no_latency(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, RUN)
    add_load(workspace, "client", load((0, 0, 0), (1, 0, 0)))
    loads = read_loads(workspace, None)
    (window,) = loads.windows
    assert (window.p50_latency_ms, window.p99_latency_ms, window.success_rate) == (None, None, 0.0)
    assert (window.percentiles_ms, loads.distributions) == ({}, ())
    assert loads.curves[0].failures.sum() == 2


def test_an_empty_load_is_listed_and_not_drawn(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, RUN)
    sha = workspace.write_points("client", load())
    workspace.write_window(
        Window(run=RUN, name="client", start_ms=1, end_ms=1, source="k6-load", points_sha256=sha, requests=0)
    )
    loads = read_loads(workspace, None)
    (window,) = loads.windows
    assert (window.points, window.failures, window.success_rate) == (True, 0, None)
    assert (loads.curves, loads.distributions) == ((), ())


def test_a_workspace_without_loads_has_no_axis(tmp_path: Path) -> None:
    assert read_loads(Workspace(tmp_path, RUN), fault(0, 60)) == Loads()


@pytest.mark.parametrize(
    ("seconds", "requests", "width"),
    [(60, 100_000, 0.5), (60, 600, 5), (3600, 10_000_000, 20), (1_000_000, 10**9, 1_000_000 / 240), (0, 1, 0.1)],
)
def test_bins_are_as_fine_as_their_number_and_the_requests_in_each_allow(
    seconds: int, requests: int, width: float
) -> None:
    axis = TimeAxis.over([window(START_MS, START_MS + seconds * 1000, requests)], None)
    assert axis.bin_seconds == width


@pytest.mark.parametrize(("origin", "taken"), [(0, True), (-59, True), (119, True), (-61, False), (86_400, False)])
def test_an_origin_far_from_all_loads_is_not_taken(origin: int, taken: bool) -> None:
    origin_ms = START_MS + origin * 1000
    axis = TimeAxis.over([window(START_MS, START_MS + 60_000, 1000)], origin_ms)
    assert axis.begins_at(origin_ms) is taken
    assert axis.begins_at(START_MS) is (not taken or origin == 0)


def test_dots_are_a_sample_that_spans_the_whole_load(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, RUN)
    add_load(workspace, "client", points(START_MS, 100, 1000, failing=0.5))
    (curves,) = read_loads(workspace, fault(0, 100)).curves
    assert len(curves.good_dots) == 1200
    assert len(curves.failed_dots) == 400
    assert curves.good_dots[:, 0].min() < 1
    assert curves.good_dots[:, 0].max() > 99


@pytest.mark.parametrize(
    ("start", "end", "phase"),
    [
        (70, 80, "before"),
        (31, 80, "before"),
        (29, 80, "during"),
        (-5, 31, "during"),
        (-5, 29, "after"),
        (9, None, "during"),
    ],
)
def test_a_load_is_before_under_or_after_the_fault_by_where_its_middle_lies(
    tmp_path: Path, start: float, end: float | None, phase: str
) -> None:
    workspace = Workspace(tmp_path, RUN)
    add_load(workspace, "client", points(START_MS, 60, 10))
    assert read_loads(workspace, fault(start, end)).windows[0].phase == phase


def test_a_load_has_no_phase_without_a_fault_or_with_clocks_that_disagree(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, RUN)
    add_load(workspace, "client", points(START_MS, 60, 10))
    assert read_loads(workspace, None).windows[0].phase is None
    assert read_loads(workspace, fault(86_400, None)).windows[0].phase is None
