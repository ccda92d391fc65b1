"""Whole runs against the programmable WAF: what experiment-report makes of the dose that was really there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.ledger.protocol import Ledger
from chaos_steps.workspace import Verdict, Workspace
from tests.conftest import RunCommand, StartCommand
from tests.effects import Done, Job, run_job
from tests.places import RestPlace
from tests.servers.nginx_waf import NginxWaf
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

DELAY_MS = 400
NAME, RUN = "x", "run-x"
PROBES = 100
OFTEN = {"chaos_steps.ledger.probe.INTERVAL": 0.02, "chaos_steps.ledger.probe.SETTLE": 0.2}


@dataclass(frozen=True)
class Run:
    """A run's place, workspace and ledger, and the commands on them."""

    folder: Path
    place: RestPlace
    run_command: RunCommand

    @property
    def ledger(self) -> Ledger:
        """Its ledger."""
        return self.place.ledger(NAME)

    def delay(self, percentage: float, probe_url: str, **environment: str) -> Job:
        """A hold of a delay that waits for its load, with a probe that asks far more often than usual."""
        arguments = ("--action", "hold", "--target-host", NginxWaf.host, "--delay-ms", str(DELAY_MS))
        job = self.place.job(
            *(NAME, "waf-inject", *arguments, "--percentage", str(percentage), "--probe-url", probe_url),
            *("--duration", "1m", "--wait-for-load", "1m"),
            patches=OFTEN,
        )
        return replace(job, environment={**job.environment, **environment})

    def hold(self, job: Job, load: Callable[[], object]) -> Done:
        """Run a hold while a load lasts as long as `load` does."""
        self.ledger.mark(RUN, "load-ready")

        def last() -> None:
            wait_until(lambda: {"fault-active", "fault-ended"} & set(self.ledger.marks(RUN)), "the fault")
            self.ledger.mark(RUN, "load-started")
            load()
            self.ledger.mark(RUN, "load-done")

        with ThreadPoolExecutor(1) as pool:
            lasting = pool.submit(last)
            done = run_job(job, self.folder / "hold")
            lasting.result()
        return done

    def report(self) -> dict[str, Any]:
        """What experiment-report writes when the judge of the load was content."""
        workspace = Workspace(self.folder / "workspace", RUN)
        workspace.write_verdict(Verdict(run=RUN, name="client", command="k6-slo", verdict="pass", exit_code=0))
        done = self.run_command(
            *("experiment-report", "--workspace", workspace.root, "--ledger", self.ledger.describe()),
            *("--run", RUN, "--expect", "client"),
        )
        assert done.code == 0, done.stderr
        found: dict[str, Any] = json.loads((workspace.root / "report/verdict.json").read_text())
        return found


@pytest.fixture
def run(nginx_waf: NginxWaf, tmp_path: Path, run_command: RunCommand) -> Run:
    return Run(tmp_path, RestPlace(nginx_waf, tmp_path), run_command)


@pytest.fixture
def halving(nginx_waf: NginxWaf) -> Iterator[Unreliable]:
    """The WAF's admin API, but that the WAF delays half as long as it says."""

    def scaled(body: bytes, factor: float) -> bytes:
        rule = json.loads(body)
        rule["action"]["delayMs"] *= factor
        return json.dumps(rule).encode()

    with Unreliable(nginx_waf.admin_url) as admin:
        truly = admin.respond
        assert truly is not None

        def respond(request: Request) -> Reply:
            if request.method == "POST":
                return truly(request._replace(body=scaled(request.body, 0.5)))
            reply = truly(request)
            if request.method == "GET" and reply.status == 200:
                reply.body = scaled(reply.body, 2)
            return reply

        admin.respond = respond
        yield admin


def probes(upstream: Upstream) -> Callable[[], object]:
    """Wait for enough answers to the probe; the WAF passes on delayed requests too."""
    return lambda: wait_until(lambda: upstream.count >= PROBES, "the probe's requests")


def test_a_delay_as_long_as_asked_is_measured_and_agrees(run: Run, nginx_waf: NginxWaf, upstream: Upstream) -> None:
    done = run.hold(run.delay(50, nginx_waf.url), probes(upstream))
    assert done.code == 0, done.stderr
    report = run.report()
    assert (report["verdict"], report["exitCode"]) == ("pass", 0)
    dose = report["dose"]
    assert (dose["outcome"], dose["source"], dose["askedDelayMs"]) == ("agrees", "probe", DELAY_MS)
    assert dose["low"] <= 0.5 <= dose["high"]
    assert 0 < dose["delayLowMs"] <= dose["delayMs"] <= dose["delayHighMs"]


@pytest.mark.parametrize("percentage", [50, 100])
def test_a_delay_half_as_long_as_the_waf_itself_says_makes_the_run_invalid(
    run: Run, nginx_waf: NginxWaf, upstream: Upstream, halving: Unreliable, percentage: float
) -> None:
    job = run.delay(percentage, nginx_waf.url, WAF_ADMIN_API_URL=halving.url)
    done = run.hold(job, probes(upstream))
    assert done.code == 0, done.stderr  # Every read-back found the rule as it was written.
    report = run.report()
    assert (report["verdict"], report["exitCode"], report["dose"]["outcome"]) == ("invalid", 7, "under")
    (reason,) = report["reasons"]
    assert reason["subject"] == "dose"
    assert ("longer than the others, not 400 ms" if percentage < 100 else "at the median") in reason["message"]


@pytest.mark.usefixtures("k6_binary")
def test_without_a_probe_a_load_that_goes_straight_to_the_waf_measures_the_dose(
    run: Run, nginx_waf: NginxWaf, start_command: StartCommand
) -> None:
    shared = ("--workspace", str(run.folder / "workspace"), "--ledger", run.ledger.describe(), "--run", RUN)
    load = ("k6-load", *shared, "--target-url", f"{nginx_waf.url}/users?id=1", "--rate-rps", "40")
    fault = ("--action", "hold", "--target-host", "127.0.0.1", "--path", "/u*", "--status-code", "503")
    baseline = run.run_command(*load, "--name", "baseline", "--duration", "2s")
    assert baseline.code == 0, baseline.stderr
    loading = start_command(*load, "--name", "client", "--duration", "4s", "--wait-for-fault", "1m")
    held = run.run_command(
        *("waf-inject", *shared, *fault, "--percentage", "30", "--duration", "1m", "--wait-for-load", "1m"),
        env=run.place.environment,
    )
    assert (held.code, loading.wait().code) == (0, 0), held.stderr
    report = run.report()
    dose = report["dose"]
    assert (dose["source"], dose["url"]) == ("client", f"{nginx_waf.url}/users")
    assert (dose["outcome"], report["exitCode"]) == ("agrees", 0), dose["message"]
    assert dose["requests"] >= 160
    assert 0 < dose["faulted"] < dose["requests"]
