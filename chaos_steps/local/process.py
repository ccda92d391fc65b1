"""One attempt at a task: its command as a process, with the environment that its Task declares."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from chaos_steps.local import console
from chaos_steps.local.environment import Inputs, environment
from chaos_steps.local.plan import PlannedTask

GRACE = 30.0
"""Seconds from SIGTERM to SIGKILL: Kubernetes' default, which Tekton cannot change."""

_READER_PATIENCE = 1.0


class Attempt:
    """A running command, the leader of a process group of its own: a Ctrl-C reaches it through us only."""

    def __init__(self, planned: PlannedTask, inputs: Inputs) -> None:
        """Start it. Raises OSError."""
        self.timed_out = self.cancelled = False
        self._results = Path(tempfile.mkdtemp(prefix="chaos-steps-"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos_steps", planned.command],
            env=environment(planned.task, inputs, self._results),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._deadline = time.monotonic() + planned.timeout
        self._kill_at: float | None = None
        self._reader = threading.Thread(target=console.follow, args=(planned.name, self._process.stdout), daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        """The exit code once it has ended, 128 + N when signal N killed it; keeps its time and grace meanwhile."""
        if self._process.returncode is not None:
            return self._code()
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            self._keep_time()
            return None
        # As in a container: what the command has left behind in its group ends with it. The command itself is not yet
        # waited for, so its process group cannot be somebody else's.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join(_READER_PATIENCE)
        return self._code()

    def cancel(self) -> None:
        """Stop it because the run is over; it will not be tried again."""
        self.cancelled = True
        self._stop()

    def take_results(self) -> dict[str, str]:
        """The results that were written; call it once, after the end."""
        found = {path.name: path.read_text(errors="replace") for path in self._results.iterdir()}
        shutil.rmtree(self._results)
        return found

    def _code(self) -> int:
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(signal.SIGKILL)
        elif self._kill_at is None and now >= self._deadline:
            self.timed_out = True
            self._stop()

    def _stop(self) -> None:
        """Send SIGTERM, once; SIGKILL follows when the grace is over."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + GRACE
            self._signal(signal.SIGTERM)

    def _signal(self, signum: int) -> None:
        os.killpg(self._process.pid, signum)
