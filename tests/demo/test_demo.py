"""The whole demo, as a person runs it: real k6, real Caddy, real Zipkin, the shipped Pipeline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from scipy.stats import binom

from chaos_steps.ledger import open_ledger
from chaos_steps.traces import Edge, Traces
from tests.conftest import RunCommand
from tests.demo.services import DEMO, descendants
from tests.servers.caddy import read
from tests.servers.call import call
from tests.servers.zipkin import Zipkin
from tests.waiting import wait_until

RUN = DEMO / "run"
NOTHING_LEFT = "nothing is left: no chaos rule in the gateway, no claim in the ledger"


class Demo:
    """`demo/run`, started."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.out = out
        out.mkdir()
        self._output = out / "output.txt"
        with self._output.open("wb") as output:
            command = [str(RUN), "--out", str(out), *arguments]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def report(self) -> Path:
        return Path(self.find(r"^report: (/.+)$"))

    @property
    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "report/verdict.json").read_bytes())
        return found

    def edges(self) -> tuple[Edge, Edge]:
        """The calls of shop that its traces show, during the fault and before."""
        traces = msgspec.json.decode((self.out / "traces/traces.json").read_bytes(), type=Traces)
        assert traces.baseline is not None
        (during,), (before,) = traces.measured.edges, traces.baseline.edges
        assert {(edge.caller, edge.callee) for edge in (during, before)} == {("shop", "user-service")}
        return during, before

    def find(self, pattern: str) -> str:
        found = re.search(pattern, self.output, re.MULTILINE)
        assert found, f"no {pattern!r} in:\n{self.output}"
        return found[1]

    def end(self) -> int:
        return self.process.wait(180)

    def routes(self) -> list[dict[str, Any]]:
        """The routes of the demo's gateway, read by its admin API."""
        url = self.find(r"^admin: (.+)$") + "/config/apps/http/servers/gateway/routes"
        found: list[dict[str, Any]] = json.loads(read(url))
        return found

    def remove_fault(self) -> None:
        """Remove the fault, as another person at the gateway would."""
        url = self.find(r"^admin: (.+)$") + "/config/apps/http/servers/gateway/routes/0"
        assert call("DELETE", url).status == 200

    def wait_for_load_under_fault(self) -> None:
        """Wait until the fault is in the gateway and k6 has begun."""
        wait_until(lambda: self.process.poll() is not None or self._load_has_started(), "load under fault", timeout=120)
        assert self.process.poll() is None, self.output
        assert len(self.routes()) == 2

    def all_processes(self) -> set[int] | None:
        """The demo, its three servers with Caddy below one, the runner, waf-inject, k6-load and k6; None until then."""
        found = descendants(self.process.pid)
        return found if len(found) >= 9 else None

    def _load_has_started(self) -> bool:
        ledger = open_ledger(f"file:{self.out / 'ledger'}")
        return any("load-started" in ledger.marks(run) for run in ledger.runs())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Demo]]:
    """Start the demo; ended after the module, whatever a test did."""
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(tmp_path_factory.mktemp("demo") / "out", *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGTERM)
            each.process.wait(30)


class Runs(NamedTuple):
    """Whole runs; all but the first are traced, each to a Zipkin of its own."""

    plain: Demo
    resilient: Demo
    brittle: Demo
    breaker: Demo


@pytest.fixture(scope="module")
def zipkins() -> Iterator[list[Zipkin]]:
    """One for each traced run: they go on at once, and each has a service named shop."""
    servers = [Zipkin() for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        try:
            yield list(threads.map(Zipkin.__enter__, servers))
        finally:
            list(threads.map(Zipkin.stop, servers))


@pytest.fixture(scope="module")
def plain(demo: Callable[..., Demo]) -> Demo:
    """The demo without a Zipkin."""
    return demo()


@pytest.fixture(scope="module")
def runs(plain: Demo, demo: Callable[..., Demo], zipkins: list[Zipkin]) -> Runs:
    """Beside one another, since each is mostly waiting; the first goes ahead while the Zipkins start."""
    resilient, brittle, breaker = (("--zipkin", zipkin.url) for zipkin in zipkins)
    return Runs(plain, demo(*resilient), demo("--brittle", *brittle), demo("--breaker", *breaker))


# The whole runs go on beside these two tests.
@pytest.mark.usefixtures("runs")
def test_a_fault_that_somebody_removes_makes_the_run_invalid(demo: Callable[..., Demo]) -> None:
    disturbed = demo()
    disturbed.wait_for_load_under_fault()
    disturbed.remove_fault()
    assert disturbed.end() == 7, disturbed.output
    assert disturbed.verdict["verdict"] == "invalid"
    assert NOTHING_LEFT in disturbed.output


@pytest.mark.usefixtures("runs")
def test_stopping_in_mid_fault_takes_the_fault_out_and_ends_every_process(demo: Callable[..., Demo]) -> None:
    stopped = demo("--zipkin", "http://127.0.0.1:9")  # Nobody is there, and nobody is asked before the load is over.
    stopped.wait_for_load_under_fault()
    processes = wait_until(stopped.all_processes, "k6")
    stopped.process.send_signal(signal.SIGINT)
    wait_until(lambda: len(stopped.routes()) == 1, "the fault to be gone", timeout=2)
    assert stopped.end() == 130, stopped.output
    assert NOTHING_LEFT in stopped.output
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]


def test_shop_with_retries_bears_the_fault(runs: Runs) -> None:
    assert runs.plain.end() == 0, runs.plain.output
    assert runs.plain.verdict["verdict"] == "pass"
    assert runs.plain.report.is_absolute()
    assert "<html" in runs.plain.report.read_text()
    assert NOTHING_LEFT in runs.plain.output


def test_without_a_zipkin_the_report_says_that_traces_were_not_judged(runs: Runs) -> None:
    runs.plain.end()
    assert "The judge traces was left out" in runs.plain.report.read_text()


def test_traces_show_as_many_attempts_of_shop_as_the_share_of_the_fault_predicts(runs: Runs) -> None:
    assert runs.resilient.end() == 0, runs.resilient.output
    assert runs.resilient.verdict["expected"][-1] == "traces"
    edge, before = runs.resilient.edges()
    # Each of the first and second attempts fails with the fault's 10 %, and is followed by another: 1 + 0.1 + 0.01.
    first, second = (binom(edge.requests, share) for share in (0.1, 0.01))
    low, high = (1 + (first.ppf(tail) + second.ppf(tail)) / edge.requests for tail in (0.000025, 0.999975))
    assert low <= edge.attempts_per_request <= high
    assert edge.errors > 0
    assert before.attempts_per_request == 1
    assert str(round(edge.attempts_per_request, 3)) in runs.resilient.report.read_text()


def test_shop_without_retries_breaches_its_success_rate(runs: Runs) -> None:
    # A tenth of its calls fail, and with them a tenth of its pages: about 0.90 where 0.95 is asked.
    brittle = runs.brittle
    assert brittle.end() == 1, brittle.output
    assert brittle.verdict["verdict"] == "fail"
    assert {reason["subject"] for reason in brittle.verdict["reasons"]} >= {"client", "traces"}
    assert "success-rate" in brittle.output
    assert NOTHING_LEFT in brittle.output
    edge, _ = brittle.edges()
    assert edge.attempts_per_request == 1
    assert (edge.lost, edge.fallbacks) == (edge.errors, 0)
    assert edge.errors > 0


def test_traces_show_the_calls_that_an_open_breaker_cuts_short_and_the_fallbacks(runs: Runs) -> None:
    assert runs.breaker.end() == 0, runs.breaker.output
    edge, before = runs.breaker.edges()
    assert 0 < edge.cut_short < edge.errors  # The others were the gateway's.
    assert edge.fallbacks == edge.lost > 0
    assert (before.cut_short, before.fallbacks) == (0, 0)


def test_what_the_service_behind_the_gateway_does_not_see_its_caller_does(
    runs: Runs, zipkins: list[Zipkin], run_command: RunCommand
) -> None:
    brittle = runs.brittle
    assert brittle.end() == 1, brittle.output
    behind = ("zipkin-slo", "--zipkin-url", zipkins[1].url, "--service-name", "user-service", "--window", "client")
    workspace = ("--workspace", brittle.out, "--run", brittle.verdict["run"])
    served = run_command(*behind, *workspace, "--name", "served")
    assert served.results["success-rate"] == "1"
    assert "the fault sits in front of user-service" in served.stderr
    called = run_command(*behind, *workspace, "--name", "called", "--side", "client", "--caller", "shop")
    assert called.code == 1
    # One call a page, so the calls failed as often as the client's requests.
    client = json.loads((brittle.out / "verdicts/client.json").read_bytes())
    (rate,) = (check["value"] for check in client["checks"] if check["metric"] == "success-rate")
    assert abs(float(called.results["success-rate"]) - rate) < 0.005
