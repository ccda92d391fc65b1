"""The whole demo, as a person runs it: real k6, real Caddy, the shipped Pipeline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.ledger import open_ledger
from tests.servers.caddy import read
from tests.servers.call import call
from tests.waiting import wait_until

RUN = Path(__file__).parents[2] / "demo/run"
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

    def _load_has_started(self) -> bool:
        ledger = open_ledger(f"file:{self.out / 'ledger'}")
        return any("load-started" in ledger.marks(run) for run in ledger.runs())

    def processes(self) -> set[int]:
        """The demo's process and all that descend from it."""
        parents = {int(entry.name): parent_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        found = {self.process.pid}
        while more := {process for process, parent in parents.items() if parent in found} - found:
            found |= more
        return found


def parent_of(entry: Path) -> int | None:
    """The parent of a process, by its folder in /proc; None when it is gone."""
    try:
        # pid (name) state parent ...: the name may hold anything, so count from its closing bracket.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


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


@pytest.fixture(scope="module")
def whole_runs(demo: Callable[..., Demo]) -> tuple[Demo, Demo]:
    """The demo and the brittle demo; beside one another, since each is mostly waiting."""
    return demo(), demo("--brittle")


# The whole runs go on beside these two tests.
@pytest.mark.usefixtures("whole_runs")
def test_a_fault_that_somebody_removes_makes_the_run_invalid(demo: Callable[..., Demo]) -> None:
    disturbed = demo()
    disturbed.wait_for_load_under_fault()
    disturbed.remove_fault()
    assert disturbed.end() == 7, disturbed.output
    assert disturbed.verdict["verdict"] == "invalid"
    assert NOTHING_LEFT in disturbed.output


@pytest.mark.usefixtures("whole_runs")
def test_stopping_in_mid_fault_takes_the_fault_out_and_ends_every_process(demo: Callable[..., Demo]) -> None:
    stopped = demo()
    stopped.wait_for_load_under_fault()
    # The demo, its three servers, the runner, waf-inject, k6-load, k6.
    processes = stopped.processes()
    assert len(processes) >= 8
    stopped.process.send_signal(signal.SIGINT)
    wait_until(lambda: len(stopped.routes()) == 1, "the fault to be gone", timeout=2)
    assert stopped.end() == 130, stopped.output
    assert NOTHING_LEFT in stopped.output
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]


def test_shop_with_retries_bears_the_fault(whole_runs: tuple[Demo, Demo]) -> None:
    resilient, _ = whole_runs
    assert resilient.end() == 0, resilient.output
    assert resilient.verdict["verdict"] == "pass"
    assert resilient.report.is_absolute()
    assert "<html" in resilient.report.read_text()
    assert NOTHING_LEFT in resilient.output


def test_shop_without_retries_breaches_its_success_rate(whole_runs: tuple[Demo, Demo]) -> None:
    # A tenth of its calls fail, and with them a tenth of its pages: about 0.90 where 0.95 is asked.
    _, brittle = whole_runs
    assert brittle.end() == 1, brittle.output
    assert brittle.verdict["verdict"] == "fail"
    assert "success-rate" in brittle.output
    assert NOTHING_LEFT in brittle.output
