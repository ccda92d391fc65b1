"""A task's process: what it is given, and how it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.local import process
from chaos_steps.local.environment import Inputs
from chaos_steps.local.plan import PlannedTask, make_plan
from tests.local.processes import child_of
from tests.local.tekton_folder import TektonFolder, check, probe, task
from tests.running import Finished, Running
from tests.servers.upstream import Upstream
from tests.waiting import wait_until

MACHINE = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "XDG_STATE_HOME"}


def test_a_command_gets_what_its_task_declares_and_nothing_else_of_ours(
    folder: TektonFolder, start_small: Callable[..., Running], upstream: Upstream, tmp_path: Path
) -> None:
    folder.pipeline(probe("ask", upstream.url, checks=100_000, params={"expect-status": "200"}))
    secrets = {
        "WAF_ADMIN_API_TOKEN": "s3cret",
        "PARAM_MAX_LATENCY_MS": "1",
        "PYTHONPATH": "/nowhere",
        "HTTP_PROXY": "x",
    }
    running = start_small(env=secrets)
    wait_until(lambda: upstream.count, "the task's first request")
    child = child_of(running.pid, "http-probe")
    pairs = Path(f"/proc/{child}/environ").read_bytes().decode().rstrip("\0").split("\0")
    found = dict(pair.split("=", 1) for pair in pairs)
    running.send_signal(signal.SIGTERM)
    assert running.wait().code == 143

    step = folder.read("tasks/http-probe/http-probe.yaml")["spec"]["steps"][0]
    declared = {variable["name"] for variable in step["env"]}
    assert set(found) <= declared | MACHINE
    assert found["PARAM_URL"] == upstream.url
    assert found["PARAM_EXPECT_STATUS"] == "200"
    assert found["PARAM_WORKSPACE"] == ""
    assert found["HOME"] == str(tmp_path / "home")
    assert "s3cret" not in found.values()


@pytest.mark.parametrize("way", ["option", "variable"])
def test_limits_reach_the_tasks_that_mount_them(
    folder: TektonFolder, run_small: Callable[..., Finished], tmp_path: Path, way: str
) -> None:
    limits = tmp_path / "limits.yaml"
    limits.write_text("maxPercentage: 5\n")
    same_run = {"run": "$(context.pipelineRun.uid)"}
    shared: dict[str, Any] = {"workspaces": [{"name": "shared-data", "workspace": "shared-data"}]}
    first, guard = check("check", **shared), task("guard", "fault-guard", same_run, runAfter=["check"], **shared)
    first["params"].append({"name": "run", "value": "$(context.pipelineRun.uid)"})
    folder.pipeline(first, guard, workspaces=[{"name": "shared-data"}])
    data = ("-w", f"shared-data={tmp_path / 'data'}")
    assert run_small(*data).code == 0
    given = (
        run_small(*data, "--limits", limits) if way == "option" else run_small(*data, env={"CHAOS_LIMITS": str(limits)})
    )
    assert given.code == 4
    assert "percentage 10% is above 5%" in given.stderr


@contextmanager
def attempt_at(folder: TektonFolder, url: str, timeout: str) -> Iterator[process.Attempt]:
    """A long probe as an attempt; killed at the end, if it still runs."""
    folder.pipeline({**probe("ask", url, checks=100_000), "timeout": timeout})
    planned: PlannedTask = make_plan(folder.path, "small", {}, {}).tasks["ask"]
    params = {param.name: param.value for param in planned.spec.params}
    attempt = process.Attempt(planned, Inputs(params=params))
    try:
        yield attempt
    finally:
        if attempt.poll() is None:
            os.kill(child_of(os.getpid(), "http-probe"), signal.SIGKILL)
        wait_until(lambda: attempt.poll() is not None, "the end of the attempt")
        attempt.take_results()


def test_a_command_that_does_not_heed_sigterm_is_killed_when_its_grace_is_over(
    folder: TektonFolder, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.3)
    with attempt_at(folder, upstream.url, "1h") as attempt:
        wait_until(lambda: upstream.count, "the first request")
        os.kill(child_of(os.getpid(), "http-probe"), signal.SIGSTOP)
        attempt.cancel()
        assert attempt.poll() is None
        code = wait_until(attempt.poll, "the end of a stopped process")
        assert code == 128 + signal.SIGKILL


def test_a_command_gets_sigterm_when_its_time_is_over(folder: TektonFolder, upstream: Upstream) -> None:
    with attempt_at(folder, upstream.url, "1s") as attempt:
        code = wait_until(attempt.poll, "the end of an attempt with a timeout")
        assert code == 143
        assert attempt.timed_out
