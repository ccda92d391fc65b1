"""Fixtures of the runner's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunCommand, StartCommand
from tests.local.tekton_folder import TektonFolder
from tests.running import Finished, Running


@pytest.fixture
def folder(tmp_path: Path) -> TektonFolder:
    """A Tekton folder of the test's own."""
    return TektonFolder(tmp_path / "tekton")


@pytest.fixture
def run_small(run_command: RunCommand, folder: TektonFolder) -> Callable[..., Finished]:
    """Run the Pipeline `small` of the folder to its end."""
    return lambda *more, **rest: run_command("chaos-steps", "run", "small", "--tekton-dir", folder.path, *more, **rest)


@pytest.fixture
def start_small(start_command: StartCommand, folder: TektonFolder) -> Callable[..., Running]:
    """Start the Pipeline `small` of the folder."""
    return lambda *more, **rest: start_command(
        "chaos-steps", "run", "small", "--tekton-dir", folder.path, *more, **rest
    )
