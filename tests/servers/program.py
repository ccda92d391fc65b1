"""Starting and stopping one server program."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Self

from tests.waiting import wait_until

HOW_TO_GET = "run `make setup`"


class MissingProgramError(Exception):
    """A server cannot be started because its program is not installed."""


def find_program(name: str) -> Path:
    """A program beside this Python (from a wheel) or on PATH, sbin included. Raises MissingProgramError."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingProgramError(f"{name} is not installed: {HOW_TO_GET}")
    return Path(found)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that the kernel says are free now; all are held at once, so they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Server(ABC):
    """A server program: a context manager that starts it, waits until it is ready, and stops it.

    A subclass says how many ports it needs, how it is called and when it is ready.
    """

    port_count = 1

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments: list[str] = []

    @abstractmethod
    def arguments(self) -> list[str]:
        """The command line, for `self.ports`; may write files into `self.folder` first."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server does its work; OSError counts as no."""

    @property
    def environment(self) -> dict[str, str]:
        """The server's environment: nothing of the tests' own."""
        return {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)}

    def __enter__(self) -> Self:
        try:
            self.start()
        except RuntimeError:  # Another program may have taken a port in between: once more, with other ports.
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the program on new ports and wait until it is ready. Raises RuntimeError with its output."""
        self.ports = free_ports(self.port_count)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        try:
            self._arguments = self.arguments()
            self._launch()
        except BaseException:
            self.stop()
            raise

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        """Within the block it does not run; after it, it does again, with the same ports and files."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        try:
            yield
        finally:
            self._launch()

    def stop(self) -> None:
        """Stop the program and remove its files; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.ports:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.ports = []

    def _launch(self) -> None:
        log = self.folder / "output.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C at the tests' terminal must not end a server before its test.
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_ready_or_dead, f"{type(self).__name__} to be ready")
        if self._process.poll() is not None:
            raise RuntimeError(f"{type(self).__name__} ended at once:\n{log.read_text(errors='replace')[-4000:]}")

    def send_signal(self, signum: int) -> None:
        """Signal the program."""
        if self._process is not None:
            self._process.send_signal(signum)

    def _is_ready_or_dead(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        try:
            return self.is_ready()
        except (OSError, HTTPException):
            return False


class Gateway(Server):
    """A server in front of one upstream, with a port for requests and one for its admin API."""

    port_count = 2
    host = "user-service.production.svc"
    """Host whose requests it sends on."""

    def __init__(self, upstream: str) -> None:
        """`upstream` is host:port."""
        super().__init__()
        self.upstream = upstream

    @property
    def url(self) -> str:
        """Base URL for requests."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def admin_url(self) -> str:
        """Base URL of the admin API."""
        return f"http://127.0.0.1:{self.ports[1]}"
