"""The Pipeline with a real Zipkin, which is asked about the service behind the gateway that holds the fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.workspace import Verdict
from tests.conftest import RunCommand
from tests.demo.services import service
from tests.servers.caddy import Caddy
from tests.servers.zipkin import Zipkin


@pytest.fixture
def gateway(zipkin: Zipkin) -> Iterator[Caddy]:
    """A gateway in front of the demo's user-service, which reports its traces."""
    with service("user_service", "--zipkin", zipkin.url) as users, Caddy(users.removeprefix("http://")) as caddy:
        yield caddy


@pytest.fixture
def brittle_shop(gateway: Caddy, zipkin: Zipkin) -> Iterator[str]:
    """The demo's shop, which does not retry, and reports its traces; its address."""
    way = ("--upstream", gateway.url, "--host", gateway.host)
    with service("shop", "--brittle", "--zipkin", zipkin.url, *way) as url:
        yield url


def experiment(gateway: Caddy) -> str:
    """Half of the calls of shop fail at the gateway; the others get to user-service."""
    fault = {"type": "L7_HTTP_ERROR", "targetHost": gateway.host, "errorCode": 503, "percentage": 50}
    return json.dumps(
        {
            "experimentName": "shop-does-not-bear-503",
            "fault": {**fault, "probeUrl": gateway.url},
            "durationSeconds": 4,
            "load": {"rps": 50},
            "slo": {"minSuccessRate": 0.9, "maxSuccessDrop": 0.1},
            "zipkin": {"serviceName": "user-service"},
        }
    )


def test_traces_from_behind_the_fault_pass_with_a_warning_and_the_run_fails_by_what_the_client_saw(
    gateway: Caddy, brittle_shop: str, zipkin: Zipkin, run_command: RunCommand, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    finished = run_command(
        "chaos-steps", "run", "chaos-experiment",
        "-p", f"experiment={experiment(gateway)}", "-p", f"target-service-url={brittle_shop}",
        "-p", "waf-driver=caddy", "-p", f"waf-url={gateway.admin_url}",
        "-p", f"zipkin-url={zipkin.url}",
        "-p", "baseline-duration=2s", "-p", "recovery-duration=2s",
        "-w", f"shared-data={data}",
        timeout=120,
    )  # fmt: skip
    assert finished.code == 1, finished.stderr
    report = msgspec.json.decode((data / "report/verdict.json").read_bytes(), type=Report)
    assert {reason.subject for reason in report.reasons} == {"client"}
    verdicts = {verdict.name: verdict for verdict in report.verdicts}
    assert report.expected == ("steady-state", "client", "recovery", "traces")
    client, traces = verdicts["client"], verdicts["traces"]
    assert (client.verdict, traces.verdict) == ("fail", "pass")
    assert {check.metric: check.value for check in traces.checks} == {"success-rate": 1, "success-drop": 0}
    # What the gateway answered itself never came to user-service.
    assert client.requests is not None
    assert traces.requests is not None
    assert 0 < traces.requests < 0.8 * client.requests
    (warning,) = (note for note in traces.notes if note.startswith("the fault sits in front of user-service"))
    for name in ("report.md", "report.html"):
        assert warning in (data / "report" / name).read_text()

    calls = run_command(
        "zipkin-slo", "--workspace", data, "--run", report.run, "--name", "calls", "--window", "client",
        "--zipkin-url", zipkin.url, "--side", "client", "--caller", "shop", "--max-attempts-per-request", "1.5",
    )  # fmt: skip
    assert calls.code == 1, calls.stderr
    assert int(calls.results["requests"]) == pytest.approx(client.requests, rel=0.05)
    judged = msgspec.json.decode((data / "verdicts/calls.json").read_bytes(), type=Verdict)
    decisions = {"success-rate": "fail", "success-drop": "fail", "attempts-per-request": "pass"}
    assert {check.metric: check.decision for check in judged.checks} == decisions
