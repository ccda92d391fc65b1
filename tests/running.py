"""Running our commands as processes, as Tekton and people do."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chaos_steps.__main__ import GROUPS
from tests.waiting import wait_until

# Exit codes that every command may end with: stopped by SIGINT, by SIGTERM.
_ALWAYS = {130, 143}


@dataclass(frozen=True)
class Finished:
    """A command that has ended: exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def results(self) -> dict[str, str]:
        """The results on stdout. Raises AssertionError when stdout is not one JSON object."""
        try:
            found = json.loads(self.stdout)
        except ValueError as error:
            raise AssertionError(f"stdout is no JSON: {self.stdout!r}\nstderr: {self.stderr}") from error
        assert isinstance(found, dict), found
        return found


class Running:
    """A command that runs; its stderr can be watched."""

    def __init__(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], cwd: Path, folder: Path, stdin: str | None
    ) -> None:
        self._arguments = arguments
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "chaos_steps", *arguments],
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        if self.popen.stdin is not None:
            self.popen.stdin.write((stdin or "").encode())
            self.popen.stdin.close()

    @property
    def pid(self) -> int:
        """The process id, which is also its group's."""
        return self.popen.pid

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        return self._stderr.read_text(errors="replace")

    def send_signal(self, signum: int) -> None:
        """Signal the command's own process."""
        self.popen.send_signal(signum)

    def signal_group(self, signum: int) -> None:
        """Signal its process group, as Tekton and a terminal do."""
        os.killpg(self.pid, signum)

    def wait_for_stderr(self, text: str, *, timeout: float = 120.0) -> None:
        """Wait until its stderr contains a text; fails at once when the command ends without."""
        wait_until(lambda: text in self.stderr or self.popen.poll() is not None, f"{text!r} on stderr", timeout=timeout)
        assert text in self.stderr, f"ended {self.popen.returncode} without {text!r} on stderr:\n{self.stderr}"

    def wait(self, timeout: float = 180.0) -> Finished:
        """Wait for its end. Fails when the exit code is not one of the command's documented ones."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self._arguments} still runs after {timeout:g} s; stderr:\n{self.stderr}") from None
        finished = Finished(code, self._stdout.read_text(errors="replace"), self.stderr)
        if code != -signal.SIGKILL:  # The test's own doing.
            check_documented(self._arguments, finished)
        return finished

    def kill(self) -> None:
        """End it and its process group, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


def clean_environment(home: Path, state: Path, cache: Path) -> dict[str, str]:
    """An environment with nothing of the caller's in it but PATH, where our scripts come first."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "HOME": str(home),
        "XDG_STATE_HOME": str(state),
        "XDG_CACHE_HOME": str(cache),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "error",
    }


def check_documented(arguments: tuple[str, ...], finished: Finished) -> None:
    """Raise AssertionError when a command ended with a code that it does not document."""
    documented = _documented_exits(arguments)
    assert documented is None or finished.code in documented | _ALWAYS, (
        f"{' '.join(arguments)} ended {finished.code}, documented are {sorted(documented)}; stderr:\n{finished.stderr}"
    )


def _documented_exits(arguments: tuple[str, ...]) -> set[int] | None:
    """The exit codes of the command that `arguments` call; None when there is no such command."""
    name, *rest = arguments
    attribute = name.replace("-", "_")
    candidates = ["chaos_steps.local"] if name == "chaos-steps" else [f"chaos_steps.{g}.{attribute}" for g in GROUPS]
    for module in candidates:
        if importlib.util.find_spec(module) is not None:
            command: Any = getattr(importlib.import_module(module), attribute)
            if isinstance(command, click.Group):
                command = command.commands.get(rest[0] if rest else "", command)
            exits = getattr(command, "exits", None)
            return None if exits is None else set(exits)
    return None
