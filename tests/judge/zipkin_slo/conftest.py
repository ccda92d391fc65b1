"""What the tests of zipkin-slo share: running it over a window, and the verdict that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos_steps.workspace import Verdict, Workspace
from tests.conftest import RunCommand
from tests.judge.zipkin_slo.traffic import Traffic
from tests.running import Finished

RUN = "run-1"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "shared", RUN)


@dataclass
class Judge:
    """Runs zipkin-slo with a workspace."""

    run_command: RunCommand
    workspace: Workspace

    def __call__(self, url: str, *words: str, env: Mapping[str, str] | None = None) -> Finished:
        """With these options only."""
        where = ("--workspace", self.workspace.root, "--run", RUN)
        return self.run_command("zipkin-slo", "--zipkin-url", url, *where, *words, env=env)

    def window(self, url: str, traffic: Traffic, *words: str) -> Finished:
        """The service in its window; without a limit one that any traffic meets."""
        limits = words if any("max" in word or "min" in word for word in words) else ("--min-success-rate", "0", *words)
        return self(url, "--service-name", traffic.service, *traffic.window, *limits)

    @property
    def verdict(self) -> Verdict:
        """What the last run has written."""
        return self.workspace.verdicts()["zipkin-slo"]


@pytest.fixture
def judge(run_command: RunCommand, workspace: Workspace) -> Judge:
    return Judge(run_command, workspace)
