"""The shipped Pipeline, run by `chaos-steps run` with the real commands, k6 and a real gateway."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCommand, StartCommand
from tests.local.processes import child_of
from tests.local.tekton_folder import TektonFolder, task
from tests.running import Finished
from tests.servers.caddy import Caddy
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

TRIES = 4


@pytest.fixture
def shop(caddy: Caddy) -> Iterator[Upstream]:
    """A service that asks the one behind the gateway, and asks again when that fails."""

    def ask(_: Request) -> Reply:
        request = urllib.request.Request(caddy.url, headers={"Host": caddy.host})
        for _try in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    return Reply(answer.status)
            except urllib.error.HTTPError as error:
                error.close()
        return Reply(502)

    with Upstream() as service:
        service.respond = ask
        yield service


def experiment(caddy: Caddy, **changes: Any) -> str:
    """One fault in three; with its tries the shop fails once in 81, and 0.9 is asked of it."""
    fault = {
        "type": "L7_HTTP_ERROR",
        "targetHost": caddy.host,
        "errorCode": 503,
        "percentage": 33,
        "probeUrl": caddy.url,
    }
    found = {
        "experimentName": "shop-bears-503",
        "enabled": True,
        "fault": fault,
        "durationSeconds": 4,
        "load": {"rps": 30},
        "slo": {"minSuccessRate": 0.9},
    }
    return json.dumps({**found, **changes})


@pytest.fixture
def arguments(caddy: Caddy, shop: Upstream, tmp_path: Path) -> Callable[..., list[str]]:
    """The arguments of `chaos-steps` for an experiment; further params by name."""

    def make(**params: str) -> list[str]:
        given = {
            "target-service-url": shop.url,
            "waf-driver": "caddy",
            "waf-url": caddy.admin_url,
            "baseline-duration": "2s",
            "recovery-duration": "2s",
            **{name.replace("_", "-"): value for name, value in params.items()},
        }
        pairs = [text for name, value in given.items() for text in ("-p", f"{name}={value}")]
        return ["run", "chaos-experiment", *pairs, "-w", f"shared-data={tmp_path / 'data'}"]

    return make


def claims(tmp_path: Path) -> list[Path]:
    """What is left in the ledger of the test."""
    return list((tmp_path / "state" / "chaos-steps" / "ledger" / "claims").glob("*"))


def test_a_service_that_bears_the_fault_passes_and_nothing_is_left(
    caddy: Caddy, run_command: RunCommand, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    before = caddy.config()
    finished = run_command("chaos-steps", *arguments(experiment=experiment(caddy)))
    assert finished.code == 0, finished.stderr
    assert (finished.results["verdict"], finished.results["exit-code"]) == ("pass", "0")
    report = json.loads((tmp_path / "data/report/verdict.json").read_text())
    assert report["run"] == finished.results["run"]
    assert [verdict["name"] for verdict in report["verdicts"]] == ["steady-state", "client", "recovery"]
    assert report["dose"]["outcome"] == "agrees"
    assert "judge-traces: skipped" in finished.stderr
    assert any(note.startswith("The judge traces was left out") for note in report["notes"])
    assert Path(finished.results["report"]).is_file()
    assert caddy.config() == before
    assert claims(tmp_path) == []


def test_without_a_steady_state_nothing_is_injected_and_the_run_ends_with_4(
    caddy: Caddy, run_command: RunCommand, arguments: Callable[..., list[str]], shop: Upstream, tmp_path: Path
) -> None:
    shop.respond = lambda _: Reply(500)
    finished = run_command("chaos-steps", *arguments(experiment=experiment(caddy)))
    assert finished.code == 4, finished.stderr
    assert finished.results["exit-code"] == "4"
    for name in ("inject", "load", "recovery", "judge-client", "judge-recovery", "judge-traces"):
        assert f"{name}: skipped" in finished.stderr
    assert {path.stem for path in (tmp_path / "data/windows").iterdir()} == {"baseline"}
    assert caddy.faults() == []


def test_a_disabled_experiment_ends_green_and_touches_nothing(
    run_command: RunCommand, arguments: Callable[..., list[str]], caddy: Caddy, shop: Upstream
) -> None:
    finished = run_command("chaos-steps", *arguments(experiment=experiment(caddy, enabled=False)))
    assert finished.code == 0, finished.stderr
    assert (finished.results["verdict"], finished.results["exit-code"]) == ("disabled", "0")
    assert shop.count == 0


def test_a_run_that_guard_refuses_ends_with_its_code_and_has_a_report(
    run_command: RunCommand, arguments: Callable[..., list[str]], caddy: Caddy, shop: Upstream, tmp_path: Path
) -> None:
    finished = run_command("chaos-steps", *arguments(experiment=experiment(caddy, durationSeconds=901)))
    assert finished.code == 2, finished.stderr
    report = json.loads((tmp_path / "data/report/verdict.json").read_text())
    assert report["run"] == finished.results["run"]
    assert report["exitCode"] == 2
    assert shop.count == 0


def test_ctrl_c_in_mid_fault_takes_the_fault_out(
    caddy: Caddy, start_command: StartCommand, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    before = caddy.config()
    running = start_command("chaos-steps", *arguments(experiment=experiment(caddy, durationSeconds=300)))
    wait_until(caddy.faults, "the fault in the gateway")
    running.signal_group(signal.SIGINT)
    finished = running.wait()
    assert finished.code == 130, finished.stderr
    assert caddy.config() == before
    assert claims(tmp_path) == []
    assert "revert: Succeeded" in finished.stderr


def test_a_fault_whose_owner_was_killed_is_taken_out_by_finally(
    caddy: Caddy, start_command: StartCommand, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    before = caddy.config()
    running = start_command("chaos-steps", *arguments(experiment=experiment(caddy, durationSeconds=300)))
    running.wait_for_stderr("fault active")
    os.kill(child_of(running.pid, "waf-inject"), signal.SIGKILL)
    running.wait_for_stderr("inject: Failed")
    assert caddy.faults()
    running.send_signal(signal.SIGTERM)
    finished = running.wait()
    assert finished.code == 143, finished.stderr
    assert caddy.config() == before
    assert claims(tmp_path) == []


def test_a_run_that_leaves_a_claim_ends_with_6_whatever_its_tasks_say(
    caddy: Caddy, folder: TektonFolder, run_small: Callable[..., Finished], run_command: RunCommand
) -> None:
    fault = {"driver": "caddy", "waf-url": caddy.admin_url, "target-host": caddy.host, "status-code": "503"}
    more = {"percentage": "10", "ttl": "5m", "run": "$(context.pipelineRun.uid)"}
    folder.pipeline(task("inject", "waf-inject", {**fault, **more}))
    finished = run_small()
    assert finished.code == 6
    assert "inject: Succeeded" in finished.stderr
    run = finished.results["run"]
    assert f"fault-revert --run {run} --ledger file:" in finished.stderr
    assert run_command("fault-revert", "--run", run).code == 0
    assert caddy.faults() == []
